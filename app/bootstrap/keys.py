"""Keys in the hands of the operator: the use cases of callers, for any tenant, on the store itself."""

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from app.bootstrap.operating import operators_database
from app.domain.call import CallContext
from app.domain.credentials import ApiKey, IssuedKey
from app.domain.errors import NotFoundError
from app.domain.identity import Principal, TenantId
from app.domain.ids import ENTROPY_BYTES, KeyId, make_id
from app.service.idempotency import KeyedCalls
from app.service.keys import MAX_KEYS, KeyUseCases, NewKey
from app.settings import Settings
from app.storage.base import CredentialStore
from app.storage.sql.credentials import SqlCredentialStore
from app.storage.sql.idempotency import SqlIdempotencyStore

OPERATOR: Final = "operator"
"""The subject of whoever types at the command line: who can open the store may do everything."""


def _now() -> datetime:
    return datetime.now(UTC)


def _mint(prefix: str) -> str:
    return make_id(prefix, _now(), os.urandom(ENTROPY_BYTES))


@dataclass(frozen=True, slots=True)
class OperatorsKeys:
    """Keys of every tenant. A running server knows a key that it has looked up for `auth.key_cache`."""

    store: CredentialStore
    use_cases: KeyUseCases

    async def create(self, tenant: TenantId, new: NewKey) -> IssuedKey:
        """See `KeyUseCases.create`."""
        return await self.use_cases.create(_call(tenant), new)

    async def of(self, tenant: TenantId) -> list[ApiKey]:
        """All keys of a tenant, newest first, ended ones too."""
        return list((await self.store.page(tenant, size=MAX_KEYS, cursor=None)).items)

    async def rotate(self, key_id: KeyId, *, overlap_s: int) -> IssuedKey:
        """See `KeyUseCases.rotate`; a key of any tenant."""
        return await self.use_cases.rotate(_call(await self._tenant_of(key_id)), key_id, overlap_s=overlap_s)

    async def revoke(self, key_id: KeyId) -> ApiKey:
        """See `KeyUseCases.revoke`; a key of any tenant."""
        return await self.use_cases.revoke(_call(await self._tenant_of(key_id)), key_id)

    async def _tenant_of(self, key_id: KeyId) -> TenantId:
        key = await self.store.by_id(key_id)
        if key is None:
            raise NotFoundError("key", key_id)
        return key.tenant


@asynccontextmanager
async def operators_keys(settings: Settings) -> AsyncGenerator[OperatorsKeys]:
    """The keys, while a server may be running or not. Raises StorageUnavailableError."""
    async with operators_database(settings) as database:
        store = SqlCredentialStore(database)
        # The command line sends no idempotency keys, so there is no answer to seal or to keep.
        keyed = KeyedCalls(SqlIdempotencyStore(database), sealer=None, now=_now, ttl=timedelta(days=1))
        cases = KeyUseCases(store, forget=lambda _: None, now=_now, mint=_mint, keyed=keyed)
        yield OperatorsKeys(store, cases)


def _call(tenant: TenantId) -> CallContext:
    return CallContext(principal=Principal(subject=OPERATOR, tenant=tenant), request_id="")
