"""`SessionStore` for both makes. `create` of tasks counts them in (see `settling`)."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import exc

from app.domain.errors import AlreadyExistsError, NotFoundError, SessionBusyError
from app.domain.identity import TenantId
from app.domain.ids import SandboxId, SessionId
from app.domain.paging import Page
from app.domain.sessions import Session
from app.storage.codec import decode_pairs, encode_pairs, from_us, to_us
from app.storage.schema import sessions, tasks
from app.storage.sql.database import Database, Row
from app.storage.sql.listing import Listing

_LISTING = Listing("sessions", sessions.c.created_at, sessions.c.id)
_COLUMNS = tuple(c for c in sessions.c if c.name not in ("created_at", "id"))
_SELECT = sa.select(*_COLUMNS, sessions.c.created_at, sessions.c.id)


class SqlSessionStore:
    """See `SessionStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, session: Session) -> Session:
        """See `SessionStore`."""
        row = {
            "id": session.id,
            "tenant": session.tenant,
            "created_at": to_us(session.created_at),
            "updated_at": to_us(session.updated_at),
            "task_count": session.task_count,
            "last_task_id": session.last_task_id,
            "sandbox_id": session.sandbox_id,
            "title": session.title.encode(),
            "metadata": encode_pairs(session.metadata),
        }

        def insert(db: sa.Connection) -> None:
            try:
                db.execute(sa.insert(sessions).values(row))
            except exc.IntegrityError:
                raise AlreadyExistsError(f"session {session.id!r} exists", session_id=session.id) from None

        await self._database.write(insert)
        return session

    async def get(self, tenant: TenantId, session_id: SessionId) -> Session:
        """See `SessionStore`."""
        query = _SELECT.where(sessions.c.tenant == tenant, sessions.c.id == session_id)
        row = await self._database.read(lambda db: db.execute(query).first())
        if row is None:
            raise NotFoundError("session", session_id)
        return _session_of(row)

    async def page(self, tenant: TenantId, *, size: int, cursor: str | None) -> Page[Session]:
        """See `SessionStore`."""
        query = _SELECT.where(sessions.c.tenant == tenant)
        return await _LISTING.page(self._database, query, _session_of, size=size, cursor=cursor)

    async def keep_sandbox(self, session_id: SessionId, sandbox_id: SandboxId | None, at: datetime) -> None:
        """See `SessionStore`."""
        update = sa.update(sessions).where(sessions.c.id == session_id)
        update = update.values(sandbox_id=sandbox_id, updated_at=to_us(at))
        await self._database.write(lambda db: db.execute(update).close())

    async def delete(self, tenant: TenantId, session_id: SessionId) -> None:
        """See `SessionStore`."""
        here = (sessions.c.tenant == tenant, sessions.c.id == session_id)

        def forget(db: sa.Connection) -> None:
            row = db.execute(sa.select(sessions.c.last_task_id).where(*here).with_for_update()).first()
            if row is None:
                raise NotFoundError("session", session_id)
            working = sa.select(tasks.c.id).where(tasks.c.id == row[0], tasks.c.ended_at.is_(None))
            busy = db.execute(working).scalar()
            if busy is not None:
                raise SessionBusyError(
                    f"session {session_id} still works on task {busy}", session_id=session_id, task_id=busy
                )
            db.execute(sa.delete(sessions).where(*here))

        await self._database.write(forget)


def _session_of(row: Row) -> Session:
    return Session(
        id=row.id,
        tenant=row.tenant,
        title=row.title.decode(),
        metadata=decode_pairs(row.metadata),
        created_at=from_us(row.created_at),
        updated_at=from_us(row.updated_at),
        task_count=row.task_count,
        last_task_id=row.last_task_id,
        sandbox_id=row.sandbox_id,
    )
