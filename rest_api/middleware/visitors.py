"""Who may call while nobody needs a key: this machine's own programs, not pages in its browser.

A page from anywhere can make a browser send requests to a loopback address. Two things tell them:
after DNS rebinding the `Host` is the page's own name, and whatever a browser lets a page change
elsewhere carries its `Origin` (Fetch standard, section 3.2).
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import ip_address
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from rest_api.errors import HttpError
from rest_api.routing import EXCHANGE, Exchange

_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9_.-]{1,253})(?::[0-9]{1,5})?")
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class LocalVisitors:
    """Lets through what is addressed to this machine and does not come from another site's page.

    For a gateway without keys on a loopback listener. `allowed_hosts` are more names it is reached
    by; `allowed_origins` the pages that may change things.
    """

    def __init__(
        self, app: ASGIApp, *, allowed_hosts: Iterable[str] = (), allowed_origins: Iterable[str] = ()
    ) -> None:
        self._app = app
        self._hosts = frozenset(host.lower() for host in allowed_hosts)
        self._origins = frozenset(origin.lower() for origin in allowed_origins)
        self._is_ours = lru_cache(maxsize=256)(self._names_us)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request. Raises HttpError: 421 for another's name, 403 for another site's page."""
        if scope.get("client") is None:  # a Unix socket: no name leads to it, no page reaches it
            await self._app(scope, receive, send)
            return
        exchange: Exchange = scope[EXCHANGE]
        headers = exchange.headers
        host = headers.get("host", "")
        if not self._is_ours(host):
            raise HttpError(
                421,
                "MISDIRECTED_REQUEST",
                "while calls need no key this answers to loopback names only; see rest.allowed_hosts",
            )
        origin = headers.get("origin")
        if origin is not None and scope["method"] not in _SAFE and not self._may_change(origin, host):
            raise HttpError(
                403, "CROSS_ORIGIN", "a page of another origin may change nothing here; see rest.cors_origins"
            )
        await self._app(scope, receive, send)

    def _names_us(self, authority: str) -> bool:
        found = _HOST.fullmatch(authority)
        if found is None:
            return False
        host = found[1].lower()
        if host in self._hosts or host.removesuffix(".") == "localhost":
            return True
        try:
            return ip_address(host.strip("[]")).is_loopback
        except ValueError:
            return False

    def _may_change(self, origin: str, host: str) -> bool:
        origin = origin.lower()
        same = {f"http://{host.lower()}", f"https://{host.lower()}"}
        return origin in same or origin in self._origins or "*" in self._origins
