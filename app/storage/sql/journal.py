"""`EventJournal` for both makes."""

from collections.abc import Sequence

import sqlalchemy as sa

from app.domain.events import JournaledEvent
from app.domain.identity import TenantId
from app.domain.ids import TaskId
from app.storage.schema import events, tenants
from app.storage.sql.database import Database, Select
from app.storage.sql.rows import event_columns, event_of

_LAST = 2**62
"""Beyond any seq; both databases keep 64 bits."""


class SqlJournal:
    """See `EventJournal`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self, task_id: TaskId, after: int, *, limit: int = 500) -> list[JournaledEvent]:
        """See `EventJournal`."""
        if after > _LAST:
            return []
        query = sa.select(*event_columns).where(events.c.task_id == task_id, events.c.seq > after)
        return await self._events(query.order_by(events.c.seq).limit(limit))

    async def read_tenant(self, tenant: TenantId, after: int, *, limit: int = 500) -> list[JournaledEvent]:
        """See `EventJournal`."""
        if after > _LAST:
            return []
        query = sa.select(*event_columns).where(events.c.tenant == tenant, events.c.position > after)
        return await self._events(query.order_by(events.c.position).limit(limit))

    async def positions(self, tenant: TenantId) -> tuple[int, int]:
        """See `EventJournal`."""
        first = sa.select(sa.func.min(events.c.position)).where(events.c.tenant == tenant).scalar_subquery()
        query = sa.select(first, tenants.c.last_position).where(tenants.c.tenant == tenant)
        row = await self._database.read(lambda db: db.execute(query).first())
        if row is None:
            return 1, 0
        kept, last = row
        return (last + 1 if kept is None else kept), last

    async def _events(self, query: Select) -> list[JournaledEvent]:
        def fetch(db: sa.Connection) -> Sequence[JournaledEvent]:
            return [event_of(row) for row in db.execute(query)]

        return list(await self._database.read(fetch))
