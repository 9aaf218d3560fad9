"""What browsers come with instead of a key: a session behind a cookie, or a ticket for one stream."""

from dataclasses import dataclass
from datetime import datetime

from app.domain.identity import Principal


@dataclass(frozen=True, slots=True, kw_only=True)
class BrowserSession:
    """A browser that was let in once, by the credential that `principal` names.

    `digest` is the SHA-256 of the cookie's value, in hex; the value itself is kept nowhere. It ends at
    `expires_at`, or when it was not used for too long after `used_at`.
    """

    id: str
    digest: str
    principal: Principal
    created_at: datetime
    used_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamTicket:
    """Lets its bearer in once, as `principal`, on exactly `path`. `digest` as of a session."""

    digest: str
    principal: Principal
    path: str
    expires_at: datetime
