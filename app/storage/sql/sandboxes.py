"""`SandboxStore` for both makes."""

import sqlalchemy as sa

from app.domain.errors import NotFoundError
from app.domain.identity import TenantId
from app.domain.ids import SandboxId
from app.domain.paging import Page
from app.domain.sandboxes import Sandbox, SandboxState
from app.storage.codec import from_us, from_us_or_none, to_us, to_us_or_none
from app.storage.schema import sandboxes
from app.storage.sql.database import Database, Row
from app.storage.sql.listing import Listing

_LISTING = Listing("sandboxes", sandboxes.c.created_at, sandboxes.c.id)
_COLUMNS = tuple(c for c in sandboxes.c if c.name not in ("created_at", "id"))
_SELECT = sa.select(*_COLUMNS, sandboxes.c.created_at, sandboxes.c.id)


class SqlSandboxStore:
    """See `SandboxStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, sandbox: Sandbox) -> None:
        """See `SandboxStore`."""
        insert = sa.insert(sandboxes).values(
            id=sandbox.id,
            tenant=sandbox.tenant,
            kind=sandbox.kind,
            state=sandbox.state.value,
            created_at=to_us(sandbox.created_at),
            expires_at=to_us_or_none(sandbox.expires_at),
            task_id=sandbox.task_id,
            session_id=sandbox.session_id,
        )
        await self._database.write(lambda db: db.execute(insert).close())

    async def get(self, tenant: TenantId, sandbox_id: SandboxId) -> Sandbox:
        """See `SandboxStore`."""
        query = _SELECT.where(sandboxes.c.tenant == tenant, sandboxes.c.id == sandbox_id)
        row = await self._database.read(lambda db: db.execute(query).first())
        if row is None:
            raise NotFoundError("sandbox", sandbox_id)
        return _sandbox_of(row)

    async def page(
        self, tenant: TenantId, *, size: int, cursor: str | None, open_only: bool = False
    ) -> Page[Sandbox]:
        """See `SandboxStore`."""
        query = _SELECT.where(sandboxes.c.tenant == tenant)
        if open_only:
            query = query.where(sandboxes.c.state == SandboxState.OPEN.value)
        return await _LISTING.page(self._database, query, _sandbox_of, size=size, cursor=cursor)

    async def set_state(self, sandbox_id: SandboxId, state: SandboxState) -> None:
        """See `SandboxStore`."""
        update = sa.update(sandboxes).where(sandboxes.c.id == sandbox_id).values(state=state.value)
        await self._database.write(lambda db: db.execute(update).close())

    async def open_sandboxes(self) -> list[Sandbox]:
        """See `SandboxStore`."""
        # The literal, not a parameter: only so may the planner use the partial index.
        query = _SELECT.where(sandboxes.c.state == sa.literal_column("'open'")).order_by(sandboxes.c.id)
        rows = await self._database.read(lambda db: db.execute(query).all())
        return [_sandbox_of(row) for row in rows]


def _sandbox_of(row: Row) -> Sandbox:
    return Sandbox(
        id=row.id,
        tenant=row.tenant,
        kind=row.kind,
        state=SandboxState(row.state),
        created_at=from_us(row.created_at),
        expires_at=from_us_or_none(row.expires_at),
        task_id=row.task_id,
        session_id=row.session_id,
    )
