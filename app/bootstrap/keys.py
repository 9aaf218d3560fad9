"""Keys in the hands of the operator: the use cases of callers, for any tenant, on the store itself."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from app.bootstrap.operating import mint, now, operators_call, operators_database, operators_trail
from app.domain.credentials import ApiKey, IssuedKey
from app.domain.errors import NotFoundError
from app.domain.identity import TenantId
from app.domain.ids import KeyId
from app.service.auditing import audit_group
from app.service.idempotency import KeyedCalls
from app.service.keys import MAX_KEYS, KeyUseCases, NewKey
from app.settings import Settings
from app.storage.base import CredentialStore
from app.storage.sql.credentials import SqlCredentialStore
from app.storage.sql.idempotency import SqlIdempotencyStore


@dataclass(frozen=True, slots=True)
class OperatorsKeys:
    """Keys of every tenant. A running server knows a key that it has looked up for `auth.key_cache`."""

    store: CredentialStore
    use_cases: KeyUseCases

    async def create(self, tenant: TenantId, new: NewKey) -> IssuedKey:
        """See `KeyUseCases.create`."""
        return await self.use_cases.create(operators_call(tenant, "KeyService/CreateKey"), new)

    async def of(self, tenant: TenantId) -> list[ApiKey]:
        """All keys of a tenant, newest first, ended ones too."""
        return list((await self.store.page(tenant, size=MAX_KEYS, cursor=None)).items)

    async def rotate(self, key_id: KeyId, *, overlap_s: int) -> IssuedKey:
        """See `KeyUseCases.rotate`; a key of any tenant."""
        call = operators_call(await self._tenant_of(key_id), "KeyService/RotateKey")
        return await self.use_cases.rotate(call, key_id, overlap_s=overlap_s)

    async def revoke(self, key_id: KeyId) -> ApiKey:
        """See `KeyUseCases.revoke`; a key of any tenant."""
        call = operators_call(await self._tenant_of(key_id), "KeyService/RevokeKey")
        return await self.use_cases.revoke(call, key_id)

    async def _tenant_of(self, key_id: KeyId) -> TenantId:
        key = await self.store.by_id(key_id)
        if key is None:
            raise NotFoundError("key", key_id)
        return key.tenant


@asynccontextmanager
async def operators_keys(settings: Settings) -> AsyncGenerator[OperatorsKeys]:
    """The keys, while a server may be running or not. Raises StorageUnavailableError."""
    async with operators_database(settings) as database, operators_trail(settings, database) as trail:
        store = SqlCredentialStore(database)
        # The command line sends no idempotency keys, so there is no answer to seal or to keep.
        keyed = KeyedCalls(
            SqlIdempotencyStore(database), sealer=None, now=now, ttl=settings.engine.idempotency_ttl
        )
        use_cases = KeyUseCases(store, forget=lambda _: None, now=now, mint=mint, keyed=keyed)
        if trail is not None:
            audit_group("keys", use_cases, trail)
        yield OperatorsKeys(store, use_cases)
