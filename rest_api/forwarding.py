"""Who a request comes from when a proxy brings it: told by the proxy, believed of trusted ones only.

`Forwarded` (RFC 7239) wins over `X-Forwarded-For` and `X-Forwarded-Proto`. The chain is read from its
end: each address that is a trusted proxy's vouches for the one before it; the first that is none is the
client. Whatever stands before it the client may have written itself.
"""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Final, Literal

from starlette.types import ASGIApp, Receive, Scope, Send

Proxy = IPv4Network | IPv6Network | Literal["unix"]

_MAX_HOPS: Final = 32
_PAIR: Final = re.compile(r'\s*([A-Za-z-]{1,32})=(?:"([^"\\]{0,256})"|([^\s;,"]{0,256}))\s*')
_NODE: Final = re.compile(
    r"\[([0-9A-Fa-f:.]{2,45})\](?::\d{1,5})?|([0-9.]{7,15})(?::\d{1,5})?|([0-9A-Fa-f:.]{2,45})"
)
_SCHEMES: Final = frozenset({"http", "https"})


class Forwarded:
    """Rewrites `client` and `scheme` of requests that a trusted proxy brings."""

    def __init__(self, app: ASGIApp, *, trusted: Iterable[Proxy]) -> None:
        self._app = app
        trusted = tuple(trusted)
        self._networks = tuple(one for one in trusted if one != "unix")
        self._trusts_unix = "unix" in trusted
        self._is_trusted = lru_cache(maxsize=4_096)(self._is_proxy)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request as its client's own."""
        if scope["type"] == "http":
            client = scope.get("client")
            if self._trusts_unix if client is None else self._is_trusted(client[0]):
                self._believe(scope)
        await self._app(scope, receive, send)

    def _believe(self, scope: Scope) -> None:
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        standard = _joined(headers, b"forwarded")
        if standard:
            hops = _forwarded(standard)
        else:
            proto = _joined(headers, b"x-forwarded-proto").rpartition(",")[2].strip().lower()
            hops = [(node.strip(), proto) for node in _joined(headers, b"x-forwarded-for").split(",")]
        for node, proto in reversed(hops[-_MAX_HOPS:]):
            address = _address(node)
            if proto in _SCHEMES:
                scope["scheme"] = proto
            if address is None:  # unknown, hidden or nonsense: nobody vouches for what comes before it
                return
            scope["client"] = (address, 0)
            if not self._is_trusted(address):
                return

    def _is_proxy(self, address: str) -> bool:
        try:
            parsed = ip_address(address)
        except ValueError:
            return False
        if parsed.version == 6 and parsed.ipv4_mapped is not None:
            parsed = parsed.ipv4_mapped
        return any(parsed in network for network in self._networks)


def _joined(headers: Sequence[tuple[bytes, bytes]], name: bytes) -> str:
    return ",".join(value.decode("latin-1") for key, value in headers if key == name)


def _forwarded(value: str) -> list[tuple[str, str]]:
    """`for` and `proto` of each element. A quoted comma or semicolon is no separator (nor a good sign)."""
    hops: list[tuple[str, str]] = []
    for element in value.split(","):
        found: dict[str, str] = {}
        for part in element.split(";"):
            pair = _PAIR.fullmatch(part)
            if pair is not None:
                found[pair[1].lower()] = pair[2] if pair[2] is not None else pair[3]
        hops.append((found.get("for", ""), found.get("proto", "").lower()))
    return hops


def _address(node: str) -> str | None:
    matched = _NODE.fullmatch(node)
    if matched is None:
        return None
    try:
        return str(ip_address(matched[1] or matched[2] or matched[3]))
    except ValueError:
        return None
