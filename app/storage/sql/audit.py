"""`AuditStore` for both makes."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from app.domain.audit import AuditEntry, AuditFilter
from app.domain.errors import InvalidCursorError
from app.domain.identity import TenantId
from app.domain.paging import Page, decode_cursor, encode_cursor
from app.storage.codec import to_us
from app.storage.schema import audit_horizon, audit_log
from app.storage.sql.audit_rows import AUDIT_COLUMNS, audit_row, entry_of_row, text_bytes
from app.storage.sql.database import Database, Select
from app.storage.sql.gathering import Gathering

_SELECT: Final = sa.select(audit_log)
_ORDER: Final = (audit_log.c.at, audit_log.c.id)
_TIME: Final = re.compile(r"[0-9]{1,18}")
_HORIZON: Final = 1
"""The id of the only row of `audit_horizon`."""


class SqlAuditStore:
    """See `AuditStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._appending = Gathering[Sequence[AuditEntry], None](self._commit)

    async def append(self, entries: Sequence[AuditEntry]) -> None:
        """See `AuditStore`."""
        if entries:
            await self._appending.hand_in(entries)

    async def page(
        self,
        tenant: TenantId | None,
        where: AuditFilter,
        *,
        size: int,
        cursor: str | None,
        oldest_first: bool = False,
    ) -> Page[AuditEntry]:
        """See `AuditStore`."""
        query = _filtered(_SELECT if tenant is None else _SELECT.where(audit_log.c.tenant == tenant), where)
        name, key = ("audit-oldest" if oldest_first else "audit"), sa.tuple_(*_ORDER)
        if cursor is not None:
            last = _last_of(name, cursor)
            query = query.where(key > last if oldest_first else key < last)
        order = _ORDER if oldest_first else tuple(column.desc() for column in _ORDER)
        query = query.order_by(*order).limit(size + 1)
        rows = await self._database.read(lambda db: db.execute(query).all())
        items = [entry_of_row(row) for row in rows[:size]]
        if len(rows) <= size:
            return Page(items=items)
        return Page(items=items, next_cursor=encode_cursor(name, str(rows[size - 1].at), items[-1].id))

    async def forget(self, *, before: datetime, limit: int) -> int:
        """See `AuditStore`."""
        end = to_us(before)

        def forget(db: sa.Connection) -> int:
            _let_go(db, end)
            old = sa.select(*_ORDER).where(audit_log.c.at < end).order_by(*_ORDER).limit(limit)
            delete = sa.delete(audit_log).where(sa.tuple_(*_ORDER).in_(old))
            return db.execute(delete).rowcount

        return await self._database.write(forget)

    async def _commit(self, batch: Sequence[Sequence[AuditEntry]]) -> Sequence[None]:
        rows = [
            dict(zip(AUDIT_COLUMNS, audit_row(entry), strict=True)) for entries in batch for entry in entries
        ]
        await self._database.write(lambda db: _insert(db, rows))
        return [None] * len(batch)


def _insert(db: sa.Connection, rows: list[dict[str, Any]]) -> None:
    make = postgresql.insert if db.dialect.name == "postgresql" else sqlite.insert
    db.execute(make(audit_log).on_conflict_do_nothing(), rows).close()


def _let_go(db: sa.Connection, end: int) -> None:
    """Rows from before `end` may be deleted from now on; the horizon never moves back."""
    make = postgresql.insert if db.dialect.name == "postgresql" else sqlite.insert
    upsert = make(audit_horizon).values(id=_HORIZON, at=end)
    at = audit_horizon.c.at
    db.execute(upsert.on_conflict_do_update(index_elements=["id"], set_={"at": end}, where=at < end)).close()


def _filtered(query: Select, where: AuditFilter) -> Select:
    columns = audit_log.c
    if where.since is not None:
        query = query.where(columns.at >= to_us(where.since))
    if where.until is not None:
        query = query.where(columns.at < to_us(where.until))
    for column, value in (
        (columns.subject, None if where.subject is None else text_bytes(where.subject)),
        (columns.action, where.action),
        (columns.resource, where.resource),
        (columns.resource_id, None if where.resource_id is None else text_bytes(where.resource_id)),
        (columns.outcome, where.outcome),
    ):
        if value is not None:
            query = query.where(column == value)
    return query


def _last_of(name: str, cursor: str) -> sa.Tuple:
    at, entry_id = decode_cursor(name, cursor, 2)
    if not _TIME.fullmatch(at):
        raise InvalidCursorError
    return sa.tuple_(sa.literal(int(at), sa.BigInteger), sa.literal(entry_id, sa.String))
