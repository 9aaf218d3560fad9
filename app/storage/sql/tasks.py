"""`TaskStore` for both makes: writes go to the group commit, reads to the cache or the database."""

import asyncio
from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from app.domain.audit import AuditDraft
from app.domain.errors import IllegalTransitionError, NotFoundError
from app.domain.identity import TenantId
from app.domain.ids import MAX_ID_LENGTH, SessionId, TaskId
from app.domain.lifecycle import Change, Decision
from app.domain.paging import Page
from app.domain.tasks import Task, TaskState
from app.storage.base import Created, IdempotencyRecord, QueueEntry, TaskFilter
from app.storage.codec import decode_ticket, to_us
from app.storage.schema import labels, messages, tasks
from app.storage.sql.commands import CreateTask, UpdateTask
from app.storage.sql.database import Database, Select
from app.storage.sql.forgetting import forget_tasks
from app.storage.sql.group_commit import GroupCommit
from app.storage.sql.listing import Listing
from app.storage.sql.rows import task_of
from app.storage.sql.task_cache import TaskCache

_LISTING = Listing("tasks", tasks.c.created_at, tasks.c.id)


class SqlTaskStore:
    """See `TaskStore`. With a `cache` this process must be the only writer."""

    def __init__(self, database: Database, writer: GroupCommit, cache: TaskCache | None) -> None:
        self._database = database
        self._writer = writer
        self._cache = cache

    async def create(
        self,
        change: Change,
        *,
        idempotency: IdempotencyRecord | None = None,
        sealed_credentials: bytes | None = None,
        max_queued: int | None = None,
        max_unfinished: int | None = None,
        audit: AuditDraft | None = None,
    ) -> Created:
        """See `TaskStore`."""
        command = CreateTask(
            change=change,
            idempotency=idempotency,
            sealed=sealed_credentials,
            max_queued=max_queued,
            max_unfinished=max_unfinished,
            audit=audit,
            done=asyncio.get_running_loop().create_future(),
        )
        await self._writer.submit(command)
        created = await command.done
        if audit is not None:
            audit.written = True
        return created

    async def update(
        self,
        task_id: TaskId,
        decide: Decision,
        *,
        tenant: TenantId | None = None,
        epoch: int | None = None,
        audit: AuditDraft | None = None,
    ) -> Task:
        """See `TaskStore`."""
        if not _possible(task_id):
            raise NotFoundError("task", task_id)
        command = UpdateTask(
            task_id=task_id,
            decide=decide,
            tenant=tenant,
            epoch=epoch,
            audit=audit,
            done=asyncio.get_running_loop().create_future(),
        )
        await self._writer.submit(command)
        task = await command.done
        if audit is not None:
            audit.written = True
        return task

    async def get(self, tenant: TenantId, task_id: TaskId) -> Task:
        """See `TaskStore`."""
        task = await self.find(task_id)
        if task is None or task.tenant != tenant:
            raise NotFoundError("task", task_id)
        return task

    async def find(self, task_id: TaskId) -> Task | None:
        """See `TaskStore`."""
        if not _possible(task_id):
            return None
        if self._cache is None:
            return await self._read(task_id)
        task = self._cache.get(task_id)
        if task is None:
            generation = self._cache.generation
            task = await self._read(task_id)
            if task is not None:
                self._cache.read(task, generation)
        return task

    async def _read(self, task_id: TaskId) -> Task | None:
        query = sa.select(tasks.c.spec, tasks.c.body).where(tasks.c.id == task_id)
        row = await self._database.read(lambda db: db.execute(query).first())
        return None if row is None else task_of(row)

    async def page(self, tenant: TenantId, where: TaskFilter, *, size: int, cursor: str | None) -> Page[Task]:
        """See `TaskStore`."""
        query = sa.select(tasks.c.spec, tasks.c.body, tasks.c.created_at, tasks.c.id)
        query = query.where(tasks.c.tenant == tenant, *_conditions(where))
        return await _LISTING.page(self._database, query, task_of, size=size, cursor=cursor)

    async def delete(self, tenant: TenantId, task_id: TaskId) -> None:
        """See `TaskStore`."""

        def forget(db: sa.Connection) -> None:
            columns = (tasks.c.state, tasks.c.ended_at)
            query = sa.select(*columns).where(tasks.c.id == task_id, tasks.c.tenant == tenant)
            row = db.execute(query.with_for_update()).first()
            if row is None:
                raise NotFoundError("task", task_id)
            if row.ended_at is None:
                raise IllegalTransitionError(
                    f"cannot delete: task {task_id} is {row.state}", task_id=task_id, state=row.state
                )
            forget_tasks(db, [task_id])

        try:
            await self._database.write(forget)
        finally:
            if self._cache is not None:
                self._cache.forget([task_id])

    async def transcript(self, task_ids: Sequence[TaskId]) -> list[tuple[TaskId, bytes]]:
        """See `TaskStore`."""
        query = sa.select(messages.c.task_id, messages.c.body).where(messages.c.task_id.in_(task_ids))
        rows = await self._database.read(lambda db: db.execute(query.order_by(messages.c.id)).all())
        said: dict[TaskId, list[bytes]] = {task_id: [] for task_id in task_ids}
        for task_id, body in rows:
            said[TaskId(task_id)].append(body)
        return [(task_id, body) for task_id, bodies in said.items() for body in bodies]

    async def session_tasks(self, session_id: SessionId) -> list[TaskId]:
        """See `TaskStore`."""
        query = sa.select(tasks.c.id).where(tasks.c.session_id == session_id)
        return await self._ids(query.order_by(tasks.c.created_at, tasks.c.id))

    async def credentials(self, task_id: TaskId) -> bytes | None:
        """See `TaskStore`."""
        query = sa.select(tasks.c.sealed).where(tasks.c.id == task_id)
        return await self._database.read(lambda db: db.execute(query).scalar())

    async def overdue(self, at: datetime, *, limit: int) -> list[TaskId]:
        """See `TaskStore`."""
        query = sa.select(tasks.c.id).where(
            tasks.c.expires_at.is_not(None),
            tasks.c.expires_at <= to_us(at),
            tasks.c.ended_at.is_(None),
            tasks.c.state != TaskState.RUNNING.value,
        )
        return await self._ids(query.order_by(tasks.c.expires_at).limit(limit))

    async def unfinished(self) -> list[QueueEntry]:
        """See `TaskStore`."""
        waiting = (TaskState.QUEUED.value, TaskState.RUNNING.value)
        query = sa.select(tasks.c.id, tasks.c.tenant, tasks.c.body).where(
            tasks.c.ended_at.is_(None), tasks.c.state.in_(waiting)
        )
        query = query.order_by(tasks.c.created_at, tasks.c.id)
        rows = await self._database.read(lambda db: db.execute(query).all())
        ahead: dict[str, int] = {}
        entries: list[QueueEntry] = []
        for task_id, tenant, body in rows:
            entries.append(
                QueueEntry(
                    task_id=TaskId(task_id),
                    tenant=TenantId(tenant),
                    priority=-ahead.get(tenant, 0),
                    ticket=decode_ticket(body),
                )
            )
            ahead[tenant] = ahead.get(tenant, 0) + 1
        return entries

    async def count(self, states: frozenset[TaskState]) -> int:
        """See `TaskStore`."""
        query = sa.select(sa.func.count()).where(tasks.c.state.in_([state.value for state in states]))
        if not any(state.terminal for state in states):  # lets the small index of live tasks answer
            query = query.where(tasks.c.ended_at.is_(None))
        return await self._database.read(lambda db: db.execute(query).scalar_one())

    async def _ids(self, query: Select) -> list[TaskId]:
        rows = await self._database.read(lambda db: db.execute(query).scalars().all())
        return [TaskId(row) for row in rows]


def _possible(task_id: TaskId) -> bool:
    """Whether it can be an id: what cannot must not reach a statement it shares with others."""
    return task_id.isascii() and task_id.isprintable() and len(task_id) <= MAX_ID_LENGTH


def _conditions(where: TaskFilter) -> list[sa.ColumnElement[bool]]:
    conditions: list[sa.ColumnElement[bool]] = []
    if where.states is not None:
        conditions.append(tasks.c.state.in_([state.value for state in where.states]))
    if where.session_id is not None:
        conditions.append(tasks.c.session_id == where.session_id)
    if where.agent_id is not None:
        conditions.append(tasks.c.agent_id == where.agent_id)
    if where.created_after is not None:
        conditions.append(tasks.c.created_at > to_us(where.created_after))
    if where.created_before is not None:
        conditions.append(tasks.c.created_at < to_us(where.created_before))
    for key, value in where.metadata:
        pair = (
            labels.c.task_id == tasks.c.id,
            labels.c.key == key.encode(),
            labels.c.value == value.encode(),
        )
        conditions.append(sa.exists().where(*pair))
    return conditions
