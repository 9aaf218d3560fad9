"""One PostgreSQL schema: connections, migration, and the stores' transactions over SQLAlchemy."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import asyncpg
import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from app.domain.errors import DomainError, InvalidRequestError, StorageUnavailableError
from app.storage.migrations import runner

T = TypeVar("T")

CONNECT_TIMEOUT_S = 10.0
COMMAND_TIMEOUT_S = 30.0
POOL_SIZE = 8
MAX_ATTEMPTS = 5
MIGRATION_LOCK = 0x61676761_74650001
"""Advisory lock keys of ours begin with these bytes ("aggate")."""
CONFLICTS = ("40001", "40P01")
"""SQLSTATE: serialization failure, deadlock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where the tables are. The DSN may hold a password: it is not printed."""

    dsn: str
    schema: str

    async def connect(self) -> "asyncpg.Connection[Any]":
        """A new connection that sees the schema. Raises StorageUnavailableError."""
        quoted = '"' + self.schema.replace('"', '""') + '"'
        try:
            return await asyncpg.connect(
                self.dsn,
                timeout=CONNECT_TIMEOUT_S,
                command_timeout=COMMAND_TIMEOUT_S,
                server_settings={"search_path": quoted, "application_name": "agent-gateway"},
            )
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise StorageUnavailableError(f"PostgreSQL cannot be reached: {type(error).__name__}") from error

    def __repr__(self) -> str:
        return f"Address(schema={self.schema!r})"


class PostgresDatabase:
    """`Database` over a pool. Made by `open_database`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._reading = engine.execution_options(isolation_level="AUTOCOMMIT")

    async def read(self, query: Callable[[sa.Connection], T]) -> T:
        """See `Database`. Once again when the pooled connection turns out to be dead."""
        try:
            return await self._read(query)
        except StorageUnavailableError:
            return await self._read(query)

    async def _read(self, query: Callable[[sa.Connection], T]) -> T:
        with _translated():
            async with self._reading.connect() as connection:
                return await connection.run_sync(query)

    async def write(self, work: Callable[[sa.Connection], T]) -> T:
        """See `Database`."""
        for attempt in range(1, MAX_ATTEMPTS + 1):
            try:
                with _translated():
                    async with self._engine.begin() as connection:
                        return await connection.run_sync(work)
            except _ConflictError:
                await asyncio.sleep(0.005 * attempt)
        raise StorageUnavailableError(f"{MAX_ATTEMPTS} attempts to commit met a conflict")


class _ConflictError(Exception):
    """The same transaction may succeed when tried again."""


@contextlib.contextmanager
def _translated():
    try:
        yield
    except DomainError:
        raise
    except UnicodeError:
        raise InvalidRequestError.of("id", "is not valid Unicode", "NOT_UNICODE") from None
    except exc.DBAPIError as error:
        state = sqlstate(error.orig)
        if state in CONFLICTS:
            raise _ConflictError from error
        if state.startswith("22"):  # data exception: U+0000 in a text, say
            raise InvalidRequestError.of("id", "holds a character that cannot be stored") from None
        raise StorageUnavailableError(f"PostgreSQL refused: {type(error.orig).__name__}") from error
    except (
        exc.TimeoutError,
        OSError,
        TimeoutError,
        asyncpg.InterfaceError,
        asyncpg.InternalClientError,
    ) as error:
        raise StorageUnavailableError(f"PostgreSQL cannot be reached: {type(error).__name__}") from error


def sqlstate(error: BaseException | None) -> str:
    """The five characters of a PostgreSQL error, "" for anything else."""
    return str(getattr(error, "sqlstate", None) or getattr(error, "pgcode", None) or "")


@contextlib.asynccontextmanager
async def open_database(address: Address, *, pool_size: int = POOL_SIZE) -> AsyncGenerator[PostgresDatabase]:
    """Connect and migrate. Raises StorageUnavailableError."""
    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=address.connect,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=CONNECT_TIMEOUT_S,
    )
    try:
        database = PostgresDatabase(engine)
        await _migrate(database, address.schema)
        yield database
    finally:
        await engine.dispose()


async def _migrate(database: PostgresDatabase, schema: str) -> None:
    if await database.read(runner.up_to_date):
        return

    def upgrade(db: sa.Connection) -> None:
        db.execute(sa.select(sa.func.pg_advisory_xact_lock(MIGRATION_LOCK)))
        db.execute(sa.schema.CreateSchema(schema, if_not_exists=True))
        if not runner.up_to_date(db):
            runner.upgrade(db)

    await database.write(upgrade)
