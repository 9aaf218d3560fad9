"""Whether a credential is still good that somebody came with earlier: sessions and tickets outlive no key."""

from collections.abc import Awaitable, Callable, Mapping

from app.domain.identity import CredentialKind, Principal

Standing = Callable[[Principal], Awaitable[bool]]
"""Whether the credential that a principal once came with (`credential`, `credential_id`) is still good."""


class StandingByKind:
    """Asks who issued a credential of that kind, and looks at when it ends.

    One of a kind that nobody issues any more is not good.
    """

    def __init__(self, checks: Mapping[CredentialKind, Standing]) -> None:
        self._checks = dict(checks)

    async def __call__(self, principal: Principal) -> bool:
        """Raises StorageUnavailableError when that cannot be told now."""
        check = self._checks.get(principal.credential)
        return check is not None and await check(principal)


async def while_it_lasts(principal: Principal) -> bool:
    """The standing of what nobody can revoke. Until it expires, that is: a session ends by then anyway."""
    del principal
    return True
