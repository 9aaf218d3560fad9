"""The motor: serves the queue, hears the bus, recovers at start, sweeps, drains."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from app.domain import lifecycle
from app.domain.errors import DomainError, StorageUnavailableError
from app.domain.events import TERMINAL_EVENTS, PauseRequested, TaskPaused, TaskResumed
from app.domain.ids import TaskId
from app.engine.base import EventBus, TaskQueue, Wake
from app.engine.fleet import Fleet
from app.engine.worker import Worker
from app.policy.budgets import Budgets
from app.storage.base import QueueEntry, Stores

log = logging.getLogger(__name__)
DOUBT_AGAIN_S = 1.0
"""How long after a failed look at the store the next one follows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineRules:
    """How often the engine looks after things, and for how long they are kept."""

    sweep_every: timedelta = timedelta(seconds=5)
    retention_every: timedelta = timedelta(minutes=10)
    keep_ended: timedelta = timedelta(days=30)
    events_per_task: int = 100_000
    recover_at_start: bool = True
    """The store belongs to this process alone: whatever it says is running, is not."""


class Engine:
    """Owns every running task of this process."""

    def __init__(
        self,
        stores: Stores,
        queue: TaskQueue,
        bus: EventBus,
        worker: Worker,
        fleet: Fleet,
        *,
        now: Callable[[], datetime],
        rules: EngineRules,
        budgets: Budgets | None = None,
    ) -> None:
        self._stores = stores
        self._queue = queue
        self._bus = bus
        self._worker = worker
        self._fleet = fleet
        self._now = now
        self._rules = rules
        self._budgets = budgets
        self._doubted: set[TaskId] = set()
        self._doubt = asyncio.Event()

    @property
    def running(self) -> int:
        """How many tasks run in this process."""
        return self._worker.running

    @asynccontextmanager
    async def started(self) -> AsyncGenerator[None]:
        """Run tasks while inside the block. Leaving it cuts short what `drain` left running."""
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._bus.opened())
            stack.callback(self._bus.listen(self._heard))
            await self._fleet.reap()
            await stack.enter_async_context(self._worker.opened())
            tasks = await stack.enter_async_context(asyncio.TaskGroup())
            serving = tasks.create_task(self._queue.serve(self._worker.run), name="engine-queue")
            looking = [
                tasks.create_task(
                    self._look_after(self._sweep, self._rules.sweep_every), name="engine-sweep"
                ),
                tasks.create_task(
                    self._look_after(self._forget, self._rules.retention_every), name="engine-retention"
                ),
                tasks.create_task(self._check_doubted(), name="engine-doubted"),
            ]
            if self._rules.recover_at_start:
                await self._recover()
            try:
                yield
            finally:
                for task in (serving, *looking):
                    task.cancel()

    async def drain(self, longest: timedelta) -> None:
        """Take nothing new; let what runs finish or park; after `longest` return all the same."""
        await self._queue.stop()
        self._worker.drain()
        try:
            async with asyncio.timeout(longest.total_seconds()):
                await self._worker.idle()
        except TimeoutError:
            log.warning("%d tasks did not reach a checkpoint in time and are cut short", self._worker.running)

    async def _recover(self) -> None:
        """Queue again what an earlier process left: queued tasks as they are, running ones anew."""
        entries = await self._stores.tasks.unfinished()
        queued: list[QueueEntry] = []
        for entry in entries:
            task = await self._stores.tasks.find(entry.task_id)
            if task is None or task.state.terminal:
                continue
            if task.state == "running":
                await self._stores.tasks.update(task.id, self._worker.released("recovered"))
            else:
                queued.append(replace(entry, ticket=task.ticket))
        self._queue.offer(queued)
        if entries:
            log.info(
                "recovered %d tasks of an earlier run, %d of them had been running",
                len(entries),
                len(entries) - len(queued),
            )

    def _heard(self, wake: Wake) -> None:
        """A commit, by this process (with its events) or by another (look for yourself)."""
        if not wake.events:
            self._worker.touched(wake.task_id)
            owned = self._worker.owned() if wake.task_id is None else [wake.task_id]
            self._doubted.update(task_id for task_id in owned if self._worker.owns(task_id) is not None)
            if self._doubted:
                self._doubt.set()
            return
        for journaled in wake.events:
            event = journaled.event
            if self._worker.owns(journaled.task_id) is None:
                if isinstance(event, (PauseRequested, TaskResumed, *TERMINAL_EVENTS)):
                    self._worker.touched(journaled.task_id)
                if isinstance(event, (TaskPaused, *TERMINAL_EVENTS)):
                    self._queue.withdraw(journaled.task_id)
            elif isinstance(event, PauseRequested):
                self._worker.pause(journaled.task_id)
            elif isinstance(event, TaskResumed):
                self._worker.unpause(journaled.task_id)
            elif isinstance(event, TERMINAL_EVENTS):
                self._worker.stop(journaled.task_id)

    async def _check_doubted(self) -> None:
        """Another replica touched a task that runs here: see whether it is still ours."""
        while True:
            await self._doubt.wait()
            self._doubt.clear()
            doubted, self._doubted = self._doubted, set()
            for task_id in doubted:
                try:
                    await self._worker.look_again(task_id)
                except StorageUnavailableError:
                    self._doubted.add(task_id)  # every write is fenced, but a model call is not
                except Exception:
                    log.exception("whether task %s is still ours is not known", task_id)
            if self._doubted:
                await asyncio.sleep(DOUBT_AGAIN_S)
                self._doubt.set()

    async def _look_after(self, job: Callable[[], AsyncIterator[None]], every: timedelta) -> None:
        """Do a job now and then; one that fails is logged and tried at its next turn."""
        while True:
            await asyncio.sleep(every.total_seconds())
            try:
                async for _ in job():
                    continue
            except DomainError as error:
                log.warning("%s: %s", job.__name__, error.message)
            except Exception:
                log.exception("%s failed", job.__name__)

    async def _sweep(self) -> AsyncIterator[None]:
        """End what waited too long; destroy sandboxes whose life is over; look after budgets."""
        for task_id in await self._stores.tasks.overdue(self._now(), limit=500):
            try:
                await self._stores.tasks.update(task_id, lifecycle.expired(self._now()))
            except StorageUnavailableError:
                raise
            except Exception:
                log.exception("task %s could not be ended although it waited too long", task_id)
            yield
        await self._fleet.sweep()
        if self._budgets is not None:
            await self._budgets.look_after()

    async def _forget(self) -> AsyncIterator[None]:
        """Apply retention, a bounded portion at a time."""
        while await self._stores.retention.sweep(
            ended_before=self._now() - self._rules.keep_ended,
            events_per_task=self._rules.events_per_task,
            limit=200,
        ):
            yield
