"""One-time stream tickets: a page opens an `EventSource`, which can send no header, without a key in its URL.

A ticket lets its bearer in once, by GET, on exactly one path, as whoever asked for it, for some seconds.
What leaks from a URL (history, a proxy's log) has been used by then.
"""

import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import unquote

from app.domain.access import StreamTicket
from app.domain.errors import InvalidRequestError
from app.domain.identity import Principal
from app.domain.secrets import Secret
from app.policy.admission import CallHead
from app.policy.authentication.presented import refused, token_digest
from app.policy.authentication.standing import Standing
from app.storage.base import StreamTicketStore

log = logging.getLogger(__name__)

MAX_LIFETIME: Final = timedelta(seconds=30)
MAX_PATH_CHARS: Final = 1_024
_MAX_TICKET_CHARS: Final = 128
_PREFIX: Final = "agwt_"
"""Tells scanners for leaked secrets what it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedTicket:
    """What the caller is told, once."""

    ticket: Secret
    expires_at: datetime


class StreamTickets:
    """Issues tickets, and knows them again. The store takes each of them from the table once."""

    def __init__(
        self,
        store: StreamTicketStore,
        *,
        now: Callable[[], datetime],
        stands: Standing,
        lifetime: timedelta = MAX_LIFETIME,
    ) -> None:
        self._store = store
        self._now = now
        self._stands = stands
        self._lifetime = min(lifetime, MAX_LIFETIME)

    async def issue(self, principal: Principal, path: str) -> IssuedTicket:
        """A ticket for `path`, the path of a URL without its query. Raises InvalidRequestError."""
        path = _path(path)
        value = _PREFIX + secrets.token_urlsafe(32)
        expires_at = self._now() + self._lifetime
        if principal.expires_at is not None:
            expires_at = min(expires_at, principal.expires_at)
        await self._store.add(
            StreamTicket(digest=_digest(value), principal=principal, path=path, expires_at=expires_at)
        )
        return IssuedTicket(ticket=Secret(value), expires_at=expires_at)

    async def recognise(self, head: CallHead) -> Principal | None:
        """See `Recogniser`. Whatever comes of it, a ticket that was shown is used up."""
        value = head.query_ticket
        if value is None:
            return None
        ticket = await self._taken(value)
        why = await self._flaw(ticket, head)
        if ticket is None or why is not None:
            log.info("a stream ticket was refused: %s", why)
            raise refused()
        return replace(
            ticket.principal,
            credential="ticket",
            credential_id=ticket.digest[:16],
            expires_at=ticket.expires_at,
        )

    async def _taken(self, value: str) -> StreamTicket | None:
        if not value.startswith(_PREFIX) or len(value) > _MAX_TICKET_CHARS:
            return None
        return await self._store.take(_digest(value))

    async def _flaw(self, ticket: StreamTicket | None, head: CallHead) -> str | None:
        if ticket is None:
            return "nobody has it, or it was used before"
        if ticket.expires_at <= self._now():
            return "it has expired"
        if ticket.path != head.path:
            return "it is for another path"
        if head.http_method != "GET":
            return "it is for GET only"
        if not await self._stands(ticket.principal):
            return "the credential it was asked for with is no longer good"
        return None


def _path(path: str) -> str:
    """As servers see it: decoded. Raises InvalidRequestError for what is no path of ours."""
    if not path.startswith("/") or path.startswith("//"):
        raise InvalidRequestError.of("path", "must be the path of a URL, such as /v1/tasks/ID/events")
    if len(path) > MAX_PATH_CHARS:
        raise InvalidRequestError.of("path", f"must have at most {MAX_PATH_CHARS} characters", "TOO_LONG")
    if "?" in path or "#" in path or not path.isprintable():
        raise InvalidRequestError.of("path", "must have neither query nor fragment nor control characters")
    return unquote(path)


def _digest(value: str) -> str:
    return token_digest(value).hex()
