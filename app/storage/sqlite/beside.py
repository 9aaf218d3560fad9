"""A few statements on a database file that another process may own: the operator's command line.

Only for tables of which the owner keeps nothing in memory.
"""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy import exc

from app.domain.errors import StorageUnavailableError
from app.storage.migrations import runner
from app.storage.sqlite.database import Handle, open_database

T = TypeVar("T")


class BesideDatabase:
    """Makes `Database` with one connection on a thread of its own."""

    def __init__(self, handle: Handle, thread: ThreadPoolExecutor) -> None:
        self._handle = handle
        self._thread = thread

    async def read(self, query: Callable[[sa.Connection], T]) -> T:
        """See `Database`."""
        return await self._run(lambda: query(self._handle.core))

    async def write(self, work: Callable[[sa.Connection], T]) -> T:
        """See `Database`. Waits for the owner's transaction, 5 s at most."""

        def run() -> T:
            with self._handle.transaction():
                return work(self._handle.core)

        return await self._run(run)

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except (sqlite3.OperationalError, exc.OperationalError) as error:
            raise StorageUnavailableError(f"SQLite cannot do this now: {error}") from error


@contextlib.asynccontextmanager
async def open_beside(path: Path) -> AsyncGenerator[BesideDatabase]:
    """The database, made and migrated when nobody owns it.

    Raises StorageUnavailableError, also when its owner is of another version than this program.
    """
    with contextlib.suppress(StorageUnavailableError):  # somebody owns it, and migrated it
        async with open_database(path, cache_bytes=0):
            pass
    with ThreadPoolExecutor(1, thread_name_prefix="sqlite-beside") as thread:
        loop = asyncio.get_running_loop()
        try:
            handle = await loop.run_in_executor(thread, Handle, path)
        except sqlite3.Error as error:
            raise StorageUnavailableError(f"cannot open {path.name}: {error}") from error
        try:
            database = BesideDatabase(handle, thread)
            if not await database.read(runner.up_to_date):
                raise StorageUnavailableError(
                    f"{path} is owned by a server of another version: stop it, or use its own command line"
                )
            yield database
        finally:
            await loop.run_in_executor(thread, handle.close)
