"""Tasks in memory, for a process that is the only writer of its database.

Used on the event loop only. Filled by commits before these are acknowledged, so a read from here
is linearizable; a read that had to ask the database may fill it only when no commit came between.
"""

from collections import OrderedDict
from collections.abc import Iterable

from app.domain.ids import TaskId
from app.domain.tasks import Task

ROW_WEIGHT = 4_096
"""Roughly what a task costs in memory besides its long texts, in bytes."""


class TaskCache:
    """The most recently used tasks, of about `max_bytes` together."""

    def __init__(self, max_bytes: int = 64 * 1024 * 1024) -> None:
        self._tasks: OrderedDict[TaskId, Task] = OrderedDict()
        self._max_bytes = max_bytes
        self._bytes = 0
        self.generation = 0
        """Rises with every commit."""

    def get(self, task_id: TaskId) -> Task | None:
        """The task as last committed; None is 'not here', not 'does not exist'."""
        task = self._tasks.get(task_id)
        if task is not None:
            self._tasks.move_to_end(task_id)
        return task

    def committed(self, tasks: Iterable[Task]) -> None:
        """Keep what a commit wrote."""
        self.generation += 1
        for task in tasks:
            self._put(task)

    def read(self, task: Task, generation: int) -> None:
        """Keep what the database said, unless it may be stale by now."""
        if generation == self.generation:
            self._put(task)

    def forget(self, task_ids: Iterable[TaskId]) -> None:
        """Drop tasks that were deleted or changed behind the writer's back."""
        self.generation += 1
        for task_id in task_ids:
            self._drop(self._tasks.pop(task_id, None))

    def _put(self, task: Task) -> None:
        self._drop(self._tasks.pop(task.id, None))
        self._tasks[task.id] = task
        self._bytes += _weight(task)
        while self._bytes > self._max_bytes and len(self._tasks) > 1:
            self._drop(self._tasks.popitem(last=False)[1])

    def _drop(self, task: Task | None) -> None:
        if task is not None:
            self._bytes -= _weight(task)


def _weight(task: Task) -> int:
    output = 0 if task.result is None else len(task.result.output)
    return ROW_WEIGHT + len(task.spec.instruction) + output
