"""A brake on those who try one credential after the other."""

from collections import OrderedDict
from collections.abc import Callable
from datetime import timedelta
from ipaddress import IPv6Address, ip_address
from typing import Final

from app.domain.errors import RateLimitedError
from app.domain.quotas import Quota
from app.policy.admission import Peer

POLICY: Final = "failed-authentications"
WINDOW_S: Final = 60.0
MAX_ADDRESSES: Final = 10_000
_SLACK_S: Final = 1e-6
"""Sums of floats must not cost anybody its last try."""


class FailureBrake:
    """After `per_minute` failures from one address, its unknown credentials are not looked at for a while.

    One number for each address: when its failures will have been forgiven (GCRA), one every
    60 / `per_minute` seconds. At most `max_addresses` of them, the least recently failed go first. An IPv6
    caller has a whole /64 to come from, so that is what is counted. `clock` tells seconds.
    """

    def __init__(
        self, per_minute: int, *, clock: Callable[[], float], max_addresses: int = MAX_ADDRESSES
    ) -> None:
        self._per_minute = per_minute
        self._interval_s = WINDOW_S / per_minute
        self._clock = clock
        self._max = max_addresses
        self._forgiven_at: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._forgiven_at)

    def check(self, peer: Peer) -> None:
        """Raises RateLimitedError while the address has failed too often."""
        if not self._forgiven_at:  # the usual case: nobody is asked for an address
            return
        at = self._forgiven_at.get(_counted(peer.address))
        if at is None:
            return
        left_s = at - self._clock()
        wait_s = left_s - (WINDOW_S - self._interval_s)
        if wait_s <= _SLACK_S:
            return
        quota = Quota(
            policy=POLICY,
            limit=self._per_minute,
            remaining=0,
            window_s=WINDOW_S,
            reset_s=left_s,
            retry_s=wait_s,
            subject="address",
        )
        raise RateLimitedError(
            "too many failed authentications from this address",
            quotas=(quota,),
            retry_after=timedelta(seconds=wait_s),
            limit=POLICY,
        )

    def failed(self, peer: Peer) -> None:
        """A credential from that address was looked at and opened nothing."""
        now = self._clock()
        address = _counted(peer.address)
        at = max(self._forgiven_at.pop(address, now), now) + self._interval_s
        self._forgiven_at[address] = min(at, now + WINDOW_S)
        if len(self._forgiven_at) > self._max:
            self._forgiven_at.popitem(last=False)
        oldest = next(iter(self._forgiven_at))
        if self._forgiven_at[oldest] <= now:
            del self._forgiven_at[oldest]


def _counted(address: str) -> str:
    if ":" not in address:
        return address
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(IPv6Address(int(parsed) >> 64 << 64))
