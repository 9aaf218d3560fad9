"""Dialects that may be called without credentials, as some unchanged clients of theirs send none."""

from collections.abc import Mapping

from app.domain.identity import Principal
from app.policy.admission import CallHead


class AnonymousDialects:
    """The last link of the chain: only a call that shows nothing at all comes in here.

    `principals` says, for each such dialect, whom its callers act as.
    """

    def __init__(self, principals: Mapping[str, Principal]) -> None:
        self._principals = dict(principals)

    async def recognise(self, head: CallHead) -> Principal | None:
        """See `Recogniser`. A bad credential is refused here as everywhere: it is no reason to be let in."""
        if not head.dialect or _shows_something(head):
            return None
        return self._principals.get(head.dialect)


def _shows_something(head: CallHead) -> bool:
    return (
        "authorization" in head.metadata
        or "x-api-key" in head.metadata
        or head.query_ticket is not None
        or head.session_cookie is not None
    )
