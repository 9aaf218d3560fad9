"""Pages of a table by a time and an id, newest first; rows added meanwhile do not move them."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

import sqlalchemy as sa

from app.domain.errors import InvalidCursorError
from app.domain.paging import Page, decode_cursor, encode_cursor
from app.storage.sql.database import Database, Row, Select

T = TypeVar("T")

_TIME: Final = re.compile(r"-?[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class Listing:
    """A listing's name (cursors of another one are refused) and its sort keys."""

    name: str
    created_at: sa.ColumnElement[int]
    id: sa.ColumnElement[str]

    async def page(
        self,
        database: Database,
        query: Select,
        item_of: Callable[[Row], T],
        *,
        size: int,
        cursor: str | None,
    ) -> Page[T]:
        """One page; `query` selects the sort keys last. Raises InvalidCursorError."""
        if cursor is not None:
            query = query.where(sa.tuple_(self.created_at, self.id) < self._after(cursor))
        query = query.order_by(self.created_at.desc(), self.id.desc()).limit(size + 1)
        rows = await database.read(lambda db: db.execute(query).all())
        if len(rows) <= size:
            return Page(items=[item_of(row) for row in rows])
        rows = rows[:size]
        *_, created_at, last_id = rows[-1]
        cursor = encode_cursor(self.name, str(created_at), last_id)
        return Page(items=[item_of(row) for row in rows], next_cursor=cursor)

    def _after(self, cursor: str) -> sa.Tuple:
        created_at, last_id = decode_cursor(self.name, cursor, 2)
        if not _TIME.fullmatch(created_at):
            raise InvalidCursorError
        return sa.tuple_(sa.literal(int(created_at), sa.BigInteger), sa.literal(last_id, sa.String))
