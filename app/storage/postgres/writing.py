"""Writes a settlement with one statement, rows as arrays (`unnest`).

Each statement is a round trip in which the tenants stay locked for the other replicas.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import asyncpg

from app.storage.sql.audit_rows import AUDIT_COLUMNS, audit_row
from app.storage.sql.commands import Loaded
from app.storage.sql.rows import (
    CHANGED_COLUMNS,
    CREATED_COLUMNS,
    EVENT_COLUMNS,
    changed_row,
    created_row,
    event_row,
    label_rows,
)
from app.storage.sql.settling import Settlement
from app.storage.sql.subscriptions import DELIVERY_COLUMNS

_TYPES = {
    "created_at": "bigint", "ended_at": "bigint", "expires_at": "bigint", "updated_at": "bigint",
    "first_seq": "bigint", "last_seq": "bigint", "seq": "bigint", "position": "bigint", "at": "bigint",
    "last_position": "bigint", "queued": "bigint", "unfinished": "bigint", "task_count": "int",
    "attempts": "int", "next_attempt_at": "bigint",
    "sealed": "bytea", "body": "bytea", "spec": "bytea", "metadata_key": "bytea", "value": "bytea",
    "resource_id": "bytea", "subject": "bytea",
}  # fmt: skip
"""The types of columns that are not text."""


@dataclass(frozen=True, slots=True)
class _Part:
    """One table's share of the statement; `{rows}` in `text` stands for the new rows."""

    text: str
    columns: Sequence[str]

    def render(self, first: int) -> str:
        """The text, its parameters numbered from `first`."""
        arrays = ", ".join(
            f"${n}::{_TYPES.get(name, 'text')}[]" for n, name in enumerate(self.columns, start=first)
        )
        names = ", ".join(self.columns)
        return self.text.format(rows=f"unnest({arrays}) WITH ORDINALITY AS new ({names}, number)")


def _insert(table: str, columns: Sequence[str], more: str = "") -> _Part:
    names = ", ".join(columns)
    text = f"INSERT INTO {table} ({names}) SELECT {names} FROM {{rows}} ORDER BY number{more}"  # noqa: S608
    return _Part(text, columns)


def _update(table: str, columns: Sequence[str], more: str = "") -> _Part:
    """By the first column; `more` sets what is not in the new rows."""
    settings = ", ".join(f"{name} = new.{name}" for name in columns[1:])
    text = f"UPDATE {table} SET {settings}{more} FROM {{rows}}"  # noqa: S608
    return _Part(f"{text} WHERE {table}.{columns[0]} = new.{columns[0]}", columns)


_PARTS = (
    _insert("tasks", CREATED_COLUMNS),
    _Part(
        "INSERT INTO labels (task_id, key, value) SELECT task_id, metadata_key, value FROM {rows}",
        ("task_id", "metadata_key", "value"),
    ),
    _update("tasks", CHANGED_COLUMNS, ", sealed = CASE WHEN new.ended_at IS NULL THEN tasks.sealed END"),
    _insert("events", EVENT_COLUMNS),
    _insert("messages", ("task_id", "body")),
    _update("sessions", ("id", "task_count", "last_task_id", "updated_at")),
    _Part(
        "UPDATE idempotency SET fingerprint = new.fingerprint, task_id = new.task_id,"
        " expires_at = new.expires_at FROM {rows} WHERE idempotency.tenant = new.tenant"
        " AND idempotency.scope = new.scope AND idempotency.key = new.key",
        ("tenant", "scope", "key", "fingerprint", "task_id", "expires_at"),
    ),
    _update("tenants", ("tenant", "last_position", "queued", "unfinished")),
    _insert("webhook_deliveries", DELIVERY_COLUMNS),
    _insert("audit_log", AUDIT_COLUMNS, " ON CONFLICT DO NOTHING"),
)


@cache
def _statement(used: tuple[int, ...]) -> str:
    """One statement for these parts: no row is in two of them, so their order does not matter."""
    texts: list[str] = []
    first = 1
    for number in used:
        part = _PARTS[number]
        texts.append(f"part{number} AS ({part.render(first)})")
        first += len(part.columns)
    return f"WITH {', '.join(texts)} SELECT"


async def write(db: "asyncpg.Connection[Any]", settlement: Settlement) -> None:
    """Write every row that differs, in the transaction of `db`, with one statement."""
    rows, written = settlement.rows, settlement.written
    new = settlement.new_tasks
    values: tuple[Sequence[tuple[Any, ...]], ...] = (
        [created_row(task, written.created[task.id]) for task in new],
        label_rows(new),
        [changed_row(task) for task in settlement.changed_tasks],
        [event_row(e, body) for e, body in zip(written.events, written.bodies, strict=True)],
        written.messages,
        _session_rows(settlement),
        [(*key, k.fingerprint, k.task_id, k.expires_at) for key, k in written.keys.items()],
        _tenant_rows(rows, settlement),
        written.deliveries,
        [audit_row(entry) for entry in written.entries],
    )
    used = tuple(number for number, some in enumerate(values) if some)
    arrays = [list(column) for number in used for column in zip(*values[number], strict=True)]
    await db.execute(_statement(used), *arrays)


def _session_rows(settlement: Settlement) -> list[tuple[Any, ...]]:
    sessions = settlement.rows.sessions
    return [
        (key, sessions[key].task_count, sessions[key].last_task_id, sessions[key].updated_at)
        for key in settlement.written.sessions
    ]


def _tenant_rows(rows: Loaded, settlement: Settlement) -> list[tuple[Any, ...]]:
    found = ((name, rows.tenants[name]) for name in settlement.written.tenants)
    return [(name, tenant.last_position, tenant.queued, tenant.unfinished) for name, tenant in found]
