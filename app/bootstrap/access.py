"""Who may call: the authenticator over the stores, and what it writes now and then."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from app.bootstrap.identity import (
    build_anonymous,
    build_certificates,
    build_checks,
    build_sessions,
    build_tickets,
    build_tokens,
)
from app.domain.errors import StorageUnavailableError
from app.domain.identity import Principal, TenantId
from app.domain.secrets import Secret
from app.policy.admission import Authenticator
from app.policy.authentication.api_keys import ApiKeys
from app.policy.authentication.brake import FailureBrake
from app.policy.authentication.browser import BrowserSessions
from app.policy.authentication.chain import AuthenticatorChain, OpenAuthenticator
from app.policy.authentication.last_uses import LastUses
from app.policy.authentication.static_keys import StaticKey, StaticKeys
from app.policy.authentication.stored_keys import StoredKeys
from app.policy.authentication.tickets import StreamTickets
from app.policy.authentication.verified import VerifiedTokens
from app.settings import Settings
from app.settings.access import AuthSettings
from app.storage.base import CredentialStore, Stores

if TYPE_CHECKING:
    from app.policy.authentication.jwks import JwksKeys

log = logging.getLogger(__name__)

FORGET_EVERY: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """The authenticator and its parts; `verified` must hear of what is revoked or changed."""

    authenticator: Authenticator
    verified: VerifiedTokens
    uses: LastUses
    tickets: StreamTickets
    sessions: BrowserSessions
    provider: "JwksKeys | None"
    """The identity provider's keys, when there is one."""


def build_access(
    settings: Settings, stores: Stores, *, now: Callable[[], datetime], mint: Callable[[str], str]
) -> Access:
    """Nothing is opened and nothing runs; `running_access` writes what it notes."""
    auth = settings.auth
    verified = VerifiedTokens(clock=time.time, ttl_s=auth.key_cache.total_seconds())
    uses = LastUses(stores.credentials, clock=time.time)
    limit = auth.max_failures_per_minute
    brake = FailureBrake(limit, clock=time.monotonic) if limit else None
    keys = ApiKeys(
        _static_keys(auth), StoredKeys(stores.credentials, now=now), verified=verified, uses=uses, brake=brake
    )
    tokens = build_tokens(auth.oidc, brake)
    certificates = build_certificates(settings)
    checks = build_checks(settings, keys=keys.stands, tokens=tokens is not None, certificates=certificates)
    sessions = build_sessions(settings, stores, checks, now=now, mint=mint)
    tickets = build_tickets(settings, stores, checks, sessions, now=now)
    # What was put into the request by will comes before what a browser adds by itself.
    links = (tokens and tokens[0], keys, tickets, sessions, certificates, build_anonymous(settings))
    chain = AuthenticatorChain([link for link in links if link is not None])
    return Access(
        authenticator=chain if auth.configured else OpenAuthenticator(),
        verified=verified,
        uses=uses,
        tickets=tickets,
        sessions=sessions,
        provider=tokens and tokens[1],
    )


@asynccontextmanager
async def running_access(
    access: Access, store: CredentialStore, settings: Settings, *, now: Callable[[], datetime]
) -> AsyncGenerator[None]:
    """Inside the block last uses are written every `auth.last_used_interval`, and once more at its end; keys
    that ended longer than `retention.keep_ended` ago are forgotten."""
    every, keep = settings.auth.last_used_interval, settings.retention.keep_ended

    async def write() -> None:
        forget_at = now()
        while True:
            await asyncio.sleep(every.total_seconds())
            await access.uses.flush()
            if now() >= forget_at:
                forget_at = now() + FORGET_EVERY
                await _forget(store, now() - keep)

    try:
        async with AsyncExitStack() as stack:
            if access.provider is not None:
                await stack.enter_async_context(access.provider.running())
            group = await stack.enter_async_context(asyncio.TaskGroup())
            writing = group.create_task(write(), name="key-uses")
            try:
                yield
            finally:
                writing.cancel()
    finally:
        await access.uses.flush()


async def _forget(store: CredentialStore, ended_before: datetime) -> None:
    try:
        count = await store.forget(ended_before=ended_before)
    except StorageUnavailableError as error:
        log.warning("keys that ended are not forgotten now: %s", error.message)
        return
    if count:
        log.info("forgot %d keys that ended", count)


def _static_keys(auth: AuthSettings) -> StaticKeys:
    return StaticKeys(
        [
            StaticKey(
                principal=Principal(
                    subject=given.subject, tenant=TenantId(given.tenant), scopes=frozenset(given.scopes)
                ),
                key=Secret(given.key.get_secret_value()),
            )
            for given in auth.keys
        ]
    )
