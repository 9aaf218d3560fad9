"""Use cases of tasks: submit, read, steer, forget."""

import asyncio
import hashlib
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Protocol

from app.domain import lifecycle
from app.domain.call import CallContext
from app.domain.configuration import TaskConfiguration
from app.domain.errors import DrainingError, InvalidRequestError
from app.domain.identity import TenantId
from app.domain.ids import TaskId
from app.domain.paging import Page, page_size
from app.domain.secrets import MASK, Secret
from app.domain.tasks import MAX_INPUT_CHARS, MAX_REASON_CHARS, InputAnswer, Task, TaskSpec, TaskState
from app.policy.budgets import Budgets
from app.service.agents import AgentUseCases
from app.service.configuration import ConfigurationUseCases, Sealer, sealed
from app.service.idempotency import checked_key
from app.service.inputs import Checks, NewTask, check_task
from app.service.streams import DrainNotice, GapNotice, HeartbeatNotice, StreamItem, StreamUseCases, Watch
from app.storage.base import IdempotencyRecord, SandboxStore, TaskFilter, TaskStore

MAX_WAIT = timedelta(seconds=600)
LEFT_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRules:
    """The process' own bounds on tasks."""

    max_queued: int = 10_000
    max_unfinished: int | None = None
    """Tasks of one tenant that are queued or running."""
    max_unfinished_of: Mapping[TenantId, int] = field(default_factory=dict[TenantId, int])
    """Tenants for which that is another number."""
    queue_ttl: timedelta = timedelta(days=1)
    """A task not started by then expires."""
    parked_ttl: timedelta = timedelta(days=7)
    """A paused or waiting task not taken up by then expires."""
    idempotency_ttl: timedelta = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Submission:
    """An accepted task; `replayed` when the idempotency key had been used for it before."""

    task: Task
    replayed: bool = False


class ConfigurationCheck(Protocol):
    """Refuses a configuration this process cannot carry out, before the task is accepted."""

    async def __call__(self, values: TaskConfiguration) -> None:
        """Raises InvalidRequestError, NotConfiguredError, SandboxUnavailableError, ..."""
        ...


class TaskUseCases:
    """Everything a caller can do with tasks."""

    def __init__(
        self,
        store: TaskStore,
        streams: StreamUseCases,
        agents: AgentUseCases,
        configuration: ConfigurationUseCases,
        sandboxes: SandboxStore,
        *,
        check: ConfigurationCheck,
        sealer: Sealer | None,
        now: Callable[[], datetime],
        mint: Callable[[str], str],
        rules: TaskRules,
        budgets: Budgets,
    ) -> None:
        self._store = store
        self._streams = streams
        self._agents = agents
        self._configuration = configuration
        self._sandboxes = sandboxes
        self._check = check
        self._sealer = sealer
        self._now = now
        self._mint = mint
        self._rules = rules
        self._budgets = budgets
        self.draining = False

    async def submit(self, call: CallContext, new: NewTask, *, wait: timedelta | None = None) -> Submission:
        """Accept a task, exactly once per idempotency key; with `wait`, return when it has ended
        or the time is over, whichever is first.

        A caller that leaves, or whose deadline passes, while it waits cancels the task if it was
        submitted with `on_disconnect="cancel"`.

        Raises:
            InvalidRequestError: a field is wrong, or names what does not exist.
            NotFoundError: no such agent, session or sandbox.
            SessionBusyError, QueueFullError, RateLimitedError, IdempotencyMismatchError,
            NotConfiguredError, SandboxUnavailableError, DrainingError, BudgetExceededError.
        """
        if wait is not None and not timedelta(0) <= wait <= MAX_WAIT:
            raise InvalidRequestError.of("wait", f"must be from 0 to {MAX_WAIT.seconds} s", "OUT_OF_RANGE")
        submission = await self.accept(call, new)
        task = submission.task
        if not wait or task.state.terminal:
            return submission
        try:
            return replace(submission, task=await self.wait_ended(call, task.id, wait))
        except asyncio.CancelledError:
            if task.spec.on_disconnect == "cancel":
                await asyncio.shield(self._left(call, task.id, "before the answer"))
            raise

    async def run(self, call: CallContext, new: NewTask) -> tuple[Submission, Watch]:
        """Accept a task and stream it from its first event.

        Leaving the stream before its terminal event cancels the task if it was submitted with
        `on_disconnect="cancel"`. Raises what `submit` and `StreamUseCases.watch` raise.
        """
        submission = await self.accept(call, new)
        watch = await self._streams.watch(call, submission.task.id, after=0)
        if submission.task.spec.on_disconnect == "cancel":
            watch = Watch(
                _CancelsWhenLeft(watch.items, lambda: self._left(call, submission.task.id, "the stream"))
            )
        return submission, watch

    async def accept(self, call: CallContext, new: NewTask) -> Submission:
        """Accept a task: what `submit` and `run` begin with, and raise."""
        self._refuse_when_draining()
        check_task(new)
        new = _without_mask(new)
        idempotency = self._idempotency(call, new)
        agent = await self._agents.get(call, new.agent_id)
        if new.sandbox_id is not None:  # a worker frees it when the task ends: it must be the tenant's own
            await self._sandboxes.get(call.tenant, new.sandbox_id)
        configuration = await self._configuration.effective(call, agent.configuration, new.configuration)
        await self._check(configuration)
        await self._budgets.require_some(call.tenant)
        key = configuration.model_api_key
        credentials = sealed(self._sealer, key) if key else None
        now = self._now()
        task = Task(
            id=TaskId(self._mint("task")),
            tenant=call.tenant,
            subject=call.principal.subject,
            spec=TaskSpec(
                instruction=new.instruction,
                agent=replace(agent, configuration=replace(agent.configuration, model_api_key=None)),
                session_id=new.session_id,
                sandbox_id=new.sandbox_id,
                configuration=replace(configuration, model_api_key=None),
                metadata=dict(new.metadata),
                on_disconnect=new.on_disconnect,
                has_credentials=credentials is not None,
            ),
            state=TaskState.SUBMITTED,
            created_at=now,
            updated_at=now,
            expires_at=now + self._rules.queue_ttl,
            sandbox_id=new.sandbox_id,
            traceparent=call.traceparent,
        )
        created = await self._store.create(
            lifecycle.submitted(task),
            idempotency=idempotency,
            sealed_credentials=credentials,
            max_queued=self._rules.max_queued,
            max_unfinished=self._rules.max_unfinished_of.get(call.tenant, self._rules.max_unfinished),
            audit=call.audit,
        )
        if call.idempotency is not None:
            call.idempotency.replayed = created.replayed
        return Submission(created.task, created.replayed)

    async def get(self, call: CallContext, task_id: TaskId) -> Task:
        """The task as it stands. Raises NotFoundError."""
        return await self._store.get(call.tenant, task_id)

    async def page(
        self, call: CallContext, where: TaskFilter, *, size: int | None = None, cursor: str | None = None
    ) -> Page[Task]:
        """The tenant's tasks, newest first. Raises InvalidRequestError, InvalidCursorError."""
        return await self._store.page(call.tenant, where, size=page_size(size), cursor=cursor or None)

    async def wait_ended(self, call: CallContext, task_id: TaskId, longest: timedelta) -> Task:
        """The task once it has ended, or as it stands after `longest`. Raises NotFoundError."""
        task = await self.get(call, task_id)
        if task.state.terminal:
            return task
        watch = await self._streams.watch(call, task_id, after=task.last_seq)
        try:
            async with asyncio.timeout(longest.total_seconds()), aclosing(watch.items) as items:
                async for _ in items:
                    continue
        except TimeoutError:
            pass  # the caller asked for this long, no longer
        return await self.get(call, task_id)

    async def cancel(self, call: CallContext, task_id: TaskId, *, reason: str | None = None) -> Task:
        """Stop the task whatever it does; its sandbox processes are dead within a second.

        Idempotent. Raises NotFoundError, TaskEndedError (it ended otherwise).
        """
        checks = Checks()
        checks.text("reason", reason or "", MAX_REASON_CHARS)
        checks.done()
        decision = lifecycle.cancelled(
            reason or "cancelled by the caller", call.principal.subject, self._now()
        )
        return await self._store.update(task_id, decision, tenant=call.tenant, audit=call.audit)

    async def pause(self, call: CallContext, task_id: TaskId) -> Task:
        """Park the task: at once while queued, else after its current turn. Idempotent.

        Raises NotFoundError, TaskEndedError, IllegalTransitionError.
        """
        decision = lifecycle.pause_requested(self._now(), expires_after=self._rules.parked_ttl)
        return await self._store.update(task_id, decision, tenant=call.tenant, audit=call.audit)

    async def resume(self, call: CallContext, task_id: TaskId) -> Task:
        """Put a paused task back on the queue. Raises NotFoundError, TaskEndedError,
        IllegalTransitionError, DrainingError."""
        self._refuse_when_draining()
        return await self._store.update(
            task_id, lifecycle.resumed(self._now()), tenant=call.tenant, audit=call.audit
        )

    async def provide_input(self, call: CallContext, task_id: TaskId, answer: InputAnswer) -> Task:
        """Answer one input request, exactly once.

        Raises NotFoundError, NotWaitingError, InvalidRequestError, TaskEndedError.
        """
        checks = Checks()
        checks.text("text", answer.text or "", MAX_INPUT_CHARS)
        if (answer.text is None) == (answer.approved is None):
            checks.no("answer", "give either text or approved", "REQUIRED")
        checks.done()
        said = replace(answer, by=call.principal.subject)
        return await self._store.update(
            task_id, lifecycle.answered(said, self._now()), tenant=call.tenant, audit=call.audit
        )

    async def delete(self, call: CallContext, task_id: TaskId) -> None:
        """Forget an ended task with its events. Raises NotFoundError, IllegalTransitionError."""
        await self._store.delete(call.tenant, task_id)

    async def _left(self, call: CallContext, task_id: TaskId, what: str) -> None:
        """The client of an `on_disconnect="cancel"` task is gone."""
        decision = lifecycle.cancelled(f"the client left {what}", call.principal.subject, self._now())
        async with asyncio.timeout(LEFT_TIMEOUT_S):
            await self._store.update(task_id, _unless_ended(decision))

    def _idempotency(self, call: CallContext, new: NewTask) -> IdempotencyRecord | None:
        if call.idempotency is None:
            return None
        return IdempotencyRecord(
            scope=f"{call.principal.subject}:submit",
            key=checked_key(call.idempotency),
            fingerprint=_fingerprint(new),
            expires_at=self._now() + self._rules.idempotency_ttl,
        )

    def _refuse_when_draining(self) -> None:
        if self.draining:
            raise DrainingError("the server is shutting down", retry_after=timedelta(seconds=1))


class _CancelsWhenLeft(AsyncGenerator[StreamItem, None]):
    """A stream that does something when it is closed before its end, even before its beginning."""

    def __init__(self, items: AsyncGenerator[StreamItem], left: Callable[[], Awaitable[None]]) -> None:
        self._items = items
        self._left = left
        self._over = False

    async def asend(self, value: None, /) -> StreamItem:
        """The next item."""
        item = await self._items.asend(value)
        if isinstance(item, DrainNotice):
            self._over = True  # the server leaves, not the client
        elif not isinstance(item, (GapNotice, HeartbeatNotice)):
            self._over = item[-1].journaled.terminal
        return item

    async def athrow(self, typ: Any, val: Any = None, tb: TracebackType | None = None, /) -> StreamItem:
        """As the stream inside."""
        return await self._items.athrow(typ, val, tb)

    async def aclose(self) -> None:
        """Close the stream; unless it had ended, the client left it."""
        over, self._over = self._over, True
        await self._items.aclose()
        if not over:
            await asyncio.shield(self._left())


def _unless_ended(decision: lifecycle.Decision) -> lifecycle.Decision:
    return lambda task: lifecycle.Change(task=task) if task.state.terminal else decision(task)


def _without_mask(new: NewTask) -> NewTask:
    """A key of `********` is one read from our own answers: it means the configured one."""
    key = new.configuration.model_api_key
    if key is None or key.reveal() != MASK:
        return new
    return replace(new, configuration=replace(new.configuration, model_api_key=None))


def _fingerprint(new: NewTask) -> str:
    """A hash of what was asked for; a key inside it counts, but cannot be read from the hash's input."""

    def plain(value: object) -> object:
        return (
            hashlib.sha256(value.reveal().encode()).hexdigest() if isinstance(value, Secret) else str(value)
        )

    configuration = asdict(replace(new.configuration, model_api_key=None))
    payload = asdict(replace(new, configuration=TaskConfiguration(), metadata={}))
    payload |= {"configuration": configuration, "metadata": dict(new.metadata)}
    payload["key"] = new.configuration.model_api_key
    return hashlib.sha256(json.dumps(payload, sort_keys=True, default=plain).encode()).hexdigest()
