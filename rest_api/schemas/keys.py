"""API keys: what may be shown of them, and the answers that tell their text once."""

from datetime import datetime

from pydantic import AwareDatetime

from app.domain.credentials import ApiKey, IssuedKey
from app.service.keys import NewKey
from rest_api.schemas.base import BodyIn, Out


class CreateKeyIn(BodyIn):
    """A new key."""

    name: str = ""
    """At most 200 characters."""
    scopes: list[str]
    """At least one; none that the caller does not have itself."""
    subject: str = ""
    """At most 128 characters; empty means the caller's own."""
    expire_time: AwareDatetime | None = None
    """In the future; absent means never."""

    def to_domain(self) -> NewKey:
        """What the use case takes."""
        return NewKey(
            name=self.name, scopes=tuple(self.scopes), subject=self.subject, expires_at=self.expire_time
        )


class RotateKeyIn(BodyIn):
    """How to replace a key's text."""

    overlap_s: int | None = None
    """Seconds for which the old text stays good; 0 or absent ends it at once. At most 2592000."""


class ApiKeyOut(Out):
    """What may be shown of an API key: everything but its text."""

    id: str
    prefix: str
    """The part of the text after `agw_`, by which one recognises a key."""
    name: str
    subject: str
    """For whom it speaks, in the tenant it was made in."""
    scopes: list[str]
    """What it may do: `tasks:read`, `tasks:*`, `*`."""
    create_time: datetime
    created_by: str
    """The subject that made it."""
    expire_time: datetime | None = None
    """Absent: never."""
    revoke_time: datetime | None = None
    rotate_time: datetime | None = None
    """When its secret was last replaced."""
    previous_expire_time: datetime | None = None
    """Until when the secret before that is good as well."""
    last_use_time: datetime | None = None
    """Some seconds behind."""

    @classmethod
    def from_domain(cls, key: ApiKey) -> "ApiKeyOut":
        """The key, for callers."""
        return cls(
            id=key.id,
            prefix=key.prefix,
            name=key.name,
            subject=key.subject,
            scopes=sorted(key.scopes),
            create_time=key.created_at,
            created_by=key.created_by,
            expire_time=key.expires_at,
            revoke_time=key.revoked_at,
            rotate_time=key.rotated_at,
            previous_expire_time=key.previous_until,
            last_use_time=key.last_used_at,
        )


class CreateKeyOut(Out):
    """The key and its text, which is told this once."""

    key: ApiKeyOut
    secret: str
    """The text to call with."""

    @classmethod
    def from_domain(cls, issued: IssuedKey) -> "CreateKeyOut":
        """For the caller that made it, and for nobody else."""
        return cls(key=ApiKeyOut.from_domain(issued.key), secret=issued.secret.reveal())


class RotateKeyOut(Out):
    """The key and its new text, which is told this once."""

    key: ApiKeyOut
    secret: str
    """The new text to call with."""

    @classmethod
    def from_domain(cls, issued: IssuedKey) -> "RotateKeyOut":
        """For the caller that rotated it, and for nobody else."""
        return cls(key=ApiKeyOut.from_domain(issued.key), secret=issued.secret.reveal())


class ListKeysOut(Out):
    """One page, newest first."""

    keys: list[ApiKeyOut]
    next_cursor: str | None = None
    """Absent on the last page."""
