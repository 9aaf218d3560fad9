"""A batch of task writes as one SQLite transaction, in as few statements as possible.

Each statement lets go of the interpreter lock and, on a busy loop, waits to get it back; so many
rows travel in one statement (`VALUES (...), (...)`), in chunks of a few sizes that the driver's
statement cache knows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from app.domain.identity import TenantId
from app.domain.ids import SessionId, TaskId
from app.storage.sql.audit_rows import AUDIT_COLUMNS, audit_row
from app.storage.sql.commands import Command, CreateTask, KeptKey, Key, Loaded, SessionRow, Tenant
from app.storage.sql.rows import (
    CHANGED_COLUMNS,
    CREATED_COLUMNS,
    EVENT_COLUMNS,
    changed_row,
    created_row,
    event_row,
    label_rows,
    task_of,
)
from app.storage.sql.settling import Settlement, addressed
from app.storage.sql.subscriptions import DELIVERY_COLUMNS, Subscriptions
from app.storage.sqlite.database import Handle, SqliteDatabase

CHUNKS = (64, 16, 4, 1)
MAX_TENANTS = 10_000


class SqliteTransaction:
    """Commits batches; keeps in memory what only this process writes: tasks and counters."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database
        self._tenants: dict[TenantId, Tenant] = {}
        self._queued: int | None = None
        self._subscriptions = Subscriptions()

    def forget_tenant(self, tenant: TenantId) -> None:
        """Its row was changed by another writer: read it again."""
        self._tenants.pop(tenant, None)

    async def commit(self, commands: list[Command]) -> Settlement:
        """See `Transaction`."""
        async with self._database.exclusive:
            settlement = Settlement(await self._load(commands))
            for command in commands:
                settlement.settle(command)
            if not settlement.written.empty:
                write = _Writing(settlement)
                await self._database.transact(write)
                self._remember(settlement)
            return settlement

    async def _load(self, commands: list[Command]) -> Loaded:
        rows = Loaded(queued=self._queued or 0)
        creates = [command for command in commands if isinstance(command, CreateTask)]
        known = (self._database.cache.get(task_id) for task_id in addressed(commands))
        rows.tasks = {task.id: task for task in known if task is not None}
        owners = {command.change.task.tenant for command in creates} | {t.tenant for t in rows.tasks.values()}
        for tenant in owners & self._tenants.keys():
            rows.tenants[tenant] = _copy(self._tenants[tenant])
        loading = _Loading(
            rows,
            tasks=addressed(commands) - rows.tasks.keys(),
            tenants=owners - rows.tenants.keys(),
            sessions={c.change.task.spec.session_id for c in creates} - {None},
            keys={c.key for c in creates} - {None},
            count_queued=self._queued is None,
            subscriptions=self._subscriptions,
        )
        if loading.needed:
            await self._database.inspect(loading)
        rows.subscriptions = self._subscriptions.of(rows.tenants)
        return rows

    def _remember(self, settlement: Settlement) -> None:
        rows, written = settlement.rows, settlement.written
        changed = written.updated | written.created.keys()
        self._database.cache.committed(rows.tasks[task_id] for task_id in changed)
        if len(self._tenants) > MAX_TENANTS:
            self._tenants.clear()
        self._tenants.update({tenant: rows.tenants[tenant] for tenant in written.tenants})
        self._queued = rows.queued


class _Loading:
    """Reads what is not in memory, on the writer thread."""

    def __init__(
        self,
        rows: Loaded,
        *,
        tasks: set[TaskId],
        tenants: set[TenantId],
        sessions: set[SessionId | None],
        keys: set[Key | None],
        count_queued: bool,
        subscriptions: Subscriptions,
    ) -> None:
        self._rows = rows
        self._tasks = tasks
        self._tenants = tenants
        self._sessions = sessions
        self._keys = keys
        self._count_queued = count_queued
        self._subscriptions = subscriptions

    @property
    def needed(self) -> bool:
        return bool(
            self._tasks
            or self._tenants
            or self._sessions
            or self._keys
            or self._count_queued
            or self._subscriptions.stale(self._rows.tenants)
        )

    def __call__(self, handle: Handle) -> None:
        rows, wanted = self._rows, set(self._tasks)
        query = handle.raw.execute
        for tenant, scope, key in filter(None, self._keys):
            for fingerprint, task_id, expires_at in query(_SELECT_KEY, (tenant, scope, key)):
                rows.keys[tenant, scope, key] = KeptKey(
                    fingerprint=fingerprint, task_id=TaskId(task_id), expires_at=expires_at
                )
                wanted.add(TaskId(task_id))
        for session_id in filter(None, self._sessions):
            sql = "SELECT tenant, task_count, last_task_id, updated_at FROM sessions WHERE id=?"
            for tenant, count, last, updated_at in query(sql, (session_id,)):
                rows.sessions[session_id] = SessionRow(
                    tenant=tenant, task_count=count, last_task_id=last, updated_at=updated_at
                )
                wanted |= {last} - {None}
        for task_id in wanted - rows.tasks.keys():
            for row in query("SELECT spec, body FROM tasks WHERE id=?", (task_id,)):
                rows.tasks[task_id] = task_of(row)
        self._load_tenants(handle)
        if self._count_queued:
            (rows.queued,) = query("SELECT coalesce(sum(queued), 0) FROM tenants").fetchone()

    def _load_tenants(self, handle: Handle) -> None:
        rows, query = self._rows, handle.raw.execute
        owners = self._tenants | {task.tenant for task in rows.tasks.values()}
        for tenant in owners - rows.tenants.keys():
            for last, queued, unfinished, version in query(_SELECT_TENANT, (tenant,)):
                rows.tenants[tenant] = Tenant(
                    last_position=last, queued=queued, unfinished=unfinished, webhooks_version=version
                )
        for tenant in self._subscriptions.stale(rows.tenants):
            version = rows.tenants[tenant].webhooks_version
            self._subscriptions.learn(tenant, version, query(_SELECT_WEBHOOKS, (tenant,)))


class _Writing:
    """Writes a settlement, on the writer thread. Rows are made ready on the loop, beforehand."""

    def __init__(self, settlement: Settlement) -> None:
        rows, written = settlement.rows, settlement.written
        new = settlement.new_tasks
        self._statements: list[tuple[str, str, Sequence[tuple[Any, ...]]]] = [
            (_INSERT_TASKS, "", [created_row(task, written.created[task.id]) for task in new]),
            (_INSERT_LABELS, "", label_rows(new)),
            (_UPDATE_TASKS, _UPDATE_TASKS_END, [changed_row(t) for t in settlement.changed_tasks]),
            (
                _INSERT_EVENTS,
                "",
                [event_row(e, body) for e, body in zip(written.events, written.bodies, strict=True)],
            ),
            (_INSERT_MESSAGES, "", written.messages),
            (
                _PUT_TENANTS,
                _PUT_TENANTS_END,
                [_tenant_row(tenant, rows) for tenant in written.tenants],
            ),
            (_UPDATE_SESSIONS, _UPDATE_SESSIONS_END, [_session_row(s, rows) for s in written.sessions]),
            (
                _PUT_KEYS,
                "",
                [(*key, k.fingerprint, k.task_id, k.expires_at) for key, k in written.keys.items()],
            ),
            (_INSERT_DELIVERIES, "", written.deliveries),
            (_INSERT_AUDIT, _ONCE, [audit_row(entry) for entry in written.entries]),
        ]

    def __call__(self, handle: Handle) -> None:
        for head, tail, rows in self._statements:
            for chunk in _chunked(rows):
                marks = ",".join(["(" + ",".join("?" * len(chunk[0])) + ")"] * len(chunk))
                handle.raw.execute(f"{head} {marks} {tail}", [value for row in chunk for value in row])


def _chunked(rows: Sequence[tuple[Any, ...]]) -> Iterator[Sequence[tuple[Any, ...]]]:
    start = 0
    while start < len(rows):
        size = next(size for size in CHUNKS if size <= len(rows) - start)
        yield rows[start : start + size]
        start += size


def _session_row(session_id: SessionId, rows: Loaded) -> tuple[Any, ...]:
    row = rows.sessions[session_id]
    return session_id, row.task_count, row.last_task_id, row.updated_at


def _copy(tenant: Tenant) -> Tenant:
    return replace(tenant)


def _tenant_row(name: TenantId, rows: Loaded) -> tuple[Any, ...]:
    tenant = rows.tenants[name]
    return name, tenant.last_position, tenant.queued, tenant.unfinished


def _insert(table: str, columns: Sequence[str]) -> str:
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES"


_SELECT_KEY = """
    SELECT fingerprint, task_id, expires_at FROM idempotency WHERE tenant=? AND scope=? AND key=?
"""
_SELECT_TENANT = "SELECT last_position, queued, unfinished, webhooks_version FROM tenants WHERE tenant=?"
_SELECT_WEBHOOKS = "SELECT id, body FROM webhooks WHERE tenant=? AND enabled ORDER BY id"
_INSERT_TASKS = _insert("tasks", CREATED_COLUMNS)
_INSERT_LABELS = _insert("labels", ("task_id", "key", "value"))
_INSERT_EVENTS = _insert("events", EVENT_COLUMNS)
_INSERT_MESSAGES = _insert("messages", ("task_id", "body"))
_INSERT_AUDIT = _insert("audit_log", AUDIT_COLUMNS)
_ONCE = "ON CONFLICT DO NOTHING"
_PUT_TENANTS = _insert("tenants", ("tenant", "last_position", "queued", "unfinished"))
_PUT_TENANTS_END = (
    "ON CONFLICT (tenant) DO UPDATE SET last_position = excluded.last_position,"
    " queued = excluded.queued, unfinished = excluded.unfinished"
)
_INSERT_DELIVERIES = _insert("webhook_deliveries", DELIVERY_COLUMNS)
_PUT_KEYS = _insert(
    "idempotency", ("tenant", "scope", "key", "fingerprint", "task_id", "expires_at")
).replace("INSERT", "REPLACE")
# Columns of a VALUES list are called column1, column2, ... in SQLite. The last task column is the
# body; `sealed` goes when the task ends.
_UPDATE_TASKS = (
    "UPDATE tasks SET "  # noqa: S608 - our own names
    + ", ".join(f"{name} = v.column{n}" for n, name in enumerate(CHANGED_COLUMNS, start=1) if name != "id")
    + ", sealed = CASE WHEN v.column3 IS NULL THEN sealed END FROM (VALUES"
)
_UPDATE_TASKS_END = ") AS v WHERE tasks.id = v.column1"
_UPDATE_SESSIONS = (
    "UPDATE sessions SET task_count = v.column2, last_task_id = v.column3, updated_at = v.column4"
    " FROM (VALUES"
)
_UPDATE_SESSIONS_END = ") AS v WHERE sessions.id = v.column1"
