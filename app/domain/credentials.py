"""API keys: how one reads, what is kept of it, and until when it opens anything.

The text is `agw_PREFIX_SECRET`: the prefix finds the row and may be shown; the secret is 256 random bits
and six characters of checksum. Nobody keeps the text. What is kept is its SHA-256: with 256 bits of chance
there is nothing a slow hash would make harder to guess, and one per call would cost milliseconds.
"""

import hashlib
import hmac
import re
import zlib
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from app.domain.errors import IllegalTransitionError
from app.domain.identity import TenantId
from app.domain.ids import KeyId
from app.domain.secrets import Secret

MARK: Final = "agw"
"""What our keys begin with: people and scanners of secrets recognise it."""
SECRET_BYTES: Final = 32
PREFIX_BYTES: Final = 8
_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_PREFIX_CHARS: Final = 11  # 62 ** 11 > 2 ** 64
_SECRET_CHARS: Final = 43  # 62 ** 43 > 2 ** 256
_CHECK_CHARS: Final = 6  # 62 ** 6 > 2 ** 32
_TEXT: Final = re.compile(
    rf"{MARK}_([0-9A-Za-z]{{{_PREFIX_CHARS}}})_[0-9A-Za-z]{{{_SECRET_CHARS + _CHECK_CHARS}}}"
)
_NOBODYS: Final = hashlib.sha256(b"the secret of nobody").digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """What may be shown of a key. It opens what `scopes` say, for `subject` in `tenant`.

    `created_by` is the subject that made it. `rotated_at` is when the secret was last replaced, and
    `previous_until` how long the one before it is good beside it.
    """

    id: KeyId
    prefix: str
    tenant: TenantId
    subject: str
    scopes: frozenset[str]
    name: str = ""
    created_at: datetime
    created_by: str
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    rotated_at: datetime | None = None
    previous_until: datetime | None = None
    last_used_at: datetime | None = None

    def ended(self, at: datetime) -> bool:
        """Whether it was revoked or has expired."""
        return self.revoked_at is not None or (self.expires_at is not None and self.expires_at <= at)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRecord:
    """A key as it is kept: with the digest of its secret and, during a rotation, of the one before."""

    key: ApiKey
    digest: bytes
    previous_digest: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedKey:
    """A key and its text, which is told this once and kept by nobody."""

    key: ApiKey
    secret: Secret


def make_prefix(entropy: bytes) -> str:
    """A new key's prefix from `PREFIX_BYTES` random bytes."""
    return _base62(int.from_bytes(entropy[:PREFIX_BYTES], "big"), _PREFIX_CHARS)


def make_secret(prefix: str, entropy: bytes) -> Secret:
    """The text of a key from `SECRET_BYTES` random bytes; this function itself throws no dice."""
    body = f"{MARK}_{prefix}_{_base62(int.from_bytes(entropy[:SECRET_BYTES], 'big'), _SECRET_CHARS)}"
    return Secret(body + _checksum(body))


def prefix_of(text: str) -> str | None:
    """The prefix of what reads like a key of ours and was not misspelt; None for anything else."""
    found = _TEXT.fullmatch(text)
    if found is None or _checksum(text[:-_CHECK_CHARS]) != text[-_CHECK_CHARS:]:
        return None
    return found[1]


def digest_of(text: str) -> bytes:
    """What is kept of a key, and compared."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def good_until(record: KeyRecord | None, digest: bytes, at: datetime) -> tuple[bool, datetime | None]:
    """Whether the secret with that digest opens the record's key at that moment; until when (None: no end).

    The same comparisons are made whether there is such a record or not, and each in constant time.
    """
    current = hmac.compare_digest(_NOBODYS if record is None else record.digest, digest)
    before = _NOBODYS if record is None else record.previous_digest or _NOBODYS
    previous = hmac.compare_digest(before, digest)
    if record is None or not (current or previous):
        return False, None
    key = record.key
    if key.ended(at):
        return False, None
    if current:
        return True, key.expires_at
    overlap = key.previous_until
    if overlap is None or overlap <= at:
        return False, None
    return True, overlap if key.expires_at is None else min(overlap, key.expires_at)


def rotated(record: KeyRecord, digest: bytes, at: datetime, overlap: timedelta) -> KeyRecord:
    """The record with a new secret; the one before is good for `overlap` more, any older one no more.

    Raises IllegalTransitionError for a key that was revoked or has expired.
    """
    if record.key.ended(at):
        raise IllegalTransitionError(
            f"key {record.key.id} was revoked or has expired: make a new one", key_id=record.key.id
        )
    key = replace(record.key, rotated_at=at, previous_until=at + overlap if overlap else None)
    return KeyRecord(key=key, digest=digest, previous_digest=record.digest if overlap else None)


def revoked(record: KeyRecord, at: datetime) -> KeyRecord:
    """The record of a key that opens nothing any more. Revoking twice is revoking once."""
    if record.key.revoked_at is not None:
        return record
    return replace(record, key=replace(record.key, revoked_at=at, previous_until=None), previous_digest=None)


def _checksum(body: str) -> str:
    return _base62(zlib.crc32(body.encode("ascii")), _CHECK_CHARS)


def _base62(number: int, chars: int) -> str:
    digits: list[str] = []
    for _ in range(chars):
        number, digit = divmod(number, 62)
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))
