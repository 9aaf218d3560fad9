"""The store of an operator at the command line: beside a running server, or without one, and audited."""

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Final

from app.bootstrap.audit import build_trail
from app.bootstrap.storage import DATABASE_FILE
from app.domain.call import CallContext
from app.domain.errors import StorageUnavailableError
from app.domain.identity import Principal, TenantId
from app.domain.ids import ENTROPY_BYTES, make_id
from app.domain.secrets import Secret
from app.policy.audit import AuditTrail
from app.settings import Settings
from app.storage.base import AuditStore
from app.storage.sql.audit import SqlAuditStore
from app.storage.sql.database import Database
from app.storage.sqlite.beside import open_beside

OPERATOR: Final = "operator"
"""The subject of whoever types at the command line: who can open the store may do everything."""


def now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


def mint(prefix: str) -> str:
    """A new id."""
    return make_id(prefix, now(), os.urandom(ENTROPY_BYTES))


def operators_call(tenant: TenantId, use_case: str) -> CallContext:
    """The operator acts in a tenant."""
    return CallContext(principal=Principal(subject=OPERATOR, tenant=tenant), request_id="", use_case=use_case)


@asynccontextmanager
async def operators_trail(settings: Settings, database: Database) -> AsyncGenerator[AuditTrail | None]:
    """What the operator does inside the block is in the audit log after it; None when nothing is audited."""
    trail = build_trail(settings, SqlAuditStore(database), now=now, mint=mint)
    try:
        yield trail
    finally:
        if trail is not None:
            await trail.flush()


@asynccontextmanager
async def operators_log(settings: Settings) -> AsyncGenerator[AuditStore]:
    """The audit log of all tenants, to read. Raises StorageUnavailableError."""
    async with operators_database(settings) as database:
        yield SqlAuditStore(database)


@asynccontextmanager
async def operators_database(settings: Settings) -> AsyncGenerator[Database]:
    """The database, made and migrated when it is new. Raises StorageUnavailableError."""
    if settings.storage.backend == "sqlite":
        async with open_beside(settings.storage.data_dir / DATABASE_FILE) as beside:
            yield beside
        return
    try:
        from app.storage.postgres.database import Address, open_database
    except ModuleNotFoundError as error:
        raise StorageUnavailableError(
            f"storage.backend=postgres needs {error.name}: pip install 'agent-gateway[postgres]'"
        ) from error
    url = settings.storage.postgres_url
    assert url is not None  # noqa: S101 - checked by the settings
    address = Address(dsn=Secret(url.get_secret_value()).reveal(), schema=settings.storage.postgres_schema)
    async with open_database(address, pool_size=2) as database:
        yield database
