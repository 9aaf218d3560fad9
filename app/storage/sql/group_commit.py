"""Group commit: while one transaction is on its way, the commands of the next one pile up.

An idle store commits at once, so a single caller waits for one fsync and no timer; a busy one
shares each fsync among all that wait. Callers are told after the commit and the listeners before
them, so an acknowledged event is durable and on its way to every reader.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable
from time import perf_counter
from typing import Protocol

from app.domain.errors import DomainError, StorageUnavailableError
from app.storage.base import OnCommit
from app.storage.sql.commands import Command, Written
from app.storage.sql.settling import Outcome, Settlement

log = logging.getLogger(__name__)

MAX_BATCH = 512
"""Commands in one transaction: bounds how long one commit holds its locks."""
MAX_PENDING = 4_096
"""Commands waiting; beyond it callers wait for room."""
MAX_ATTEMPTS = 5

ObserveCommit = Callable[[int, float, bool], None]
"""Told of each transaction: its commands, the seconds it took, whether it was kept. Must not raise."""


def unobserved(commands: int, duration_s: float, kept: bool) -> None:
    """Tells nobody."""
    del commands, duration_s, kept


class TransientConflictError(Exception):
    """Another transaction was in the way (serialization, deadlock): the same batch may succeed."""


class Transaction(Protocol):
    """One make's way to commit a batch."""

    async def commit(self, commands: list[Command]) -> Settlement:
        """Load what they need, settle them, write, COMMIT.

        Raises:
            StorageUnavailableError: nothing was kept.
            TransientConflictError: nothing was kept; try again.
        """
        ...


class GroupCommit:
    """The single writer of a store. Use `running` around it."""

    def __init__(
        self,
        transaction: Transaction,
        on_commit: OnCommit,
        *,
        linger_s: float = 0.0,
        observe: ObserveCommit = unobserved,
        on_deliveries: Callable[[], None] | None = None,
    ) -> None:
        """`on_deliveries` is told after a commit that wrote deliveries of webhooks."""
        self._transaction = transaction
        self._on_commit = on_commit
        self._linger_s = linger_s
        self._observe = observe
        self._on_deliveries = on_deliveries
        self._pending: deque[Command] = deque()
        self._work = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._closed = False

    async def submit(self, command: Command) -> None:
        """Hand a command over; its `done` is resolved after the commit. Waits for room."""
        while len(self._pending) >= MAX_PENDING and not self._closed:
            self._room.clear()
            await self._room.wait()
        if self._closed:
            raise StorageUnavailableError("the store is closed")
        self._pending.append(command)
        self._work.set()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Commit while inside the block; leaving it commits what was handed over."""
        # Not a task group: it would cancel the writer, and lose what was handed over, as soon as
        # the block raises, and wrap what it raised.
        writer = asyncio.create_task(self._run(), name="group-commit")  # noqa: TID251
        try:
            yield
        finally:
            self._closed = True
            self._work.set()
            self._room.set()
            await writer

    async def _run(self) -> None:
        while True:
            if not self._pending:
                if self._closed:
                    return
                self._work.clear()
                await self._work.wait()
                continue
            await self._commit(self._take())
            if not self._room.is_set() and len(self._pending) < MAX_PENDING:
                self._room.set()
            await self._let_others_in()

    async def _let_others_in(self) -> None:
        """Those just told get their turn to hand over the next command before the next commit.

        After that a turn of the loop that brings nothing new ends the wait, `linger_s` at the
        latest: a busy loop gathers bigger batches, and nobody waits for a timer on an idle one.
        """
        await asyncio.sleep(0)
        loop, seen = asyncio.get_running_loop(), 0
        deadline = loop.time() + self._linger_s
        while seen < len(self._pending) < MAX_BATCH and loop.time() < deadline:
            seen = len(self._pending)
            await asyncio.sleep(0)

    def _take(self) -> list[Command]:
        if len(self._pending) <= MAX_BATCH:
            batch = list(self._pending)
            self._pending.clear()
            return batch
        return [self._pending.popleft() for _ in range(MAX_BATCH)]

    async def _commit(self, batch: list[Command]) -> None:
        try:
            settlement = await self._attempt(batch)
        except asyncio.CancelledError:
            _tell(batch, [StorageUnavailableError("the store was closed in mid-commit")] * len(batch))
            raise
        except StorageUnavailableError as error:
            log.warning("a commit of %d commands failed: %s", len(batch), error.message)
            _tell(batch, [error] * len(batch))
        except Exception as error:
            if len(batch) == 1:
                if not isinstance(error, DomainError):
                    log.exception("a command could not be committed")
                _tell(batch, [error])
                return
            # One command spoils the statement it is in: find it, do not punish the others.
            for command in batch:
                await self._commit([command])
        else:
            self._publish(settlement.written)
            _tell(batch, settlement.outcomes)

    async def _attempt(self, batch: list[Command]) -> Settlement:
        for attempt in range(1, MAX_ATTEMPTS + 1):
            began, kept = perf_counter(), False
            try:
                settlement = await self._transaction.commit(batch)
                kept = True
                return settlement
            except TransientConflictError:
                await asyncio.sleep(0.005 * attempt)
            finally:
                self._observe(len(batch), perf_counter() - began, kept)
        raise StorageUnavailableError(f"{MAX_ATTEMPTS} attempts to commit met a conflict")

    def _publish(self, written: Written) -> None:
        if not (written.events or written.queue):
            return
        try:
            self._on_commit(written.events, written.queue)
        except Exception:
            log.exception("a listener of commits raised")
        if written.deliveries and self._on_deliveries is not None:
            self._on_deliveries()


def _tell(batch: list[Command], outcomes: Iterable[Outcome]) -> None:
    for command, outcome in zip(batch, outcomes, strict=True):
        done: asyncio.Future[object] = command.done  # pyright: ignore[reportAssignmentType]
        if done.done():  # its caller was cancelled; the write stands
            continue
        if isinstance(outcome, Exception):
            done.set_exception(outcome)
        else:
            done.set_result(outcome)
