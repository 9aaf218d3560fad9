"""`AgentStore` for both makes."""

from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc

from app.domain.agents import AgentDefinition
from app.domain.errors import AlreadyExistsError, NotFoundError, StaleVersionError
from app.domain.identity import TenantId
from app.domain.ids import AgentId
from app.domain.paging import Page, decode_cursor, encode_cursor
from app.storage.codec import decode_agent, encode_agent
from app.storage.schema import agents
from app.storage.sql.database import Database


class SqlAgentStore:
    """See `AgentStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, agent: AgentDefinition) -> AgentDefinition:
        """See `AgentStore`."""

        def insert(db: sa.Connection) -> None:
            try:
                db.execute(sa.insert(agents).values(tenant=agent.tenant, id=agent.id, **_columns(agent)))
            except exc.IntegrityError:
                raise AlreadyExistsError(f"agent {agent.id!r} exists", agent_id=agent.id) from None

        await self._database.write(insert)
        return agent

    async def get(self, tenant: TenantId, agent_id: AgentId) -> AgentDefinition:
        """See `AgentStore`."""
        query = sa.select(agents.c.body).where(*_here(tenant, agent_id))
        body = await self._database.read(lambda db: db.execute(query).scalar())
        if body is None:
            raise NotFoundError("agent", agent_id)
        return decode_agent(body)

    async def page(self, tenant: TenantId, *, size: int, cursor: str | None) -> Page[AgentDefinition]:
        """See `AgentStore`."""
        query = sa.select(agents.c.id, agents.c.body).where(agents.c.tenant == tenant)
        if cursor is not None:
            (last,) = decode_cursor("agents", cursor, 1)
            query = query.where(agents.c.id > last)
        query = query.order_by(agents.c.id).limit(size + 1)
        rows = await self._database.read(lambda db: db.execute(query).all())
        following = encode_cursor("agents", rows[size - 1].id) if len(rows) > size else None
        return Page(items=[decode_agent(row.body) for row in rows[:size]], next_cursor=following)

    async def replace(self, agent: AgentDefinition, *, expected_version: int) -> AgentDefinition:
        """See `AgentStore`."""
        stored = replace(agent, version=expected_version + 1)
        here = _here(agent.tenant, agent.id)

        def update(db: sa.Connection) -> None:
            statement = sa.update(agents).where(*here, agents.c.version == expected_version)
            if db.execute(statement.values(_columns(stored))).rowcount == 0:
                raise _absent_or_stale(db, agent.tenant, agent.id)

        await self._database.write(update)
        return stored

    async def delete(
        self, tenant: TenantId, agent_id: AgentId, *, expected_version: int | None = None
    ) -> None:
        """See `AgentStore`."""

        def forget(db: sa.Connection) -> None:
            statement = sa.delete(agents).where(*_here(tenant, agent_id))
            if expected_version is not None:
                statement = statement.where(agents.c.version == expected_version)
            if db.execute(statement).rowcount == 0:
                raise _absent_or_stale(db, tenant, agent_id)

        await self._database.write(forget)


def _here(tenant: TenantId, agent_id: AgentId) -> tuple[sa.ColumnElement[bool], ...]:
    return agents.c.tenant == tenant, agents.c.id == agent_id


def _columns(agent: AgentDefinition) -> dict[str, Any]:
    return {"version": agent.version, "body": encode_agent(agent)}


def _absent_or_stale(db: sa.Connection, tenant: TenantId, agent_id: AgentId) -> Exception:
    version = db.execute(sa.select(agents.c.version).where(*_here(tenant, agent_id))).scalar()
    if version is None:
        return NotFoundError("agent", agent_id)
    return StaleVersionError(
        f"agent {agent_id!r} is at version {version}", agent_id=agent_id, version=version
    )
