"""`Buckets` over PostgreSQL: one statement for all calls that wait, on an unlogged table.

A row that many replicas want is held for one statement at most. A crash of the server empties the table:
every rate starts whole again.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import asyncpg

from app.domain.errors import StorageUnavailableError
from app.domain.rates import Draw
from app.domain.secrets import Secret
from app.policy.batches import Batches
from app.policy.buckets import Taken, name_of

CONNECT_TIMEOUT_S = 5.0
COMMAND_TIMEOUT_S = 5.0
SWEEP_EVERY_S = 30.0
SWEEP_ROWS = 10_000
_LOST = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
_TAKE = "SELECT admitted, levels FROM take_rates($1::int[], $2::text[], $3::bigint[], $4::bigint[])"
# What is whole needs no row; who draws from it again makes it anew.
_SWEEP = """
    DELETE FROM rate_buckets WHERE key IN (
      SELECT key FROM rate_buckets
      WHERE due < (extract(epoch FROM clock_timestamp()) - 3600) * 1000000
      LIMIT $1 FOR UPDATE SKIP LOCKED
    )
"""


class PostgresBuckets:
    """See `Buckets`. Over one connection of its own, opened again when it is lost."""

    def __init__(self, dsn: Secret, *, schema: str = "public") -> None:
        self._dsn = dsn
        self._schema = schema
        self._batches = Batches(self._carry)
        self._connection: asyncpg.Connection[Any] | None = None
        self._swept = 0.0

    async def take(self, draws: Sequence[Draw]) -> Taken:
        """See `Buckets`."""
        return await self._batches.take(draws)

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncGenerator[None]:
        """See `Buckets`."""
        try:
            with contextlib.suppress(*_LOST):
                await self._connected()  # the first calls should not have to wait for it
            async with self._batches.carried():
                yield
        finally:
            self._drop()

    async def _carry(self, takes: list[Sequence[Draw]]) -> list[Taken]:
        draws = [
            (number, name_of(key), rate.interval_us, rate.span_us)
            for number, drawn in enumerate(takes, start=1)
            for key, rate in drawn
        ]
        try:
            db = await self._connected()
            rows = await db.fetch(_TAKE, *map(list, zip(*draws, strict=True)))
            await self._sweep(db)
        except _LOST as error:
            self._drop()
            raise StorageUnavailableError(f"PostgreSQL: {type(error).__name__}") from error
        return [(admitted, levels) for admitted, levels in rows]

    async def _sweep(self, db: "asyncpg.Connection[Any]") -> None:
        now = asyncio.get_running_loop().time()
        if now - self._swept > SWEEP_EVERY_S:
            self._swept = now
            await db.execute(_SWEEP, SWEEP_ROWS)

    async def _connected(self) -> "asyncpg.Connection[Any]":
        if self._connection is None or self._connection.is_closed():
            quoted = '"' + self._schema.replace('"', '""') + '"'
            self._connection = await asyncpg.connect(
                self._dsn.reveal(),
                timeout=CONNECT_TIMEOUT_S,
                command_timeout=COMMAND_TIMEOUT_S,
                server_settings={
                    "search_path": quoted,
                    "application_name": "agent-gateway limits",
                    "synchronous_commit": "off",
                },
            )
        return self._connection

    def _drop(self) -> None:
        """A connection on which something failed is not used again."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None
