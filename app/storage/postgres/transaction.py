"""A batch of task writes as one PostgreSQL transaction.

Rows are locked class by class (idempotency keys, sessions, tasks, tenants) and by key within each,
so two replicas wait for each other but never in a circle. The tenants come last: whoever commits
events of a tenant holds its counter, and so positions are given out in commit order, without holes.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import asyncpg

from app.domain.errors import InvalidRequestError, StorageUnavailableError
from app.domain.events import JournaledEvent
from app.domain.identity import TenantId
from app.domain.ids import SessionId, TaskId
from app.storage.base import QueueEntry
from app.storage.postgres.database import CONFLICTS, Address, sqlstate
from app.storage.postgres.writing import write
from app.storage.sql.commands import Command, CreateTask, KeptKey, Loaded, SessionRow, Tenant
from app.storage.sql.group_commit import TransientConflictError
from app.storage.sql.rows import task_of
from app.storage.sql.settling import Settlement, addressed
from app.storage.sql.subscriptions import Subscriptions

log = logging.getLogger(__name__)

IN_DOUBT_S = 10.0
"""How long the server is asked what became of a COMMIT before the answer counts as no."""

Connection = Any
"""An `asyncpg.Connection`."""
Enqueue = Callable[[Connection, Sequence[QueueEntry]], Awaitable[None]]
"""Puts tasks on a queue that lives in the same database, in the transaction of that connection."""
Notify = Callable[[Connection, Sequence[JournaledEvent]], Awaitable[None]]
"""Tells the other replicas, when and if the transaction of that connection commits."""

_RESERVE_KEYS = """
    INSERT INTO idempotency AS kept (tenant, scope, key, fingerprint, task_id, expires_at)
    SELECT tenant, scope, key, '', '', 0
    FROM unnest($1::text[], $2::text[], $3::text[]) AS new (tenant, scope, key) ORDER BY 1, 2, 3
    ON CONFLICT (tenant, scope, key) DO UPDATE SET fingerprint = kept.fingerprint
    RETURNING tenant, scope, key, fingerprint, task_id, expires_at
"""
_LOCK_SESSIONS = """
    SELECT id, tenant, task_count, last_task_id, updated_at FROM sessions
    WHERE id = ANY($1::text[]) ORDER BY id FOR UPDATE
"""
_LOCK_TASKS = "SELECT spec, body FROM tasks WHERE id = ANY($1::text[]) ORDER BY id FOR UPDATE"
_LOCK_TENANTS = """
    SELECT tenant, last_position, queued, unfinished, webhooks_version, pg_current_xact_id()::text AS xid
    FROM tenants
    WHERE tenant = ANY($1::text[]) ORDER BY tenant FOR UPDATE
"""
_NEW_TENANTS = """
    INSERT INTO tenants (tenant, last_position, queued, unfinished)
    SELECT tenant, 0, 0, 0 FROM unnest($1::text[]) AS new (tenant) ORDER BY 1 ON CONFLICT DO NOTHING
"""
_WEBHOOKS = """
    SELECT tenant, id, body FROM webhooks WHERE tenant = ANY($1::text[]) AND enabled ORDER BY id
"""
_QUEUED = "SELECT coalesce(sum(queued), 0)::bigint FROM tenants"
_STATUS = "SELECT pg_xact_status($1::text::xid8)"


class PostgresTransaction:
    """Commits batches over one connection of its own, opened again when it is lost."""

    def __init__(self, address: Address, *, enqueue: Enqueue | None, notify: Notify | None) -> None:
        self._address = address
        self._enqueue = enqueue
        self._notify = notify
        self._connection: asyncpg.Connection[Any] | None = None
        self._subscriptions = Subscriptions()

    async def commit(self, commands: list[Command]) -> Settlement:
        """See `Transaction`."""
        db = await self._connected()
        try:
            return await self._commit(db, commands)
        except asyncpg.DataError as error:  # the server's, and below the driver's: a bad value
            raise InvalidRequestError.of("task", "holds a character that cannot be stored") from error
        except asyncpg.PostgresError as error:
            if sqlstate(error) in CONFLICTS:
                raise TransientConflictError from error
            if not db.is_closed():
                raise
            raise StorageUnavailableError(f"PostgreSQL went away: {type(error).__name__}") from error
        except (OSError, TimeoutError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
            # InternalClientError: the connection was cut in the middle of the operation before this one.
            if isinstance(error, ValueError):
                raise InvalidRequestError.of("task", "holds a value that cannot be stored") from error
            db.terminate()
            raise StorageUnavailableError(f"PostgreSQL went away: {type(error).__name__}") from error

    async def _commit(self, db: "asyncpg.Connection[Any]", commands: list[Command]) -> Settlement:
        transaction = db.transaction()
        await transaction.start()
        try:
            rows, xid = await self._load(db, commands)
            settlement = Settlement(rows)
            for command in commands:
                settlement.settle(command)
            written = settlement.written
            if written.empty:
                await transaction.rollback()
                return settlement
            await write(db, settlement)
            if written.queue and self._enqueue is not None:
                await self._enqueue(db, written.queue)
            if written.events and self._notify is not None:
                await self._notify(db, written.events)
        except BaseException:
            with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await transaction.rollback()
            raise
        try:
            await transaction.commit()
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            if sqlstate(error) in CONFLICTS or not await self._was_committed(xid):
                raise
        return settlement

    async def _was_committed(self, xid: str) -> bool:
        """Ask, over a new connection, what became of a COMMIT whose answer was lost."""
        log.warning("the connection was lost in COMMIT; asking what became of it")
        with contextlib.suppress(StorageUnavailableError, OSError, TimeoutError, asyncpg.PostgresError):
            if self._connection is not None:
                self._connection.terminate()
            db = await self._connected()
            async with asyncio.timeout(IN_DOUBT_S):
                while (status := await db.fetchval(_STATUS, xid)) == "in progress":  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            return status == "committed"
        return False

    async def _load(self, db: "asyncpg.Connection[Any]", commands: list[Command]) -> tuple[Loaded, str]:
        rows = Loaded()
        creates = [command for command in commands if isinstance(command, CreateTask)]
        wanted = addressed(commands)
        if keys := {command.key for command in creates} - {None}:
            for tenant, scope, key, fingerprint, task_id, expires_at in await db.fetch(
                _RESERVE_KEYS, *map(list, zip(*filter(None, keys), strict=True))
            ):
                rows.keys[tenant, scope, key] = KeptKey(
                    fingerprint=fingerprint, task_id=TaskId(task_id), expires_at=expires_at
                )
                wanted.add(TaskId(task_id))
        if sessions := {command.change.task.spec.session_id for command in creates} - {None}:
            for session_id, tenant, count, last, updated_at in await db.fetch(_LOCK_SESSIONS, list(sessions)):
                rows.sessions[SessionId(session_id)] = SessionRow(
                    tenant=TenantId(tenant), task_count=count, last_task_id=last, updated_at=updated_at
                )
                wanted |= {last} - {None}
        if wanted:
            for row in await db.fetch(_LOCK_TASKS, list(wanted)):
                task = task_of(row)
                rows.tasks[task.id] = task
        tenants = {command.change.task.tenant for command in creates} | {
            t.tenant for t in rows.tasks.values()
        }
        xid = await self._lock_tenants(db, rows, sorted(tenants))
        if any(command.max_queued is not None for command in creates):
            rows.queued = await db.fetchval(_QUEUED)
        return rows, xid

    async def _lock_tenants(
        self, db: "asyncpg.Connection[Any]", rows: Loaded, tenants: list[TenantId]
    ) -> str:
        if not tenants:
            return ""
        found = await db.fetch(_LOCK_TENANTS, tenants)
        if len(found) < len(tenants):
            await db.execute(_NEW_TENANTS, tenants)
            found = await db.fetch(_LOCK_TENANTS, tenants)
        for row in found:
            counters = Tenant(
                last_position=row["last_position"],
                queued=row["queued"],
                unfinished=row["unfinished"],
                webhooks_version=row["webhooks_version"],
            )
            rows.tenants[TenantId(row["tenant"])] = counters
        if stale := self._subscriptions.stale(rows.tenants):
            webhooks = await db.fetch(_WEBHOOKS, stale)
            for name in stale:
                own = [(row["id"], row["body"]) for row in webhooks if row["tenant"] == name]
                self._subscriptions.learn(name, rows.tenants[name].webhooks_version, own)
        rows.subscriptions = self._subscriptions.of(rows.tenants)
        return str(found[0]["xid"])

    async def _connected(self) -> "asyncpg.Connection[Any]":
        if self._connection is None or self._connection.is_closed():
            self._connection = await self._address.connect()
        return self._connection

    async def close(self) -> None:
        """Idempotent; bounded by the driver's timeout."""
        if self._connection is not None:
            with contextlib.suppress(OSError, TimeoutError, asyncpg.PostgresError):
                await self._connection.close(timeout=5)
