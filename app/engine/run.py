"""One claimed task in this process: what its runtime may write, count and act in."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from time import monotonic

from app.domain import lifecycle
from app.domain.artifacts import ArtifactRef
from app.domain.call import CallContext
from app.domain.errors import DomainError
from app.domain.events import (
    MAX_EVENT_TEXT_CHARS,
    ArtifactCreated,
    SandboxOpened,
    StepFinished,
    TaskEvent,
)
from app.domain.identity import Principal
from app.domain.ids import Digest, SandboxId, TaskId
from app.domain.run_errors import CostLimitError, StepLimitError, TokenLimitError
from app.domain.sandboxes import Action, StepResult
from app.domain.secrets import Secret
from app.domain.tasks import InputAnswer, Statistics, Task
from app.engine.fleet import Fleet
from app.policy.budgets import Budgets
from app.storage.base import Stores
from app.telemetry import spans
from app.telemetry.tracing import Tracing

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every run of this process shares."""

    stores: Stores
    fleet: Fleet
    tracing: Tracing
    now: Callable[[], datetime]
    default_sandbox: str = "local"
    budgets: Budgets | None = None


class EngineRun:
    """Makes `agents.base.Run` of a claimed task. Every write carries the claim's epoch."""

    def __init__(self, task: Task, around: Surroundings, *, api_key: Secret | None) -> None:
        self.task = task
        self.api_key = api_key
        self.stopping = task.pause_requested
        self.epoch = task.epoch
        self._around = around
        self._counted = task.statistics
        self._budget = around.budgets.of_run(task) if around.budgets else None
        self._began = monotonic()
        self._opening = asyncio.Lock()
        self._kind = task.spec.configuration.sandbox_kind or around.default_sandbox
        self.made_artifacts = task.epoch > 1  # an earlier claim may have made some
        self.ending = False
        """Its own end is being committed: that is no reason to stop it."""
        self.sandbox_id: SandboxId | None = None
        """The sandbox this run has entered, or opened and not yet entered."""

    @property
    def answers(self) -> Sequence[InputAnswer]:
        return self.task.answers

    @property
    def statistics(self) -> Statistics:
        running = self._counted.running_s + (monotonic() - self._began)
        return replace(self._counted, running_s=round(running, 6))

    async def history(self) -> list[bytes]:
        """The encoded messages of the session's earlier tasks, then of this one."""
        tasks = self._around.stores.tasks
        session_id = self.task.spec.session_id
        before: list[TaskId] = []
        if session_id is not None:
            before = [task_id for task_id in await tasks.session_tasks(session_id) if task_id != self.task.id]
        if not before and self.task.turn == 0 and self.task.epoch == 1:
            return []
        return [message for _, message in await tasks.transcript([*before, self.task.id])]

    async def emit(self, *events: TaskEvent) -> None:
        """Commit events. Raises StaleOwnerError once the task is no longer this run's."""
        await self.update(lifecycle.progressed(self._around.now(), *events, statistics=self.statistics))

    async def checkpoint(self, turn: int, *events: TaskEvent, messages: tuple[bytes, ...]) -> None:
        """Commit a turn: its messages, events and counters in one transaction."""
        decision = lifecycle.progressed(
            self._around.now(), *events, statistics=self.statistics, messages=messages, turn=turn
        )
        await self.update(decision)

    async def update(self, decision: lifecycle.Decision) -> Task:
        """Commit any decision with this run's epoch."""
        self.task = await self._around.stores.tasks.update(self.task.id, decision, epoch=self.epoch)
        return self.task

    async def count(self, **increments: float | None) -> Statistics:
        """Add to the counters and enforce the task's limits; see `agents.base.Run.count`."""
        changes: dict[str, float | None] = {}
        for name, amount in increments.items():
            before = getattr(self._counted, name)
            changes[name] = None if amount is None or before is None else before + amount
        self._counted = replace(self._counted, **changes)  # pyright: ignore[reportArgumentType]
        self._enforce()
        return self.statistics

    @property
    def output_allowance(self) -> int | None:
        return self._budget.output_allowance if self._budget else None

    async def reserve(self, *, tokens: int, cost_usd: float | None) -> None:
        """Hold what a model call can use at most; see `agents.base.Run.reserve`."""
        if self._budget is not None:
            await self._budget.reserve(self._counted, tokens=tokens, cost_usd=cost_usd)

    async def settle(self) -> None:
        """Charge what the model call used; see `agents.base.Run.settle`."""
        if self._budget is not None:
            await self._budget.settle(self._counted)

    async def close_budget(self) -> None:
        """The run is over: nothing stays held. What cannot be done now is left to the sweep."""
        if self._budget is None:
            return
        try:
            await self._budget.close(self._counted)
        except DomainError as error:
            log.warning(
                "what task %s holds of a budget is left to the sweep: %s", self.task.id, error.message
            )
        except Exception:
            log.exception("what task %s holds of a budget is left to the sweep", self.task.id)

    def for_call(self, call_id: str) -> "CallScope":
        """The tool context of one call."""
        return CallScope(self, call_id)

    async def act(self, call_id: str, action: Action, *, timeout_s: float) -> StepResult:
        """One step in the task's sandbox, as a span and an event."""
        self._check_steps()
        sandbox_id = await self._sandbox()
        self._check_steps()  # calls made at once have all waited for the sandbox
        self._counted = replace(self._counted, steps=self._counted.steps + 1)
        step = self._counted.steps
        await self._pay_for_a_step()
        began = monotonic()
        plan = spans.sandbox_step(action.type, make=self._kind, sandbox_id=sandbox_id, step=step)
        try:
            with self._around.tracing.span(plan) as span:
                result = await self._around.fleet.act(
                    self.task.tenant, sandbox_id, action, timeout_s=timeout_s, task_id=self.task.id
                )
                if result.error_reason is not None:
                    span.fail(result.error_reason)
        except DomainError as error:
            failed = StepFinished(
                step=step,
                call_id=call_id,
                action=action.type,
                outcome="failed",
                duration_s=round(monotonic() - began, 6),
                output=error.message[:MAX_EVENT_TEXT_CHARS],
                error_reason=error.reason,
            )
            await self.emit(failed)
            raise
        finished = StepFinished(
            step=step,
            call_id=call_id,
            action=action.type,
            outcome=result.status,
            duration_s=result.duration_s,
            output=result.output[:MAX_EVENT_TEXT_CHARS],
            verified=result.verified.ok if result.verified else None,
            screenshot=result.screenshot,
            error_reason=result.error_reason,
            isolation=result.isolation,
        )
        made = [ArtifactCreated(artifact=ref) for ref in result.artifacts]
        self.made_artifacts = self.made_artifacts or bool(made) or result.screenshot is not None
        await self.emit(*made, finished)
        return result

    async def read_artifact(self, digest: Digest) -> bytes:
        """The bytes of something this tenant keeps. Raises NotFoundError."""
        return await self._around.stores.artifacts.read(self.task.tenant, digest)

    async def save_artifact(self, name: str, media_type: str, data: bytes) -> ArtifactRef:
        """Keep bytes and say so in the journal."""
        ref = await self._around.stores.artifacts.put(
            self.task.tenant, data, name=name, media_type=media_type, task_id=self.task.id
        )
        self.made_artifacts = True
        await self.emit(ArtifactCreated(artifact=ref))
        return ref

    async def _sandbox(self) -> SandboxId:
        async with self._opening:
            if self.sandbox_id is not None and self.task.sandbox_id == self.sandbox_id:
                return self.sandbox_id
            stores, session_id = self._around.stores, self.task.spec.session_id
            now, before = self._around.now(), self.task.sandbox_id
            given = self.task.spec.sandbox_id is not None
            if before is not None and (given or await self._still_open(before)):
                self.sandbox_id = before
                return before
            if session_id is not None:
                session = await stores.sessions.get(self.task.tenant, session_id)
                if session.sandbox_id is not None and await self._still_open(session.sandbox_id):
                    self.sandbox_id = session.sandbox_id
                    await self._entered(session.sandbox_id, now)
                    return session.sandbox_id
            opened = await self._around.fleet.open(
                self.task.tenant, self._kind, task_id=self.task.id, session_id=session_id
            )
            self.sandbox_id = opened.id
            if session_id is not None:
                await stores.sessions.keep_sandbox(session_id, opened.id, now)
            await self._entered(opened.id, now)
            return opened.id

    async def _entered(self, sandbox_id: SandboxId, now: datetime) -> None:
        event = SandboxOpened(sandbox_id=sandbox_id, kind=self._kind)
        await self.update(lifecycle.progressed(now, event, statistics=self.statistics, sandbox_id=sandbox_id))

    async def _still_open(self, sandbox_id: SandboxId) -> bool:
        try:
            record = await self._around.stores.sandboxes.get(self.task.tenant, sandbox_id)
        except DomainError:
            return False
        alive = record.expires_at is None or record.expires_at > self._around.now()
        return record.state == "open" and record.kind == self._kind and alive

    def _check_steps(self) -> None:
        limit = self.task.spec.configuration.limits.max_steps
        if limit is not None and self._counted.steps >= limit:
            raise StepLimitError(f"the task used its {limit} steps", limit=limit)

    async def _pay_for_a_step(self) -> None:
        """One that the budget refuses is not made, so it does not count."""
        if self._budget is None:
            return
        try:
            await self._budget.step(self._counted)
        except BaseException:
            self._counted = replace(self._counted, steps=self._counted.steps - 1)
            raise

    def _enforce(self) -> None:
        limits, counted = self.task.spec.configuration.limits, self._counted
        tokens = counted.input_tokens + counted.output_tokens
        if limits.max_tokens is not None and tokens > limits.max_tokens:
            raise TokenLimitError(
                f"the task used {tokens} of its {limits.max_tokens} tokens", limit=limits.max_tokens
            )
        if limits.max_cost_usd is not None:
            if counted.cost_usd is None:
                raise CostLimitError("the task has a cost limit, but the price of its model is not known")
            if counted.cost_usd > limits.max_cost_usd:
                raise CostLimitError(f"the task cost more than its {limits.max_cost_usd} US dollars")


class CallScope:
    """Makes `tools.base.ToolContext` of a run and one of its tool calls."""

    def __init__(self, run: EngineRun, call_id: str) -> None:
        self._run = run
        self._call_id = call_id
        task = run.task
        self.call = CallContext(
            principal=Principal(subject=task.subject, tenant=task.tenant),
            request_id=task.id,
            protocol="internal",
        )
        self.task_id: TaskId | None = task.id

    async def act(self, action: Action, *, timeout_s: float) -> StepResult:
        return await self._run.act(self._call_id, action, timeout_s=timeout_s)

    async def save_artifact(self, name: str, media_type: str, data: bytes) -> ArtifactRef:
        return await self._run.save_artifact(name, media_type, data)
