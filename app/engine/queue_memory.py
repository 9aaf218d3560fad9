"""`TaskQueue` inside one process: a heap, for the embedded default.

The truth is in the store: what waits here is lost with the process and offered again at the next
start (`TaskStore.unfinished`). It is bounded by the store, which admits `max_queued` tasks.

Not pgqueuer's in-memory mode: measured, it gives a slot free only when its buffered log is
flushed (a batch, or 100 ms), so eight workers on 5 ms tasks reach 76 % of what they could; it
needs two slots at least; and it costs 45 to 340 us of CPU a task where this costs 5 to 90.
"""

import asyncio
import heapq
import logging
from collections.abc import Sequence
from itertools import count
from time import monotonic

from app.domain.ids import TaskId
from app.engine.base import Backlog, RunTask
from app.storage.base import QueueEntry

log = logging.getLogger(__name__)

RETRY_DELAY_S = 1.0
MAX_RETRY_DELAY_S = 60.0
MAX_DEAD = 1_024
"""Entries nobody waits for any more that are not worth tidying up."""

_Entry = tuple[TaskId, int]
"""A task and its ticket."""


class MemoryTaskQueue:
    """See `TaskQueue`. A task that is offered twice before it is handed out is handed out once.

    What was withdrawn, or offered again with a newer ticket, stays in the heap until its turn comes,
    or until the heap is mostly made of such.
    """

    def __init__(self, *, max_concurrent: int, retry_delay_s: float = RETRY_DELAY_S) -> None:
        if max_concurrent < 1:
            raise ValueError("max_concurrent must be at least 1")
        self._slots = max_concurrent
        self._retry_delay_s = retry_delay_s
        self._heap: list[tuple[int, int, _Entry]] = []
        self._waiting: dict[TaskId, int] = {}
        self._since: dict[TaskId, float] = {}
        """When each came, the oldest first."""
        self._failures: dict[_Entry, int] = {}
        self._order = count()
        self._running = 0
        self._changed = asyncio.Event()
        self._stopped = False

    def offer(self, entries: Sequence[QueueEntry]) -> None:
        """See `TaskQueue`."""
        for entry in entries:
            self._put((entry.task_id, entry.ticket), entry.priority)

    def withdraw(self, task_id: TaskId) -> None:
        """See `TaskQueue`."""
        if self._waiting.pop(task_id, None) is not None:
            del self._since[task_id]
            self._tidy()

    async def serve(self, run: RunTask) -> None:
        """See `TaskQueue`. Cancelling it cancels what runs."""
        async with asyncio.TaskGroup() as group:
            while not self._stopped:
                while self._heap and self._running < self._slots and not self._stopped:
                    priority, _, entry = heapq.heappop(self._heap)
                    if self._waiting.get(entry[0]) != entry[1]:
                        continue
                    del self._waiting[entry[0]], self._since[entry[0]]
                    self._running += 1
                    group.create_task(self._run(run, entry, -priority), name=f"run {entry[0]}")
                self._changed.clear()
                await self._changed.wait()

    async def stop(self) -> None:
        """See `TaskQueue`."""
        self._stopped = True
        self._changed.set()

    async def backlog(self) -> Backlog:
        """See `TaskQueue`."""
        oldest = next(iter(self._since.values()), None)
        return Backlog(waiting=len(self._waiting), oldest_s=0.0 if oldest is None else monotonic() - oldest)

    def _put(self, entry: _Entry, priority: int) -> None:
        task_id, ticket = entry
        if self._waiting.get(task_id, -1) >= ticket:
            return
        self._waiting[task_id] = ticket
        self._since.pop(task_id, None)
        self._since[task_id] = monotonic()
        heapq.heappush(self._heap, (-priority, next(self._order), entry))
        self._tidy()
        self._changed.set()

    def _tidy(self) -> None:
        if len(self._heap) > 2 * len(self._waiting) + MAX_DEAD:
            self._heap = [item for item in self._heap if self._waiting.get(item[2][0]) == item[2][1]]
            heapq.heapify(self._heap)

    async def _run(self, run: RunTask, entry: _Entry, priority: int) -> None:
        try:
            await run(*entry)
        except Exception:
            failures = self._failures[entry] = self._failures.get(entry, 0) + 1
            delay_s = min(self._retry_delay_s * 2 ** (failures - 1), MAX_RETRY_DELAY_S)
            log.exception("running task %s failed; again in %.1f s", entry[0], delay_s)
            asyncio.get_running_loop().call_later(delay_s, self._put, entry, priority)
        else:
            self._failures.pop(entry, None)
        finally:
            self._running -= 1
            self._changed.set()
