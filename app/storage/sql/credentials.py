"""`CredentialStore` for both makes."""

from collections.abc import Mapping
from datetime import datetime
from types import SimpleNamespace
from typing import Any, Final

import sqlalchemy as sa
from pydantic_core import from_json, to_json
from sqlalchemy import exc

from app.domain.credentials import ApiKey, KeyRecord
from app.domain.errors import AlreadyExistsError, NotFoundError, QuotaExceededError
from app.domain.identity import TenantId
from app.domain.ids import KeyId
from app.domain.paging import Page
from app.storage.base_credentials import KeyDecision
from app.storage.codec import from_us, from_us_or_none, to_us, to_us_or_none
from app.storage.schema import api_keys
from app.storage.sql.database import Database
from app.storage.sql.listing import Listing

_LISTING = Listing("keys", api_keys.c.created_at, api_keys.c.id)
_COLUMNS = tuple(c for c in api_keys.c if c.name not in ("created_at", "id"))
_SELECT = sa.select(*_COLUMNS, api_keys.c.created_at, api_keys.c.id)


class SqlCredentialStore:
    """See `CredentialStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, record: KeyRecord, *, max_keys: int) -> ApiKey:
        """See `CredentialStore`."""
        key = record.key

        def insert(db: sa.Connection) -> None:
            count = sa.select(sa.func.count()).where(api_keys.c.tenant == key.tenant)
            if db.execute(count).scalar_one() >= max_keys:
                raise QuotaExceededError(f"the tenant has {max_keys} keys already", limit=max_keys)
            try:
                db.execute(sa.insert(api_keys).values(id=key.id, **_columns(record)))
            except exc.IntegrityError:
                raise AlreadyExistsError(f"key {key.id!r} exists", key_id=key.id) from None

        await self._database.write(insert)
        return key

    async def get(self, tenant: TenantId, key_id: KeyId) -> ApiKey:
        """See `CredentialStore`."""
        query = _SELECT.where(*_here(tenant, key_id))
        row = await self._database.read(lambda db: db.execute(query).first())
        if row is None:
            raise NotFoundError("key", key_id)
        return _record_of(row).key

    async def page(self, tenant: TenantId, *, size: int, cursor: str | None) -> Page[ApiKey]:
        """See `CredentialStore`."""
        query = _SELECT.where(api_keys.c.tenant == tenant)
        return await _LISTING.page(
            self._database, query, lambda row: _record_of(row).key, size=size, cursor=cursor
        )

    async def update(self, tenant: TenantId, key_id: KeyId, decide: KeyDecision) -> ApiKey:
        """See `CredentialStore`."""

        def change(db: sa.Connection) -> ApiKey:
            row = db.execute(_SELECT.where(*_here(tenant, key_id)).with_for_update()).first()
            if row is None:
                raise NotFoundError("key", key_id)
            before = _record_of(row)
            after = decide(before)
            if after != before:
                db.execute(sa.update(api_keys).where(*_here(tenant, key_id)).values(_columns(after))).close()
            return after.key

        return await self._database.write(change)

    async def by_prefix(self, prefix: str) -> KeyRecord | None:
        """See `CredentialStore`."""
        query = _SELECT.where(api_keys.c.prefix == prefix)

        def find(db: sa.Connection) -> KeyRecord | None:
            row = db.execute(query).first()
            record = _record_of(_NOBODY if row is None else row)  # the same work, whoever asks
            return None if row is None else record

        return await self._database.read(find)

    async def by_id(self, key_id: KeyId) -> ApiKey | None:
        """See `CredentialStore`."""
        query = _SELECT.where(api_keys.c.id == key_id)
        row = await self._database.read(lambda db: db.execute(query).first())
        return None if row is None else _record_of(row).key

    async def used(self, uses: Mapping[KeyId, datetime]) -> None:
        """See `CredentialStore`."""
        if not uses:
            return
        latest = api_keys.c.last_used_at
        noted = sa.bindparam("noted", type_=sa.BigInteger)
        update = (
            sa.update(api_keys)
            .where(api_keys.c.id == sa.bindparam("key_id"), sa.or_(latest.is_(None), latest < noted))
            .values(last_used_at=noted)
        )
        # In one order, so that replicas which note the same keys do not wait for each other in a circle.
        rows = [{"key_id": key_id, "noted": to_us(at)} for key_id, at in sorted(uses.items())]
        await self._database.write(lambda db: db.execute(update, rows).close())

    async def forget(self, *, ended_before: datetime) -> int:
        """See `CredentialStore`."""
        end = to_us(ended_before)
        delete = sa.delete(api_keys).where(sa.or_(api_keys.c.revoked_at < end, api_keys.c.expires_at < end))
        return await self._database.write(lambda db: db.execute(delete).rowcount)


def _here(tenant: TenantId, key_id: KeyId) -> tuple[sa.ColumnElement[bool], ...]:
    return api_keys.c.tenant == tenant, api_keys.c.id == key_id


def _columns(record: KeyRecord) -> dict[str, Any]:
    key = record.key
    return {
        "tenant": key.tenant,
        "prefix": key.prefix,
        "created_at": to_us(key.created_at),
        "expires_at": to_us_or_none(key.expires_at),
        "revoked_at": to_us_or_none(key.revoked_at),
        "rotated_at": to_us_or_none(key.rotated_at),
        "previous_until": to_us_or_none(key.previous_until),
        "last_used_at": to_us_or_none(key.last_used_at),
        "digest": record.digest,
        "previous_digest": record.previous_digest,
        "body": _body(key),
    }


def _body(key: ApiKey) -> bytes:
    return to_json(
        {"subject": key.subject, "scopes": sorted(key.scopes), "name": key.name, "created_by": key.created_by}
    )


def _record_of(row: Any) -> KeyRecord:
    body = from_json(row.body)
    key = ApiKey(
        id=row.id,
        prefix=row.prefix,
        tenant=row.tenant,
        subject=str(body["subject"]),
        scopes=frozenset(str(scope) for scope in body["scopes"]),
        name=str(body["name"]),
        created_at=from_us(row.created_at),
        created_by=str(body["created_by"]),
        expires_at=from_us_or_none(row.expires_at),
        revoked_at=from_us_or_none(row.revoked_at),
        rotated_at=from_us_or_none(row.rotated_at),
        previous_until=from_us_or_none(row.previous_until),
        last_used_at=from_us_or_none(row.last_used_at),
    )
    return KeyRecord(
        key=key,
        digest=bytes(row.digest),
        previous_digest=None if row.previous_digest is None else bytes(row.previous_digest),
    )


_NOBODY: Final = SimpleNamespace(
    id="key_00000000000000000000000000",
    tenant="nobody",
    prefix="0" * 11,
    created_at=0,
    expires_at=None,
    revoked_at=None,
    rotated_at=None,
    previous_until=None,
    last_used_at=None,
    digest=bytes(32),
    previous_digest=None,
    body=to_json({"subject": "nobody", "scopes": [], "name": "", "created_by": "nobody"}),
)
