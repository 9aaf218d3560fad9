"""The makes of `Authenticator`: a chain of recognisers, or nobody at the door of a loopback desk."""

from collections.abc import Sequence
from typing import Protocol

from app.domain.identity import Principal
from app.policy.admission import CallHead
from app.policy.authentication.presented import refused


class Recogniser(Protocol):
    """Knows one kind of credential."""

    async def recognise(self, head: CallHead) -> Principal | None:
        """Who calls; None when the call shows nothing of this kind.

        Raises UnauthenticatedError (`refused()`) for one of this kind that opens nothing, in the same words
        and after the same work whether it is unknown or wrong; RateLimitedError (of the brake);
        StorageUnavailableError when that cannot be told now.
        """
        ...


class AuthenticatorChain:
    """Asks its links in order; the first that recognises the call's credential says who calls.

    A link that refuses ends it: a wrong key beside a good cookie is a mistake that must be told.
    """

    def __init__(self, links: Sequence[Recogniser]) -> None:
        self._links = tuple(links)

    async def authenticate(self, head: CallHead) -> Principal:
        """See `Authenticator`; raises what a link raises."""
        for link in self._links:
            principal = await link.recognise(head)
            if principal is not None:
                return principal
        raise refused()


class OpenAuthenticator:
    """Everybody is the local operator. Only for listeners on loopback addresses."""

    def __init__(self) -> None:
        self._principal = Principal(subject="local")

    async def authenticate(self, head: CallHead) -> Principal:
        """Nobody is refused."""
        del head
        return self._principal
