"""Small writes that share a transaction when they come at once.

The first to come commits; who comes meanwhile waits, and the next of them commits for all. There is
no task of its own and no wait on an idle store. What is handed in must be idempotent: when the one
that commits is cancelled, the next commits the same again for those that still wait.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from app.domain.errors import DomainError, StorageUnavailableError

log = logging.getLogger(__name__)
MAX_BATCH = 256
MAX_PENDING = 8_192

Ask = TypeVar("Ask")
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting(Generic[Ask, Answer]):
    ask: Ask
    done: asyncio.Future[Answer]


class Gathering(Generic[Ask, Answer]):
    """`commit` writes a batch in one transaction and returns what each of it is told, or raises."""

    def __init__(self, commit: Callable[[Sequence[Ask]], Awaitable[Sequence[Answer | Exception]]]) -> None:
        self._commit = commit
        self._pending: deque[_Waiting[Ask, Answer]] = deque()
        self._turn = asyncio.Lock()

    async def hand_in(self, ask: Ask) -> Answer:
        """What came of it, once it is committed. Raises what `commit` says, StorageUnavailableError."""
        if len(self._pending) >= MAX_PENDING:
            raise StorageUnavailableError("too many writes wait for the store")
        done: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        waiting = _Waiting(ask, done)
        self._pending.append(waiting)
        try:
            async with self._turn:
                while not waiting.done.done():
                    await self._next()
        finally:
            if not waiting.done.done():
                waiting.done.cancel()
        return waiting.done.result()

    async def _next(self) -> None:
        batch = [self._pending.popleft() for _ in range(min(len(self._pending), MAX_BATCH))]
        batch = [one for one in batch if not one.done.done()]
        try:
            await self._carry_out(batch)
        except asyncio.CancelledError:
            self._pending.extendleft(one for one in reversed(batch) if not one.done.done())
            raise

    async def _carry_out(self, batch: Sequence[_Waiting[Ask, Answer]]) -> None:
        try:
            answers = await self._commit([one.ask for one in batch])
        except StorageUnavailableError as error:
            answers = [error] * len(batch)
        except Exception as error:
            if len(batch) > 1:  # one of them spoils the statement: not for the others
                for one in batch:
                    await self._carry_out([one])
                return
            if not isinstance(error, DomainError):
                log.exception("a write could not be committed")
            answers = [error]
        for one, answer in zip(batch, answers, strict=True):
            if one.done.done():
                continue
            if isinstance(answer, Exception):
                one.done.set_exception(answer)
            else:
                one.done.set_result(answer)
