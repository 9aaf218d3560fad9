"""Callers, and the ways in that browsers have."""

from datetime import datetime

from app.domain.identity import CredentialKind, Principal
from app.policy.authentication.browser import OpenedSession
from app.policy.authentication.tickets import IssuedTicket
from rest_api.schemas.base import BodyIn, Out


class CallerOut(Out):
    """As whom a call was let in."""

    subject: str
    tenant: str
    scopes: list[str]
    """Sorted: `tasks:read`, `tasks:*` for a whole room, `*` for everything."""
    credential: CredentialKind
    expire_time: datetime | None = None
    """When the credential ends, if it does by itself."""

    @classmethod
    def from_domain(cls, principal: Principal) -> "CallerOut":
        """The principal, for itself."""
        return cls(
            subject=principal.subject,
            tenant=principal.tenant,
            scopes=sorted(principal.scopes),
            credential=principal.credential,
            expire_time=principal.expires_at,
        )


class CreateStreamTicketIn(BodyIn):
    """Where the ticket should let in."""

    path: str
    """The path of the URL, without its query: `/v1/tasks/TASK_ID/events`."""


class CreateStreamTicketResponse(Out):
    """A ticket, told once."""

    ticket: str
    """Goes into the URL as `?ticket=`."""
    expire_time: datetime

    @classmethod
    def from_domain(cls, issued: IssuedTicket) -> "CreateStreamTicketResponse":
        """The ticket, for who asked for it."""
        return cls(ticket=issued.ticket.reveal(), expire_time=issued.expires_at)


class BrowserSessionOut(Out):
    """A session that was opened. What proves it is in the cookie alone."""

    id: str
    expire_time: datetime
    """At the latest; it ends earlier when it is not used."""

    @classmethod
    def from_domain(cls, opened: OpenedSession) -> "BrowserSessionOut":
        """The session, for the page."""
        return cls(id=opened.id, expire_time=opened.expires_at)
