"""Who waits for the end of which task."""

import asyncio


class Ends:
    """Lets each submitter wait for the end of its task."""

    def __init__(self) -> None:
        self._early: set[str] = set()
        self._waiting: dict[str, asyncio.Future[None]] = {}

    def over(self, task_id: str) -> None:
        """A terminal event came."""
        waiter = self._waiting.pop(task_id, None)
        if waiter is None:
            self._early.add(task_id)
        else:
            waiter.set_result(None)

    async def wait(self, task_id: str) -> None:
        """Until that task has ended."""
        if task_id in self._early:
            self._early.discard(task_id)
            return
        waiter = self._waiting[task_id] = asyncio.get_running_loop().create_future()
        await waiter
