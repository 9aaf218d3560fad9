"""Carries out one task: claim it, run its agent, commit how it ended."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from app.agents.base import AgentRuntime, Finished, NeedsInput, Outcome, Parked
from app.domain import lifecycle
from app.domain.errors import (
    DomainError,
    InternalError,
    NotConfiguredError,
    NotFoundError,
    StaleOwnerError,
    StorageUnavailableError,
)
from app.domain.ids import TaskId
from app.domain.run_errors import TaskTimeoutError
from app.domain.secrets import Secret
from app.domain.tasks import Statistics, Task, TaskResult
from app.engine.run import EngineRun, Surroundings
from app.telemetry import context, spans
from app.telemetry.known_secrets import knowing
from app.telemetry.tracing import Span

log = logging.getLogger(__name__)
COMMIT_TRIES = 6
COMMIT_WAIT_S = 0.25
"""Doubled after each try: about 8 s in all, then the lease decides."""

Unseal = Callable[[bytes], bytes]


@dataclass(slots=True, eq=False)
class _Claim:
    """A claim on its way; `touched` when the task changed before its run could be told."""

    task_id: TaskId
    touched: bool = False


@dataclass(frozen=True, slots=True)
class _Running:
    """A run, the asyncio task it lives in, and the sign that all of it is over."""

    run: EngineRun
    inner: "asyncio.Task[bool]"
    over: asyncio.Event = field(default_factory=asyncio.Event)


class Worker:
    """Runs tasks, one asyncio task each, and stops them when told."""

    def __init__(
        self,
        around: Surroundings,
        runtimes: Mapping[str, AgentRuntime],
        *,
        unseal: Unseal | None,
        max_recoveries: int,
        parked_ttl: timedelta,
        waited: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        """`waited` is told how many seconds a task was queued before it was claimed here."""
        self._around = around
        self._runtimes = runtimes
        self._unseal = unseal
        self._max_recoveries = max_recoveries
        self._parked_ttl = parked_ttl
        self._waited = waited
        self._runs: dict[TaskId, _Running] = {}
        self._claims: set[_Claim] = set()
        self._group = asyncio.TaskGroup()
        self._idle = asyncio.Event()
        self._idle.set()
        self.draining = False

    @asynccontextmanager
    async def opened(self) -> AsyncGenerator[None]:
        """Runs live inside this block; leaving it waits for them."""
        async with self._group:
            yield

    async def idle(self) -> None:
        """Wait until nothing runs."""
        await self._idle.wait()

    @property
    def running(self) -> int:
        """How many tasks run here."""
        return len(self._runs)

    async def run(self, task_id: TaskId, ticket: int) -> None:
        """Claim the task and carry it out. A task that is not there to claim is left alone.

        Returns when its end, or its being parked, is committed. Cancelling this hands the task
        back to the queue.
        """
        while (before := self._runs.get(task_id)) is not None:
            await before.over.wait()  # it parked and was queued again faster than it was tidied up
        claim = _Claim(task_id)
        self._claims.add(claim)
        self._idle.clear()
        try:
            since: datetime | None = None
            take = lifecycle.claimed(self._now(), ticket=ticket, max_recoveries=self._max_recoveries)

            def claimed(task: Task) -> lifecycle.Change:
                nonlocal since
                since = task.updated_at if task.state == "queued" else None
                return take(task)

            try:
                task = await self._around.stores.tasks.update(task_id, claimed)
            except StorageUnavailableError:
                raise  # the queue hands it out again
            except DomainError as error:
                log.debug("task %s is not there to claim: %s", task_id, error.message)
                return
            if since is not None:
                self._waited(max(0.0, (task.updated_at - since).total_seconds()))
            if not task.state.terminal:
                if since is not None:
                    self._note_wait(task, since)
                await self._carry_out(task, claim)
        finally:
            self._claims.discard(claim)
            self._see_whether_idle()

    def _see_whether_idle(self) -> None:
        if not self._runs and not self._claims:
            self._idle.set()

    def _note_wait(self, task: Task, since: datetime) -> None:
        plan = spans.queue_wait(task.id, tenant=task.tenant, epoch=task.epoch)
        self._around.tracing.start(plan, parent=task.traceparent, started_at=since).end()

    def touched(self, task_id: TaskId | None) -> None:
        """The task (None: perhaps any) was changed: what is being claimed looks again when it runs."""
        for claim in self._claims:
            if task_id is None or claim.task_id == task_id:
                claim.touched = True

    async def look_again(self, task_id: TaskId) -> None:
        """See whether a task that runs here is still ours, and whether it is to pause.

        Raises StorageUnavailableError.
        """
        running = self._runs.get(task_id)
        if running is None:
            return
        task = await self._around.stores.tasks.find(task_id)
        if self._runs.get(task_id) is not running:
            return  # what was read may be older than the run that is here now
        if task is None or task.state != "running" or task.epoch != running.run.epoch:
            self.stop(task_id)
        elif task.pause_requested:
            self.pause(task_id)
        else:
            self.unpause(task_id)

    def stop(self, task_id: TaskId) -> None:
        """Kill a run whose task ended or went to another owner."""
        run = self._runs.get(task_id)
        if run is not None and not run.run.ending:
            run.inner.cancel()

    def pause(self, task_id: TaskId) -> None:
        """Let a run park at its next checkpoint."""
        run = self._runs.get(task_id)
        if run is not None:
            run.run.stopping = True

    def unpause(self, task_id: TaskId) -> None:
        """The pause was taken back before it was carried out."""
        run = self._runs.get(task_id)
        if run is not None:
            run.run.stopping = self.draining

    def owns(self, task_id: TaskId) -> int | None:
        """The epoch with which this process runs the task, None when it does not."""
        run = self._runs.get(task_id)
        return run.run.epoch if run else None

    def owned(self) -> list[TaskId]:
        """The tasks that run here."""
        return list(self._runs)

    def drain(self) -> None:
        """Every run parks at its next checkpoint and goes back to the queue."""
        self.draining = True
        for running in self._runs.values():
            running.run.stopping = True

    def released(
        self, cause: Literal["recovered", "handed_over"], *, statistics: Statistics | None = None
    ) -> lifecycle.Decision:
        """Back to the queue; a task that was to pause parks instead, for as long as any other."""
        return lifecycle.released(self._now(), cause, statistics=statistics, expires_after=self._parked_ttl)

    async def _carry_out(self, task: Task, claim: _Claim) -> None:
        try:
            run = EngineRun(task, self._around, api_key=await self._key_of(task))
        except StorageUnavailableError:
            raise  # the queue hands it out again
        except DomainError as error:
            refused = lifecycle.failed(error, self._now())
            with suppress(StaleOwnerError):
                await self._around.stores.tasks.update(task.id, refused, epoch=task.epoch)
            return
        run.stopping = run.stopping or self.draining
        inner = self._group.create_task(self._supervised(run), name=task.id)
        running = self._runs[task.id] = _Running(run, inner)
        self._claims.discard(claim)  # from here on the run itself is told
        try:
            if claim.touched:
                with suppress(StorageUnavailableError):  # every write is fenced anyway
                    await self.look_again(task.id)
            await asyncio.wait({inner})
        except asyncio.CancelledError:
            inner.cancel()
            await asyncio.wait({inner})
            await asyncio.shield(self._hand_back(run))
            raise
        finally:
            try:
                await asyncio.shield(self._tidy(run))
            finally:
                del self._runs[task.id]
                running.over.set()
        if not inner.cancelled() and not inner.result():
            raise StorageUnavailableError(f"the end of task {task.id} could not be committed")

    async def _supervised(self, run: EngineRun) -> bool:
        """The run itself: ends by itself when done, by cancellation when stopped.

        Returns whether the task is settled: its end is committed, or another owner has it.
        """
        task = run.task
        context.bind(task_id=task.id, tenant=task.tenant)
        plan = spans.task(task.id, tenant=task.tenant, epoch=run.epoch, session_id=task.spec.session_id)
        keys = [run.api_key.reveal()] if run.api_key else []
        held = knowing(*keys, tenant=task.tenant)
        with held, self._around.tracing.span(plan, parent=task.traceparent) as span:
            try:
                outcome = await self._within_wall_time(run)
                decision = await self._decision(run, outcome)
            except StaleOwnerError:
                log.info("task %s went to another owner", task.id)
                return True
            except StorageUnavailableError as error:
                log.warning("task %s starts again at its last checkpoint: %s", task.id, error.message)
                span.fail(error)
                decision = self.released("recovered", statistics=run.statistics)
            except DomainError as error:
                span.fail(error)
                decision = _failed(error, run, self._now())
            except asyncio.CancelledError as error:
                if _cancelling():
                    raise
                log.exception("task %s met the cancellation of something else", task.id)
                span.fail(error)
                decision = _failed(InternalError(), run, self._now())
            except Exception as error:
                log.exception("unexpected error in task %s", task.id)
                span.fail(error)
                decision = _failed(InternalError(), run, self._now())
            return await self._settle(run, decision, span)

    async def _settle(self, run: EngineRun, decision: lifecycle.Decision, span: Span) -> bool:
        """Commit how the run ended. Raises nothing: one task's end must not end the others."""
        await run.close_budget()
        try:
            return await self._commit(run, decision)
        except Exception as error:
            log.exception("the end of task %s cannot be stored as it is", run.task.id)
            span.fail(error)
            refused = error if isinstance(error, DomainError) else InternalError()
        try:
            return await self._commit(run, _failed(refused, run, self._now()))
        except Exception:
            log.exception("the end of task %s cannot be stored", run.task.id)
            return False

    async def _within_wall_time(self, run: EngineRun) -> Outcome:
        runtime = self._runtimes.get(run.task.spec.agent.runtime)
        if runtime is None:
            raise NotConfiguredError(f"this server has no agent runtime {run.task.spec.agent.runtime!r}")
        limit = run.task.spec.configuration.limits.wall_time_s
        if limit is None:
            return await runtime.run(run)
        clock = asyncio.timeout(max(0.0, limit - run.task.statistics.running_s))
        try:
            async with clock:
                return await runtime.run(run)
        except TimeoutError:
            if clock.expired():
                raise TaskTimeoutError(
                    f"the task ran longer than its {limit:g} s", limit_s=str(limit)
                ) from None
            raise

    async def _decision(self, run: EngineRun, outcome: Outcome) -> lifecycle.Decision:
        now = self._now()
        match outcome:
            case Finished():
                result = await self._with_artifacts(run, outcome.result)
                return lifecycle.succeeded(
                    result, outcome.statistics, now, messages=outcome.messages, events=outcome.events
                )
            case NeedsInput():
                return lifecycle.waiting(
                    outcome.requests,
                    now,
                    statistics=outcome.statistics,
                    messages=outcome.messages,
                    events=outcome.events,
                    turn=outcome.turn,
                    expires_after=self._parked_ttl,
                )
            case Parked():
                return self.released("handed_over", statistics=outcome.statistics)

    async def _with_artifacts(self, run: EngineRun, result: TaskResult) -> TaskResult:
        if result.artifacts or not run.made_artifacts:
            return result
        artifacts = await self._around.stores.artifacts.of_task(run.task.tenant, run.task.id)
        return TaskResult(output=result.output, data=result.data, artifacts=tuple(a.ref for a in artifacts))

    async def _commit(self, run: EngineRun, decision: lifecycle.Decision) -> bool:
        """Commit how the run ended; a store that fails now is tried again before giving up."""
        for attempt in range(COMMIT_TRIES):
            if attempt:
                await asyncio.sleep(COMMIT_WAIT_S * 2 ** (attempt - 1))
            run.ending = True
            try:
                await run.update(decision)
            except (StaleOwnerError, NotFoundError):
                return True
            except StorageUnavailableError:
                log.warning("the end of task %s could not be committed, try %d", run.task.id, attempt + 1)
            else:
                return True
            finally:
                run.ending = False
        return False

    async def _hand_back(self, run: EngineRun) -> None:
        """After a run was cut short by shutdown: back to the queue, unless it had ended."""
        with suppress(DomainError, TimeoutError):
            async with asyncio.timeout(5):
                await run.update(self.released("handed_over", statistics=run.statistics))

    async def _tidy(self, run: EngineRun) -> None:
        """Free the sandbox: for good when the task has ended and it was the task's own."""
        await run.close_budget()  # unless its end did
        sandbox_id = run.sandbox_id or run.task.sandbox_id
        if sandbox_id is None:
            return
        try:
            if run.sandbox_id is not None:
                await self._around.fleet.release(run.sandbox_id, task_id=run.task.id)
            task = await self._around.stores.tasks.find(run.task.id)
            own = run.task.spec.sandbox_id is None and run.task.spec.session_id is None
            if own and (task is None or task.state.terminal):
                await self._around.fleet.destroy(
                    await self._around.stores.sandboxes.get(run.task.tenant, sandbox_id)
                )
        except DomainError as error:
            log.warning(
                "sandbox %s of task %s is left to the sweep: %s", sandbox_id, run.task.id, error.message
            )
        except Exception:
            log.exception("sandbox %s of task %s is left to the sweep", sandbox_id, run.task.id)

    async def _key_of(self, task: Task) -> Secret | None:
        sealed = await self._around.stores.tasks.credentials(task.id) if task.spec.has_credentials else None
        if sealed is None:
            return None
        if self._unseal is None:
            raise NotConfiguredError("the task's model key is sealed and this server has no key to open it")
        return Secret(self._unseal(sealed).decode())

    def _now(self) -> datetime:
        return self._around.now()


def _failed(error: DomainError, run: EngineRun, at: datetime) -> lifecycle.Decision:
    return lifecycle.failed(error, at, statistics=run.statistics)


def _cancelling() -> bool:
    """Whether it is this very task that was cancelled, not something it waited for."""
    current = asyncio.current_task()
    return current is not None and current.cancelling() > 0
