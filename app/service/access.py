"""Who am I, and how does my browser get in."""

from app.domain.call import CallContext
from app.domain.identity import Principal
from app.policy.authentication.browser import BrowserSessions, OpenedSession
from app.policy.authentication.tickets import IssuedTicket, StreamTickets


class AccessUseCases:
    """What callers may ask about their own way in. None of it gives anybody a right that it lacks."""

    def __init__(self, tickets: StreamTickets, sessions: BrowserSessions) -> None:
        self._tickets = tickets
        self._sessions = sessions

    async def caller(self, call: CallContext) -> Principal:
        """As whom the call was let in."""
        return call.principal

    async def create_ticket(self, call: CallContext, path: str) -> IssuedTicket:
        """A ticket that lets its bearer in once, as the caller, by GET on `path`.

        Raises InvalidRequestError for what is no path.
        """
        return await self._tickets.issue(call.principal, path)

    async def open_session(self, call: CallContext) -> OpenedSession:
        """A browser session of the caller. Raises PermissionDeniedError when it came with one."""
        return await self._sessions.open(call.principal)

    async def end_session(self, call: CallContext) -> None:
        """End the session that the caller came with. Raises NotFoundError when it came with none."""
        await self._sessions.end(call.principal)
