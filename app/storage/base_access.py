"""What stores promise of browser sessions and stream tickets. Both are known by digests only."""

from datetime import datetime
from typing import Protocol

from app.domain.access import BrowserSession, StreamTicket


class BrowserSessionStore(Protocol):
    """Sessions of browsers, of all tenants: who asks has nothing but a cookie."""

    async def add(self, session: BrowserSession) -> None:
        """Insert it; id and digest are new."""
        ...

    async def find(self, digest: str) -> BrowserSession | None:
        """The session as last committed, expired ones included while they are kept."""
        ...

    async def get(self, session_id: str) -> BrowserSession | None:
        """The same by its id."""
        ...

    async def touch(self, digest: str, at: datetime) -> None:
        """Remember that it was used; never sets the time back. One that is gone is ignored."""
        ...

    async def end(self, session_id: str) -> None:
        """Forget it. Idempotent."""
        ...


class StreamTicketStore(Protocol):
    """Tickets that were not used yet, of all tenants."""

    async def add(self, ticket: StreamTicket) -> None:
        """Insert it; the digest is new."""
        ...

    async def take(self, digest: str) -> StreamTicket | None:
        """The ticket, and remove it: of several that take the same one, on whatever replica, one gets it."""
        ...
