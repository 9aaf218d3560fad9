"""Use cases of sandboxes that callers open and drive themselves."""

from collections.abc import Sequence
from datetime import timedelta

from app.domain.artifacts import ArtifactRef
from app.domain.call import CallContext
from app.domain.configuration import TaskConfiguration
from app.domain.errors import InvalidRequestError, SandboxUnavailableError
from app.domain.ids import SandboxId
from app.domain.paging import Page, page_size
from app.domain.sandboxes import ACTION_TYPES, Action, Availability, Sandbox, SandboxKind, StepResult
from app.engine.fleet import Fleet
from app.policy.budgets import Budgets
from app.service.configuration import ConfigurationUseCases
from app.service.idempotency import KeyedCalls, PlainAnswers, idempotent
from app.storage.base import SandboxStore
from app.telemetry import spans
from app.telemetry.tracing import Tracing

MAX_LIFE_S = 86_400
STEP_TIMEOUT_S = 60.0


class SandboxUseCases:
    """Open, drive and close sandboxes; see what kinds there are."""

    def __init__(
        self,
        fleet: Fleet,
        records: SandboxStore,
        configuration: ConfigurationUseCases,
        *,
        tracing: Tracing,
        budgets: Budgets,
        keyed: KeyedCalls,
    ) -> None:
        self.keyed = keyed
        self._fleet = fleet
        self._records = records
        self._configuration = configuration
        self._tracing = tracing
        self._budgets = budgets

    async def kinds(self, call: CallContext) -> Sequence[SandboxKind]:
        """Every kind, whether it works here and, if not, how to make it work."""
        del call
        return await self._fleet.kinds()

    @idempotent("SandboxService/CreateSandbox", PlainAnswers(Sandbox))
    async def create(
        self, call: CallContext, *, kind: str | None = None, max_life_s: int | None = None
    ) -> Sandbox:
        """Open a sandbox of a kind (default: the configured one).

        Raises InvalidRequestError, QuotaExceededError, SandboxUnavailableError.
        """
        if max_life_s and not 1 <= max_life_s <= MAX_LIFE_S:
            raise InvalidRequestError.of("max_life_s", f"must be from 1 to {MAX_LIFE_S}", "OUT_OF_RANGE")
        chosen = kind or (await self._configuration.effective(call)).sandbox_kind or "local"
        await require_kind(self._fleet, chosen, field="kind")
        life = timedelta(seconds=max_life_s) if max_life_s else None
        return await self._fleet.open(call.tenant, chosen, max_life=life)

    async def get(self, call: CallContext, sandbox_id: SandboxId) -> Sandbox:
        """Raises NotFoundError."""
        return await self._records.get(call.tenant, sandbox_id)

    async def page(
        self, call: CallContext, *, size: int | None = None, cursor: str | None = None
    ) -> Page[Sandbox]:
        """Newest first. Raises InvalidRequestError, InvalidCursorError."""
        return await self._records.page(call.tenant, size=page_size(size), cursor=cursor or None)

    @idempotent("SandboxService/ActInSandbox", PlainAnswers(StepResult))
    async def act(self, call: CallContext, sandbox_id: SandboxId, action: Action) -> StepResult:
        """Carry out one canonical action.

        Raises NotFoundError, IllegalTransitionError (closed), BudgetExceededError, and what
        `OpenSandbox.act` raises.
        """
        if action.type not in ACTION_TYPES:
            raise InvalidRequestError.of("action", f"unknown action {action.type[:64]!r}", "UNKNOWN_ACTION")
        record = await self._records.get(call.tenant, sandbox_id)
        await self._budgets.spend_step(call.tenant)
        plan = spans.sandbox_step(action.type, make=record.kind, sandbox_id=record.id)
        with self._tracing.span(plan, parent=call.traceparent) as span:
            result = await self._fleet.act(call.tenant, sandbox_id, action, timeout_s=STEP_TIMEOUT_S)
            if result.error_reason is not None:
                span.fail(result.error_reason)
        return result

    @idempotent("SandboxService/CaptureScreenshot", PlainAnswers(ArtifactRef))
    async def screenshot(self, call: CallContext, sandbox_id: SandboxId) -> ArtifactRef:
        """Raises NotFoundError, IllegalTransitionError, ActionNotSupportedError."""
        return await self._fleet.screenshot(call.tenant, sandbox_id)

    async def delete(self, call: CallContext, sandbox_id: SandboxId) -> None:
        """Close it and remove its files. Idempotent; raises NotFoundError for one never opened."""
        await self._fleet.destroy(await self._records.get(call.tenant, sandbox_id))


async def require_kind(fleet: Fleet, kind: str, *, field: str) -> None:
    """Raises InvalidRequestError for an unknown kind, SandboxUnavailableError for one missing here."""
    if not fleet.knows(kind):
        raise InvalidRequestError.of(field, f"no sandbox kind {kind[:64]!r}", "UNKNOWN_KIND")
    found = await fleet.probe(kind)
    if found.availability is Availability.UNAVAILABLE:
        reasons = "; ".join(found.reasons) or "not available"
        raise SandboxUnavailableError(
            f"sandbox {kind!r} cannot be opened here: {reasons}", kind=kind, install=found.install or ""
        )


async def require_configuration_sandbox(fleet: Fleet, values: TaskConfiguration) -> None:
    """The same for a task's configuration."""
    if values.sandbox_kind is not None:
        await require_kind(fleet, values.sandbox_kind, field="configuration.sandbox_kind")
