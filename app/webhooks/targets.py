"""Where a webhook may lead: the rule against requests that reach inwards, and https."""

from app.domain.errors import InvalidRequestError, PermissionDeniedError, ToolFailedError
from app.tools.egress import Destination, Egress


class Targets:
    """Looks a URL up, when an endpoint is made and again before each attempt."""

    def __init__(self, egress: Egress) -> None:
        self._egress = egress

    async def destination(self, url: str) -> Destination:
        """The address to connect to. Raises InvalidRequestError (field `url`) for one that is not allowed
        or that nobody knows."""
        try:
            found = await self._egress.destination(url)
        except PermissionDeniedError as error:
            raise InvalidRequestError.of("url", error.message, "PRIVATE_ADDRESS") from None
        except ToolFailedError as error:
            raise InvalidRequestError.of("url", error.message, "UNKNOWN_HOST") from None
        if found.scheme != "https" and not self._egress.allows(found.host, found.port):
            raise InvalidRequestError.of("url", "must begin with https://", "NOT_SECURE")
        return found

    async def check(self, url: str) -> None:
        """Raises as `destination`."""
        await self.destination(url)
