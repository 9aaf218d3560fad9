"""What a connection may cost: limits on its bytes and its time, and how many there may be."""

from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Literal

Refusal = Literal["bad_request", "connections", "handshake", "http2", "stalled"]
"""Why a connection was ended without a request of its own being at fault."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpLimits:
    """Of one HTTP listener. Times in seconds, sizes in bytes."""

    max_target_bytes: int = 16 * 1024
    """The request target: path and query (414 beyond it)."""
    max_head_bytes: int = 64 * 1024
    """Target and headers of one request (431)."""
    max_headers: int = 128
    """Header and trailer fields of one request (431)."""
    head_timeout_s: float = 30.0
    """From the connection, or a head's first byte, to its end."""
    keep_alive_s: float = 75.0
    """How long a connection may be idle between two requests."""
    stall_timeout_s: float = 60.0
    """A client that takes less than `min_bytes_per_s` of an answer for this long is cut."""
    min_bytes_per_s: int = 128
    handshake_timeout_s: float = 10.0
    """For the TLS handshake."""
    linger_s: float = 5.0
    """How long the rest of a body is read (and thrown away) after its answer was sent."""
    max_connections: int = 10_000
    max_connections_per_address: int | None = None
    """Loopback addresses are not counted: proxies and sidecars live there."""


@dataclass(slots=True)
class Connections:
    """How many there are, in all and from each address. For one loop: not thread-safe."""

    limits: HttpLimits
    refused: Callable[[Refusal], None] = lambda _: None
    """Told of each connection that was ended early."""
    _total: int = 0
    _from: dict[str, int] = field(default_factory=dict[str, int])

    @property
    def open(self) -> int:
        """Connections that are open, TLS handshakes included."""
        return self._total

    def enter(self, address: str | None) -> bool:
        """Count one from `address` (None: a Unix socket). False, uncounted, where it is one too many."""
        limits = self.limits
        if self._total >= limits.max_connections:
            return False
        if limits.max_connections_per_address is not None and address is not None and not _is_local(address):
            already = self._from.get(address, 0)
            if already >= limits.max_connections_per_address:
                return False
            self._from[address] = already + 1
        self._total += 1
        return True

    def leave(self, address: str | None) -> None:
        """One that entered has ended."""
        self._total -= 1
        if address is not None and (left := self._from.get(address, 0) - 1) > 0:
            self._from[address] = left
        elif address is not None:
            self._from.pop(address, None)


def _is_local(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False
