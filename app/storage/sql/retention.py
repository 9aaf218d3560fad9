"""`Retention` for both makes."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import sqlalchemy as sa

from app.domain.ids import TaskId
from app.storage.codec import encode_task, to_us
from app.storage.schema import browser_sessions, events, idempotency, keyed_calls, stream_tickets, tasks
from app.storage.sql.artifacts import Blobs
from app.storage.sql.database import Database
from app.storage.sql.forgetting import forget_tasks
from app.storage.sql.rows import task_of
from app.storage.sql.task_cache import TaskCache

MAX_BLOBS = 1_000
"""Unclaimed digests dropped per sweep."""


def _now() -> datetime:
    return datetime.now(UTC)


class SqlRetention:
    """See `Retention`."""

    def __init__(
        self,
        database: Database,
        blobs: Blobs,
        cache: TaskCache | None,
        *,
        now: Callable[[], datetime] = _now,
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._cache = cache
        self._now = now

    async def sweep(self, *, ended_before: datetime, events_per_task: int, limit: int) -> int:
        """See `Retention`. `events_per_task` 0 keeps all events."""
        gone = await self._changing_tasks(lambda db: _forget_ended(db, ended_before, limit))
        left = limit - len(gone)
        trimmed: Sequence[TaskId] = ()
        if left > 0 and events_per_task > 0:
            trimmed = await self._changing_tasks(lambda db: _trim(db, events_per_task, left))
        now = to_us(self._now())
        await self._database.write(lambda db: _forget_expired(db, now))
        await self._blobs.drop_unclaimed(limit=MAX_BLOBS)
        return len(gone) + len(trimmed)

    async def _changing_tasks(self, work: Callable[[sa.Connection], list[TaskId]]) -> list[TaskId]:
        """Run `work`, and let the cache forget the tasks it returns.

        The cache is told in the same step of the loop that ends the transaction, so no other
        command can start from what it held. It is told what was tried even when that failed.
        """
        touched: list[TaskId] = []

        def run(db: sa.Connection) -> None:
            touched[:] = work(db)

        try:
            await self._database.write(run)
        finally:
            if self._cache is not None:
                self._cache.forget(touched)
        return touched


def _forget_expired(db: sa.Connection, now_us: int) -> None:
    for table in (idempotency, keyed_calls, browser_sessions, stream_tickets):
        db.execute(sa.delete(table).where(table.c.expires_at <= now_us))


def _forget_ended(db: sa.Connection, before: datetime, limit: int) -> list[TaskId]:
    old = sa.select(tasks.c.id).where(tasks.c.ended_at.is_not(None), tasks.c.ended_at < to_us(before))
    old = old.order_by(tasks.c.ended_at).limit(limit).with_for_update(skip_locked=True)
    gone = [TaskId(task_id) for task_id in db.execute(old).scalars()]
    if gone:
        forget_tasks(db, gone)
    return gone


def _trim(db: sa.Connection, keep: int, limit: int) -> list[TaskId]:
    """The newest event stays in any case, and a terminal event is the newest."""
    long = sa.select(tasks.c.spec, tasks.c.body).where(tasks.c.last_seq - tasks.c.first_seq >= keep)
    long = long.order_by(tasks.c.id).limit(limit).with_for_update(skip_locked=True)
    trimmed: list[TaskId] = []
    for row in db.execute(long).all():
        task = task_of(row)
        task = replace(task, first_seq=task.last_seq - keep + 1)
        db.execute(sa.delete(events).where(events.c.task_id == task.id, events.c.seq < task.first_seq))
        update = sa.update(tasks).where(tasks.c.id == task.id)
        db.execute(update.values(first_seq=task.first_seq, body=encode_task(task)))
        trimmed.append(task.id)
    return trimmed
