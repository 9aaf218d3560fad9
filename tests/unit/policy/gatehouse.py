"""The chain of authentication over a real store, with a clock of the test's own."""

import secrets
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from app.domain.credentials import (
    ApiKey,
    IssuedKey,
    KeyRecord,
    digest_of,
    make_prefix,
    make_secret,
    revoked,
)
from app.domain.errors import StorageUnavailableError, UnauthenticatedError
from app.domain.identity import Principal, TenantId
from app.domain.ids import KeyId
from app.domain.secrets import Secret
from app.policy.admission import CallHead, UnknownPeer
from app.policy.authentication.api_keys import ApiKeys
from app.policy.authentication.brake import FailureBrake
from app.policy.authentication.chain import AuthenticatorChain
from app.policy.authentication.last_uses import LastUses
from app.policy.authentication.static_keys import StaticKey, StaticKeys
from app.policy.authentication.stored_keys import StoredKeys
from app.policy.authentication.verified import VerifiedTokens
from app.storage.sql.credentials import SqlCredentialStore
from app.storage.sqlite.database import SqliteDatabase, open_database

STATIC = "a key of the settings"
TENANT = TenantId("acme")
TTL_S = 10.0
MAX_FAILURES = 5


class Clock:
    """Seconds since 1970, moved by hand."""

    def __init__(self) -> None:
        self.s = 1_700_000_000.0

    def __call__(self) -> float:
        return self.s

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.s, UTC)


class Counting(SqlCredentialStore):
    """The store, noting what authentication asks it."""

    def __init__(self, database: SqliteDatabase) -> None:
        super().__init__(database)
        self.asked: list[str] = []
        self.away = False

    async def by_prefix(self, prefix: str) -> KeyRecord | None:
        self.asked.append(prefix)
        if self.away:
            raise StorageUnavailableError("away")
        return await super().by_prefix(prefix)

    async def used(self, uses: Mapping[KeyId, datetime]) -> None:
        if self.away:
            raise StorageUnavailableError("away")
        await super().used(uses)


@dataclass
class Gatehouse:
    """The chain and everything behind it."""

    store: Counting
    clock: Clock
    verified: VerifiedTokens
    uses: LastUses
    brake: FailureBrake
    keys: ApiKeys

    async def enter(self, *tokens: str, address: str = "192.0.2.1", **metadata: str) -> Principal:
        given = {"x-api-key": tokens[0]} if tokens else {}
        head = CallHead(
            protocol="rest", method="m", metadata={**given, **metadata}, peer=UnknownPeer(address=address)
        )
        return await AuthenticatorChain([self.keys]).authenticate(head)

    async def refuses(self, token: str, **how: str) -> str:
        with pytest.raises(UnauthenticatedError) as refused:
            await self.enter(token, **how)
        return repr((refused.value.message, refused.value.facts))

    async def issue(self, **fields: object) -> IssuedKey:
        prefix = make_prefix(secrets.token_bytes(8))
        key = ApiKey(
            id=KeyId(f"key_{secrets.token_hex(13)}"),
            prefix=prefix,
            tenant=TENANT,
            subject="robot",
            scopes=frozenset({"tasks:read"}),
            created_at=self.clock.now(),
            created_by="someone",
        )
        secret = make_secret(prefix, secrets.token_bytes(32))
        record = KeyRecord(key=replace(key, **fields), digest=digest_of(secret.reveal()))  # type: ignore[arg-type]
        return IssuedKey(key=await self.store.add(record, max_keys=9_999), secret=secret)

    async def kept(self, key: ApiKey) -> ApiKey:
        return await self.store.get(TENANT, key.id)

    async def revoke(self, key: ApiKey) -> None:
        """As another replica does: this process is not told."""
        await self.store.update(TENANT, key.id, partial(revoked, at=self.clock.now()))


@asynccontextmanager
async def open_gatehouse(path: Path) -> AsyncGenerator[Gatehouse]:
    """An empty store under `path`, a key of the settings, and the chain."""
    clock = Clock()
    async with open_database(path / "gateway.db", cache_bytes=0) as database:
        store = Counting(database)
        verified = VerifiedTokens(clock=clock, ttl_s=TTL_S)
        uses = LastUses(store, clock=clock)
        brake = FailureBrake(MAX_FAILURES, clock=clock)
        static = StaticKeys([StaticKey(principal=Principal(subject="fixed"), key=Secret(STATIC))])
        stored = StoredKeys(store, now=clock.now)
        keys = ApiKeys(static, stored, verified=verified, uses=uses, brake=brake)
        yield Gatehouse(store, clock, verified, uses, brake, keys)


def wrong_key(prefix: str | None = None) -> str:
    """One that reads well and opens nothing: with that prefix, or with one of nobody's."""
    return make_secret(prefix or make_prefix(secrets.token_bytes(8)), secrets.token_bytes(32)).reveal()
