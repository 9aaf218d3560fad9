"""What goes when a task goes: its events, transcript, labels, keys and claims on bytes."""

from collections.abc import Sequence

import sqlalchemy as sa

from app.domain.ids import TaskId
from app.storage.schema import claims, events, idempotency, labels, messages, tasks, webhook_deliveries


def forget_tasks(db: sa.Connection, task_ids: Sequence[TaskId]) -> None:
    """Delete ended tasks and all that is theirs, in the caller's transaction."""
    for table in (events, messages, labels, idempotency, claims):
        db.execute(sa.delete(table).where(table.c.task_id.in_(task_ids)))
    told = sa.delete(webhook_deliveries).where(webhook_deliveries.c.task_id.in_(task_ids))
    db.execute(told.where(webhook_deliveries.c.ended_at.is_not(None)))  # the others are still to be told
    db.execute(sa.delete(tasks).where(tasks.c.id.in_(task_ids)))
