"""Use cases of tools: see what there is, and call one outside any task."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from app.domain.artifacts import ArtifactRef
from app.domain.call import CallContext
from app.domain.ids import SandboxId, TaskId
from app.domain.sandboxes import Action, Sandbox, StepResult
from app.domain.tools import ToolInfo, ToolResult
from app.engine.fleet import Fleet
from app.policy.budgets import Budgets
from app.service.configuration import ConfigurationUseCases
from app.service.idempotency import KeyedCalls, PlainAnswers, idempotent
from app.storage.base import ArtifactStore, SandboxStore
from app.telemetry import spans
from app.telemetry.known_secrets import mask_held
from app.telemetry.tracing import Tracing
from app.tools.registry import ToolRegistry


class ToolUseCases:
    """The registry, for callers."""

    def __init__(
        self,
        registry: ToolRegistry,
        fleet: Fleet,
        sandboxes: SandboxStore,
        artifacts: ArtifactStore,
        configuration: ConfigurationUseCases,
        *,
        tracing: Tracing,
        budgets: Budgets,
        keyed: KeyedCalls,
    ) -> None:
        self.keyed = keyed
        self._registry = registry
        self._fleet = fleet
        self._sandboxes = sandboxes
        self._artifacts = artifacts
        self._configuration = configuration
        self._tracing = tracing
        self._budgets = budgets

    async def list(
        self,
        call: CallContext,
        *,
        category: str | None = None,
        tag: str | None = None,
        available_only: bool = False,
    ) -> Sequence[ToolInfo]:
        """The tools, by name."""
        del call
        tools = self._registry.list(category=category, tag=tag)
        return [tool for tool in tools if tool.available or not available_only]

    async def get(self, call: CallContext, name: str) -> ToolInfo:
        """Raises NotFoundError with the closest names."""
        del call
        return self._registry.get(name).info

    @idempotent("ToolService/ExecuteTool", PlainAnswers(ToolResult))
    async def execute(
        self,
        call: CallContext,
        name: str,
        arguments: dict[str, object],
        *,
        sandbox_id: SandboxId | None = None,
    ) -> ToolResult:
        """Call a tool. Without `sandbox_id`, one that needs a sandbox gets its own for this call.

        A tool that fails in its own words returns `ok=False`. Raises NotFoundError,
        InvalidRequestError (arguments), NotConfiguredError, RateLimitedError, StepTimeoutError, ...
        """
        context = _DirectContext(self, call, sandbox_id)
        try:
            with self._tracing.span(spans.execute_tool(name[:128]), parent=call.traceparent) as span:
                context.traceparent = span.traceparent
                result = await self._registry.execute(name, arguments, context)
                if result.error_reason is not None:
                    span.fail(result.error_reason)
            output = mask_held(result.output, call.tenant)
            return result if output is result.output else replace(result, output=output)
        finally:
            await context.aclose()

    async def open_for(self, call: CallContext) -> Sandbox:
        """A sandbox of the configured kind, for one call."""
        kind = (await self._configuration.effective(call)).sandbox_kind or "local"
        return await self._fleet.open(call.tenant, kind)

    async def act_for(
        self,
        call: CallContext,
        sandbox_id: SandboxId,
        action: Action,
        *,
        timeout_s: float,
        parent: str | None,
    ) -> StepResult:
        """One action of a direct tool call, as a span."""
        record = await self._sandboxes.get(call.tenant, sandbox_id)
        await self._budgets.spend_step(call.tenant)
        plan = spans.sandbox_step(action.type, make=record.kind, sandbox_id=sandbox_id)
        with self._tracing.span(plan, parent=parent) as span:
            result = await self._fleet.act(call.tenant, sandbox_id, action, timeout_s=timeout_s)
            if result.error_reason is not None:
                span.fail(result.error_reason)
            return result

    async def close(self, sandbox: Sandbox) -> None:
        """Close a sandbox opened by `open_for`."""
        await self._fleet.destroy(sandbox)

    async def save(self, call: CallContext, name: str, media_type: str, data: bytes) -> ArtifactRef:
        """Keep bytes for a direct tool call."""
        return await self._artifacts.put(call.tenant, data, name=name, media_type=media_type, task_id=None)


@dataclass(slots=True)
class _DirectContext:
    """A tool call outside a task: no events, no step limit; its own sandbox dies with it."""

    owner: ToolUseCases
    call: CallContext
    sandbox_id: SandboxId | None
    traceparent: str | None = None
    opened: Sandbox | None = None

    @property
    def task_id(self) -> TaskId | None:
        return None

    async def act(self, action: Action, *, timeout_s: float) -> StepResult:
        if self.sandbox_id is None:
            self.opened = await self.owner.open_for(self.call)
            self.sandbox_id = self.opened.id
        return await self.owner.act_for(
            self.call, self.sandbox_id, action, timeout_s=timeout_s, parent=self.traceparent
        )

    async def save_artifact(self, name: str, media_type: str, data: bytes) -> ArtifactRef:
        return await self.owner.save(self.call, name, media_type, data)

    async def aclose(self) -> None:
        if self.opened is not None:
            await self.owner.close(self.opened)
