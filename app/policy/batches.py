"""Calls that wait for a store, taken to it together."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

from app.domain.errors import StorageUnavailableError
from app.domain.rates import Draw
from app.policy.buckets import Taken

MAX_BATCH = 256
MAX_WAITING = 4_096

Carry = Callable[[list[Sequence[Draw]]], Awaitable[list[Taken]]]
"""Carries takes out, in their order. Raises StorageUnavailableError for all of them."""


class Batches:
    """While one batch is on its way the next calls pile up and become the next one, as in the store's
    group commit: no timer, and a busy process asks seldom."""

    def __init__(self, carry: Carry) -> None:
        self._carry = carry
        self._waiting: list[tuple[Sequence[Draw], asyncio.Future[Taken]]] = []
        self._some = asyncio.Event()

    async def take(self, draws: Sequence[Draw]) -> Taken:
        """See `Buckets`. Who stops waiting before its batch has left takes nothing."""
        if len(self._waiting) >= MAX_WAITING:
            raise StorageUnavailableError("too many calls wait to be counted")
        done: asyncio.Future[Taken] = asyncio.get_running_loop().create_future()
        self._waiting.append((draws, done))
        self._some.set()
        return await done

    @contextlib.asynccontextmanager
    async def carried(self) -> AsyncGenerator[None]:
        """Carry batches while inside the block."""
        async with asyncio.TaskGroup() as group:
            serving = group.create_task(self._serve(), name="rate-buckets")
            try:
                yield
            finally:
                serving.cancel()

    async def _serve(self) -> None:
        while True:
            await self._some.wait()
            batch = [one for one in self._waiting[:MAX_BATCH] if not one[1].done()]
            del self._waiting[:MAX_BATCH]
            if not self._waiting:
                self._some.clear()
            if not batch:
                continue
            try:
                outcomes = await self._carry([draws for draws, _ in batch])
            except StorageUnavailableError as error:
                for _, done in batch:
                    if not done.done():
                        done.set_exception(error)
                continue
            for (_, done), outcome in zip(batch, outcomes, strict=True):
                if not done.done():
                    done.set_result(outcome)
