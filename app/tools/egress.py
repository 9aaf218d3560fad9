"""Where the gateway may connect to on a caller's behalf: never inwards, unless the operator says so.

A host is resolved once and the connection goes to an address that was looked at, so a name that
answers differently the second time (DNS rebinding) gains nothing.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import SplitResult, urlsplit

from app.domain.errors import InvalidRequestError, PermissionDeniedError, ToolFailedError
from app.tools.name_lookup import resolve

Address = IPv4Address | IPv6Address
Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""Host and port -> addresses as text, best first. Raises OSError when the name is not known."""

RESOLVE_TIMEOUT_S = 5.0
MAX_URL_CHARS = 2_048
MAX_HOST_CHARS = 253
DEFAULT_PORTS = {"http": 80, "https": 443}

_NAT64 = IPv6Network("64:ff9b::/96")
# What `ipaddress` counts as global although it leads to a cloud's inside, or to an IPv4 address that
# must be looked at itself (RFC 8215 local NAT64, deprecated IPv4-compatible and site-local forms).
_ALSO_DENIED: tuple[IPv4Network | IPv6Network, ...] = (
    IPv4Network("100.64.0.0/10"),
    IPv4Network("168.63.129.16/32"),  # Azure's metadata and DNS
    IPv4Network("192.0.0.0/24"),
    IPv4Network("192.88.99.0/24"),
    IPv6Network("::/96"),
    IPv6Network("64:ff9b:1::/48"),
    IPv6Network("fec0::/10"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """A URL that may be requested, and the address to connect to for it."""

    url: str
    scheme: str
    host: str
    port: int
    address: str

    @property
    def origin(self) -> tuple[str, str, int]:
        """Scheme, host and port (RFC 6454)."""
        return self.scheme, self.host, self.port

    @property
    def authority(self) -> str:
        """The value of the `Host` header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


class Egress:
    """The rule against requests that reach inwards (SSRF)."""

    def __init__(self, *, allowed_hosts: Iterable[str] = (), resolver: Resolver = resolve) -> None:
        """`allowed_hosts`: `host` or `host:port` whose addresses may be private."""
        self._allowed = frozenset(host.strip().lower() for host in allowed_hosts)
        self._resolver = resolver

    def allows(self, host: str, port: int) -> bool:
        """Whether its addresses may be private, because the operator says so."""
        return host in self._allowed or _with_port(host, port) in self._allowed

    async def check_url(self, url: str) -> None:
        """Raises what `destination` raises."""
        await self.destination(url)

    async def destination(self, url: str, *, field: str = "url") -> Destination:
        """Where a request to `url` may connect to.

        Raises:
            InvalidRequestError: not an http(s) URL, or one with a user name or password.
            PermissionDeniedError: every request there would reach inwards.
            ToolFailedError: the name cannot be resolved.
        """
        parts = _split(url, field)
        host, port = parts.hostname or "", parts.port or DEFAULT_PORTS[parts.scheme]
        addresses = await self._addresses(host, port)
        # One inward address among others is enough to refuse: nobody needs such a name.
        if not self.allows(host, port) and not all(is_public(address) for address in addresses):
            raise PermissionDeniedError(
                f"requests to {host!r} are not allowed: its address is not on the public internet", host=host
            )
        return Destination(url=url, scheme=parts.scheme, host=host, port=port, address=str(addresses[0]))

    async def _addresses(self, host: str, port: int) -> list[Address]:
        literal = _literal(host)
        if literal is not None:
            return [literal]
        try:
            async with asyncio.timeout(RESOLVE_TIMEOUT_S):
                found = [
                    ip_address(address.partition("%")[0]) for address in await self._resolver(host, port)
                ]
        except (OSError, UnicodeError, TimeoutError):
            found = []
        if not found:
            raise ToolFailedError(f"the host name {host!r} cannot be resolved", host=host)
        return found


def is_public(address: Address) -> bool:
    """Whether an address is on the public internet, seen through the ways to write IPv4 inside IPv6."""
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address.teredo is not None:
            return False
        if inner is None and address in _NAT64:
            inner = IPv4Address(int(address) & 0xFFFF_FFFF)
        if inner is not None:
            return is_public(inner)
    return (
        address.is_global
        and not address.is_multicast
        and not address.is_reserved
        and not any(address in network for network in _ALSO_DENIED)
    )


def _literal(host: str) -> Address | None:
    """The address a host spells out, also in the old forms (`2130706433`, `0x7f.1`, `0177.0.0.1`)."""
    try:
        return ip_address(host)
    except ValueError:
        pass
    if not host or not all(_is_number(part) for part in host.removesuffix(".").split(".")):
        return None
    try:
        return IPv4Address(socket.inet_aton(host.removesuffix(".")))
    except OSError:
        return None


def _is_number(part: str) -> bool:
    digits = part.removeprefix("0x")
    return bool(digits) and all(digit in "0123456789abcdef" for digit in digits) and part[0].isdigit()


def _split(url: str, field: str) -> SplitResult:
    if len(url) > MAX_URL_CHARS:
        raise InvalidRequestError.of(field, f"is longer than {MAX_URL_CHARS} characters")
    if any(character <= " " or character in "\\\x7f" for character in url):
        raise InvalidRequestError.of(field, "has spaces, control characters or backslashes")
    try:
        parts = urlsplit(url)
        port = parts.port
        host = (parts.hostname or "").encode("idna" if not url.isascii() else "ascii").decode()
    except (ValueError, UnicodeError):
        raise InvalidRequestError.of(field, "is not a URL") from None
    if parts.scheme not in DEFAULT_PORTS:
        raise InvalidRequestError.of(field, "only http:// and https:// URLs can be requested")
    if parts.username is not None or parts.password is not None:
        raise InvalidRequestError.of(field, "a URL must not carry a user name or password")
    if not host or len(host) > MAX_HOST_CHARS or port == 0 or "%" in host:
        raise InvalidRequestError.of(field, "has no host that can be reached")
    return parts._replace(netloc=_with_port(host, port) if port else _bracketed(host))


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _with_port(host: str, port: int) -> str:
    return f"{_bracketed(host)}:{port}"
