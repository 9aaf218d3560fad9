"""Tasks <-> the columns of their rows, in the order both makes write them."""

from collections.abc import Sequence
from typing import Any

from app.domain.events import JournaledEvent
from app.domain.identity import TenantId
from app.domain.ids import TaskId
from app.domain.tasks import Task
from app.storage.codec import decode_event, decode_task, encode_task, from_us, to_us, to_us_or_none
from app.storage.schema import events
from app.storage.sql.commands import NewTask
from app.storage.sql.database import Row

CREATED_COLUMNS = (
    "id", "tenant", "state", "session_id", "agent_id", "created_at",
    "ended_at", "expires_at", "first_seq", "last_seq", "sealed", "body", "spec",
)  # fmt: skip
CHANGED_COLUMNS = ("id", "state", "ended_at", "expires_at", "first_seq", "last_seq", "body")
EVENT_COLUMNS = ("task_id", "seq", "tenant", "position", "at", "type", "body")


def created_row(task: Task, new: NewTask) -> tuple[Any, ...]:
    """`CREATED_COLUMNS`; a task that ended in the batch that made it keeps no credentials."""
    return (
        task.id,
        task.tenant,
        task.state.value,
        task.spec.session_id,
        task.spec.agent.id,
        to_us(task.created_at),
        to_us_or_none(task.ended_at),
        to_us_or_none(task.expires_at),
        task.first_seq,
        task.last_seq,
        None if task.state.terminal else new.sealed,
        encode_task(task),
        new.spec,
    )


def changed_row(task: Task) -> tuple[Any, ...]:
    """`CHANGED_COLUMNS`."""
    return (
        task.id,
        task.state.value,
        to_us_or_none(task.ended_at),
        to_us_or_none(task.expires_at),
        task.first_seq,
        task.last_seq,
        encode_task(task),
    )


def label_rows(tasks: Sequence[Task]) -> list[tuple[str, bytes, bytes]]:
    """Task, key, value: the metadata pairs of new tasks."""
    return [
        (task.id, key.encode(), value.encode()) for task in tasks for key, value in task.spec.metadata.items()
    ]


def event_row(event: JournaledEvent, body: bytes) -> tuple[Any, ...]:
    """`EVENT_COLUMNS`."""
    return (
        event.task_id,
        event.seq,
        event.tenant,
        event.position,
        to_us(event.at),
        event.event.type,
        body,
    )


def event_of(row: Row) -> JournaledEvent:
    """The event of a row with `EVENT_COLUMNS`."""
    task_id, seq, tenant, position, at, kind, body = row
    return JournaledEvent(
        task_id=TaskId(task_id),
        tenant=TenantId(tenant),
        seq=seq,
        position=position,
        at=from_us(at),
        event=decode_event(kind, body),
    )


def task_of(row: Sequence[Any]) -> Task:
    """The task of a row (spec, body)."""
    return decode_task(row[0], row[1])


event_columns = tuple(events.c[name] for name in EVENT_COLUMNS)
