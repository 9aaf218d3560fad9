"""The brake on those who guess, by itself."""

import pytest

from app.domain.errors import RateLimitedError
from app.policy.admission import UnknownPeer
from app.policy.authentication.brake import FailureBrake
from tests.unit.policy.gatehouse import Clock


def test_of_ipv6_a_whole_network_is_one_address() -> None:
    brake = FailureBrake(2, clock=Clock())
    brake.failed(UnknownPeer(address="2001:db8::1"))
    brake.failed(UnknownPeer(address="2001:db8::2"))

    with pytest.raises(RateLimitedError):
        brake.check(UnknownPeer(address="2001:db8::ffff"))
    brake.check(UnknownPeer(address="2001:db8:0:1::1"))
    brake.failed(UnknownPeer(address="::ffff:192.0.2.1"))
    brake.failed(UnknownPeer(address="192.0.2.1"))
    with pytest.raises(RateLimitedError):
        brake.check(UnknownPeer(address="192.0.2.1"))


def test_the_brake_forgets_failures_one_by_one() -> None:
    clock = Clock()
    brake, peer = FailureBrake(60, clock=clock), UnknownPeer(address="192.0.2.1")
    for _ in range(1_000):
        brake.failed(peer)

    with pytest.raises(RateLimitedError):
        brake.check(peer)
    clock.s += 1
    brake.check(peer)
    brake.failed(peer)
    with pytest.raises(RateLimitedError):
        brake.check(peer)
    clock.s += 61
    brake.failed(UnknownPeer(address="192.0.2.2"))
    assert len(brake) == 1
