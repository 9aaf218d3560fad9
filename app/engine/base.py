"""The ports the engine stands on: a queue of tasks and a bus of wake-ups."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from app.domain.events import JournaledEvent
from app.domain.identity import TenantId
from app.domain.ids import TaskId
from app.storage.base import QueueEntry

RunTask = Callable[[TaskId, int], Awaitable[None]]
"""`(task_id, ticket)`: the ticket of the `QueueEntry`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """How many tasks wait, and for how many seconds the first of them (0 when none waits)."""

    waiting: int
    oldest_s: float = 0.0


class TaskQueue(Protocol):
    """Hands queued tasks to workers, at least once; the store's epoch makes that harmless."""

    def offer(self, entries: Sequence[QueueEntry]) -> None:
        """Told after the commit that queued them. A make whose queue is part of the store's
        transaction ignores it."""
        ...

    def withdraw(self, task_id: TaskId) -> None:
        """Told after the commit that ended or parked a queued task. A hint: what is handed out all the
        same is refused by the store."""
        ...

    async def serve(self, run: RunTask) -> None:
        """Call `run` for queued tasks, at most `max_concurrent` at once, until `stop`.

        A task whose process dies, or whose `run` raises, is handed out again (lease expiry).
        """
        ...

    async def stop(self) -> None:
        """Hand out nothing more; `serve` returns when what runs has returned."""
        ...

    async def backlog(self) -> Backlog:
        """What waits now. Raises StorageUnavailableError."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Wake:
    """Something was committed for a task, or (`task_id` None) possibly for any: re-read.

    `events` are the events themselves when they were committed by this process.
    """

    task_id: TaskId | None
    tenant: TenantId | None = None
    events: tuple[JournaledEvent, ...] = ()


Listener = Callable[[Wake], None]
"""Called on the event loop; must neither block nor raise."""


class EventBus(Protocol):
    """Wake-ups, never truth: a lost one costs at most the fallback poll."""

    def committed(self, events: Sequence[JournaledEvent]) -> None:
        """Tell this process' listeners of its own commits."""
        ...

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Register; call what is returned to stop. Idempotent."""
        ...

    def opened(self) -> AbstractAsyncContextManager[None]:
        """Hear other replicas while inside the block (reconnects by itself)."""
        ...
