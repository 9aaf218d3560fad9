"""`BrowserSessionStore` and `StreamTicketStore` for both makes."""

from datetime import datetime

import sqlalchemy as sa

from app.domain.access import BrowserSession, StreamTicket
from app.storage.codec import decode_principal, encode_principal, from_us, to_us
from app.storage.schema import browser_sessions, stream_tickets
from app.storage.sql.database import Database


class SqlBrowserSessionStore:
    """See `BrowserSessionStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, session: BrowserSession) -> None:
        """See `BrowserSessionStore`."""
        insert = sa.insert(browser_sessions).values(
            digest=session.digest,
            id=session.id,
            tenant=session.principal.tenant,
            created_at=to_us(session.created_at),
            used_at=to_us(session.used_at),
            expires_at=to_us(session.expires_at),
            principal=encode_principal(session.principal),
        )
        await self._database.write(lambda db: db.execute(insert).close())

    async def find(self, digest: str) -> BrowserSession | None:
        """See `BrowserSessionStore`."""
        return await self._one(browser_sessions.c.digest == digest)

    async def get(self, session_id: str) -> BrowserSession | None:
        """See `BrowserSessionStore`."""
        return await self._one(browser_sessions.c.id == session_id)

    async def _one(self, where: sa.ColumnElement[bool]) -> BrowserSession | None:
        query = sa.select(browser_sessions).where(where)
        row = await self._database.read(lambda db: db.execute(query).first())
        if row is None:
            return None
        return BrowserSession(
            id=row.id,
            digest=row.digest,
            principal=decode_principal(row.principal),
            created_at=from_us(row.created_at),
            used_at=from_us(row.used_at),
            expires_at=from_us(row.expires_at),
        )

    async def touch(self, digest: str, at: datetime) -> None:
        """See `BrowserSessionStore`."""
        here = (browser_sessions.c.digest == digest, browser_sessions.c.used_at < to_us(at))
        update = sa.update(browser_sessions).where(*here).values(used_at=to_us(at))
        await self._database.write(lambda db: db.execute(update).close())

    async def end(self, session_id: str) -> None:
        """See `BrowserSessionStore`."""
        forget = sa.delete(browser_sessions).where(browser_sessions.c.id == session_id)
        await self._database.write(lambda db: db.execute(forget).close())


class SqlStreamTicketStore:
    """See `StreamTicketStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, ticket: StreamTicket) -> None:
        """See `StreamTicketStore`."""
        insert = sa.insert(stream_tickets).values(
            digest=ticket.digest,
            tenant=ticket.principal.tenant,
            expires_at=to_us(ticket.expires_at),
            path=ticket.path.encode(),
            principal=encode_principal(ticket.principal),
        )
        await self._database.write(lambda db: db.execute(insert).close())

    async def take(self, digest: str) -> StreamTicket | None:
        """See `StreamTicketStore`. One statement: the row lock lets a single taker have it."""
        columns = (stream_tickets.c.path, stream_tickets.c.principal, stream_tickets.c.expires_at)
        take = sa.delete(stream_tickets).where(stream_tickets.c.digest == digest).returning(*columns)
        row = await self._database.write(lambda db: db.execute(take).first())
        if row is None:
            return None
        return StreamTicket(
            digest=digest,
            principal=decode_principal(row.principal),
            path=row.path.decode(),
            expires_at=from_us(row.expires_at),
        )
