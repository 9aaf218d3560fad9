"""Use cases of API keys."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from app.domain.call import CallContext
from app.domain.credentials import (
    PREFIX_BYTES,
    SECRET_BYTES,
    ApiKey,
    IssuedKey,
    KeyRecord,
    digest_of,
    make_prefix,
    make_secret,
    revoked,
    rotated,
)
from app.domain.errors import PermissionDeniedError
from app.domain.ids import KeyId
from app.domain.paging import Page, page_size
from app.domain.secrets import Secret
from app.policy.use_cases import SCOPES, is_scope
from app.service.idempotency import KeyedCalls, PlainAnswers, idempotent
from app.service.inputs import MAX_TITLE_CHARS, Checks
from app.storage.base import CredentialStore

MAX_KEYS: Final = 1_000
"""Of a tenant; those that ended count until they are forgotten."""
MAX_OVERLAP: Final = timedelta(days=30)
MAX_SUBJECT_CHARS: Final = 128
_MAX_SCOPES: Final = 2 * len(SCOPES)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """What a caller says of a key it wants. No `subject` means its own, no `expires_at` means never."""

    scopes: tuple[str, ...]
    name: str = ""
    subject: str = ""
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Issued:
    key: ApiKey
    secret: str


class IssuedKeyAnswers:
    """A key with its text, for those who ask twice; `secret`, so it is sealed at rest."""

    secret = True

    def __init__(self) -> None:
        self._plain = PlainAnswers(_Issued)

    def encode(self, answer: IssuedKey) -> bytes:
        """See `Answers`."""
        return self._plain.encode(_Issued(key=answer.key, secret=answer.secret.reveal()))

    def decode(self, kept: bytes) -> IssuedKey:
        """See `Answers`."""
        issued = self._plain.decode(kept)
        return IssuedKey(key=issued.key, secret=Secret(issued.secret))


ISSUED: Final = IssuedKeyAnswers()


class KeyUseCases:
    """Keys of the caller's tenant. Nobody gives away more than it has."""

    def __init__(
        self,
        store: CredentialStore,
        *,
        forget: Callable[[str], None],
        now: Callable[[], datetime],
        mint: Callable[[str], str],
        keyed: KeyedCalls,
        entropy: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        """`forget` is told the id of a key that must be looked up anew."""
        self.keyed = keyed
        self._store = store
        self._forget = forget
        self._now = now
        self._mint = mint
        self._entropy = entropy

    @idempotent("KeyService/CreateKey", ISSUED)
    async def create(self, call: CallContext, new: NewKey) -> IssuedKey:
        """A new key and its text, told this once.

        Raises InvalidRequestError, PermissionDeniedError (a scope that the caller lacks), QuotaExceededError.
        """
        now = self._now()
        _check(new, now)
        _require(call, frozenset(new.scopes))
        prefix = make_prefix(self._entropy(PREFIX_BYTES))
        secret = make_secret(prefix, self._entropy(SECRET_BYTES))
        key = ApiKey(
            id=KeyId(self._mint("key")),
            prefix=prefix,
            tenant=call.tenant,
            subject=new.subject or call.principal.subject,
            scopes=frozenset(new.scopes),
            name=new.name,
            created_at=now,
            created_by=call.principal.subject,
            expires_at=new.expires_at,
        )
        record = KeyRecord(key=key, digest=digest_of(secret.reveal()))
        return IssuedKey(key=await self._store.add(record, max_keys=MAX_KEYS), secret=secret)

    async def get(self, call: CallContext, key_id: KeyId) -> ApiKey:
        """Raises NotFoundError."""
        return await self._store.get(call.tenant, key_id)

    async def page(
        self, call: CallContext, *, size: int | None = None, cursor: str | None = None
    ) -> Page[ApiKey]:
        """Newest first, ended ones too. Raises InvalidRequestError, InvalidCursorError."""
        return await self._store.page(call.tenant, size=page_size(size), cursor=cursor or None)

    @idempotent("KeyService/RotateKey", ISSUED)
    async def rotate(self, call: CallContext, key_id: KeyId, *, overlap_s: int | None = None) -> IssuedKey:
        """Give the key a new text; the old one is good for `overlap_s` seconds more (None or 0: no more).

        Raises InvalidRequestError, NotFoundError, IllegalTransitionError (it has ended),
        PermissionDeniedError: who lacks a scope of the key would get it with the new text.
        """
        checks = Checks()
        checks.number("overlap_s", overlap_s, 0, MAX_OVERLAP.total_seconds())
        checks.done()
        key = await self._store.get(call.tenant, key_id)
        _require(call, key.scopes)  # a key's scopes and prefix never change: no need to look again inside
        secret = make_secret(key.prefix, self._entropy(SECRET_BYTES))
        overlap = timedelta(seconds=overlap_s or 0)
        decide = partial(rotated, digest=digest_of(secret.reveal()), at=self._now(), overlap=overlap)
        key = await self._store.update(call.tenant, key_id, decide)
        self._forget(key_id)
        return IssuedKey(key=key, secret=secret)

    async def revoke(self, call: CallContext, key_id: KeyId) -> ApiKey:
        """End the key: at once in this process, on other replicas when their memory of it is over.

        Idempotent. Raises NotFoundError.
        """
        key = await self._store.update(call.tenant, key_id, partial(revoked, at=self._now()))
        self._forget(key_id)
        return key


def _check(new: NewKey, now: datetime) -> None:
    """Raises InvalidRequestError naming every field that is wrong."""
    checks = Checks()
    checks.text("name", new.name, MAX_TITLE_CHARS)
    checks.text("subject", new.subject, MAX_SUBJECT_CHARS)
    if not new.scopes:
        checks.no("scopes", "must name at least one", "REQUIRED")
    if len(new.scopes) > _MAX_SCOPES:
        checks.no("scopes", f"must name at most {_MAX_SCOPES}", "TOO_MANY")
    for index, scope in enumerate(new.scopes[:_MAX_SCOPES]):
        if not is_scope(scope):
            checks.no(
                f"scopes.{index}", "is no scope of a use case, no `ROOM:*` and not `*`", "UNKNOWN_SCOPE"
            )
    if new.expires_at is not None and new.expires_at <= now:
        checks.no("expire_time", "must be in the future", "OUT_OF_RANGE")
    checks.done()


def _require(call: CallContext, scopes: frozenset[str]) -> None:
    """The caller has all of them itself. Raises PermissionDeniedError naming the first it lacks."""
    for scope in sorted(scopes):
        if not call.principal.may(scope):
            raise PermissionDeniedError(
                f"this needs the scope {scope}: nobody gives what it does not have", scope=scope
            )
