"""One SQLite file: a writer thread with the only writing connection, and a few readers.

Connections are in driver autocommit; transactions are begun and ended here by name. `exclusive`
orders the writers on the loop, so whatever one reads before its transaction still holds in it.
"""

import asyncio
import contextlib
import fcntl
import os
import sqlite3
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, TypeVar

import sqlalchemy as sa
from sqlalchemy import exc

from app.domain.errors import InvalidRequestError, StorageUnavailableError
from app.storage.migrations import runner
from app.storage.sql.task_cache import TaskCache

T = TypeVar("T")

READERS = 3
PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA busy_timeout = 5000",
    "PRAGMA foreign_keys = ON",
    "PRAGMA cache_size = -16000",
    "PRAGMA wal_autocheckpoint = 1000",
)


class Handle:
    """One connection, seen by SQLAlchemy (`core`) and by the hot path (`raw`)."""

    def __init__(self, path: Path) -> None:
        self.raw = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=256)
        for pragma in PRAGMAS:
            self.raw.execute(pragma)
        engine = sa.create_engine("sqlite://", creator=lambda: self.raw, poolclass=sa.StaticPool)
        self.core = engine.connect()

    @contextlib.contextmanager
    def transaction(self) -> Generator[None]:
        """BEGIN IMMEDIATE to COMMIT; an error, also of COMMIT, rolls back."""
        self.raw.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.raw.execute("COMMIT")
        except BaseException:
            if self.raw.in_transaction:
                self.raw.execute("ROLLBACK")
            raise

    def close(self) -> None:
        """Idempotent."""
        self.core.close()
        self.raw.close()


class SqliteDatabase:
    """`Database` on one file. Made by `open_database`."""

    def __init__(self, path: Path, cache: TaskCache) -> None:
        self.cache = cache
        self.exclusive = asyncio.Lock()
        self._writer = Handle(path)
        self._writer_thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite-writer")
        self._reader = threading.local()
        self._readers: list[Handle] = []
        self._reader_threads = ThreadPoolExecutor(
            READERS, thread_name_prefix="sqlite-reader", initializer=self._open_reader, initargs=(path,)
        )

    async def read(self, query: Callable[[sa.Connection], T]) -> T:
        """See `Database`."""
        return await self._run(self._reader_threads, lambda: query(self._reader.handle.core))

    async def write(self, work: Callable[[sa.Connection], T]) -> T:
        """See `Database`."""
        async with self.exclusive:
            return await self.transact(lambda handle: work(handle.core))

    async def transact(self, work: Callable[[Handle], T]) -> T:
        """Run `work` on the writer thread in one transaction; the caller holds `exclusive`.

        When the caller is cancelled the transaction still ends before the cancellation goes on:
        `exclusive` must not be let go earlier.
        """

        def run() -> T:
            with self._writer.transaction():
                return work(self._writer)

        return await self._run(self._writer_thread, run)

    async def inspect(self, query: Callable[[Handle], T]) -> T:
        """Read on the writer's connection; the caller holds `exclusive`."""
        return await self._run(self._writer_thread, lambda: query(self._writer))

    async def _run(self, threads: ThreadPoolExecutor, work: Callable[[], T]) -> T:
        try:
            running = asyncio.get_running_loop().run_in_executor(threads, work)
        except RuntimeError:
            raise StorageUnavailableError("the store is closed") from None
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            with contextlib.suppress(Exception):
                await running
            raise
        except UnicodeError:
            raise InvalidRequestError.of("id", "is not valid Unicode", "NOT_UNICODE") from None
        except (sqlite3.OperationalError, exc.OperationalError) as error:
            raise StorageUnavailableError(f"SQLite cannot do this now: {_cause(error)}") from error

    def _open_reader(self, path: Path) -> None:
        handle = Handle(path)
        handle.raw.execute("PRAGMA query_only = ON")
        self._reader.handle = handle
        self._readers.append(handle)

    def close(self) -> None:
        """Wait for what runs and close every connection; the writer last, as it folds the WAL in."""
        self._reader_threads.shutdown()
        for handle in self._readers:
            handle.close()
        self._writer_thread.shutdown()
        self._writer.close()


@contextlib.asynccontextmanager
async def open_database(path: Path, *, cache_bytes: int) -> AsyncGenerator[SqliteDatabase]:
    """Lock, open and migrate the file; its directory is made when missing.

    Raises:
        StorageUnavailableError: another process has it open, or it cannot be opened.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        lock = stack.enter_context(_lock_file(path))
        _lock(lock, path)
        os.close(_private(path, os.O_RDWR))  # SQLite gives its other files the mode of this one
        try:
            database = SqliteDatabase(path, TaskCache(cache_bytes))
        except sqlite3.Error as error:
            raise StorageUnavailableError(f"cannot open {path.name}: {error}") from error
        try:
            await _migrate(database)
            yield database
        finally:
            await asyncio.to_thread(database.close)


async def _migrate(database: SqliteDatabase) -> None:
    async with database.exclusive:
        if await database.inspect(lambda handle: runner.up_to_date(handle.core)):
            return
        await database.transact(lambda handle: runner.upgrade(handle.core))


def _private(path: str | Path, flags: int) -> int:
    """Open a file that, when it is new, only its owner can read: it holds what tenants said."""
    return os.open(path, flags | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _lock_file(path: Path) -> IO[str]:
    return os.fdopen(_private(path.with_name(path.name + ".lock"), os.O_RDWR), "a")


def _lock(lock: IO[str], path: Path) -> None:
    # Not on the database file itself: closing any descriptor of it would drop SQLite's own locks.
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        message = f"{path} is in use by another process (each needs its own storage.data_dir)"
        raise StorageUnavailableError(message) from None


def _cause(error: Exception) -> str:
    origin = getattr(error, "orig", None)
    return str(origin if origin is not None else error)
