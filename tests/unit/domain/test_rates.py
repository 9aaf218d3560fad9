"""The generic cell rate algorithm against what one can count on one's fingers."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.rates import MICROSECONDS, Meter, Rate


@given(limit=st.integers(1, 5_000), window_s=st.integers(1, 86_400), start=st.integers(0, 2**50))
@settings(max_examples=100, deadline=None)
def test_a_rate_of_n_admits_exactly_n_at_once(limit: int, window_s: int, start: int) -> None:
    rate, meter = Rate(limit, window_s), Meter()

    admitted = [meter.take([("k", rate)], start)[0] for _ in range(limit + 20)]

    assert admitted == [True] * limit + [False] * 20


@given(
    limit=st.integers(1, 50),
    window_s=st.integers(1, 100),
    pauses=st.lists(st.integers(0, 5 * MICROSECONDS), max_size=200),
)
@settings(max_examples=200, deadline=None)
def test_in_any_window_no_more_pass_than_the_burst_and_what_refills(
    limit: int, window_s: int, pauses: list[int]
) -> None:
    rate, meter, now = Rate(limit, window_s), Meter(), 0
    passed: list[int] = []
    for pause in pauses:
        now += pause
        before = meter.take([("k", rate)], now)
        if before[0]:
            passed.append(now)
        else:  # what it says is true: a moment earlier is refused, at the time given it passes
            wait = rate.wait_us(before[1][0])
            assert wait > 0
            assert not meter.take([("k", rate)], now + wait - 1)[0]
    for number, first in enumerate(passed):
        for count, last in enumerate(passed[number:], start=1):
            assert count <= limit + (last - first) // rate.interval_us


def test_waiting_as_long_as_told_is_enough() -> None:
    rate, meter = Rate(3, 10), Meter()
    now = 5
    for _ in range(20):
        admitted, [level] = meter.take([("k", rate)], now)
        if not admitted:
            now += rate.wait_us(level)
            assert meter.take([("k", rate)], now)[0]


def test_what_is_refused_takes_nothing_from_any_bucket() -> None:
    meter, wide, narrow = Meter(), Rate(5, 60), Rate(1, 60)

    outcomes = [meter.take([("wide", wide), ("narrow", narrow)], 0)[0] for _ in range(4)]
    _, [level] = meter.take([("wide", wide)], 0)

    assert outcomes == [True, False, False, False]
    assert wide.remaining(level) == 3


def test_a_hundred_thousand_callers_fit_and_more_push_out_the_oldest() -> None:
    meter, rate = Meter(max_buckets=100_000), Rate(1, 3_600)

    for number in range(100_000):
        meter.take([(("p", number), rate)], number)
    full = len(meter)
    for number in range(100_000, 100_050):
        meter.take([(("p", number), rate)], number)

    assert (full, len(meter)) == (100_000, 100_000)
    assert not meter.take([(("p", 99_999), rate)], 100_100)[0]


def test_what_is_whole_again_is_forgotten_as_others_come() -> None:
    meter, rate = Meter(), Rate(10, 1)
    for number in range(1_000):
        meter.take([(number, rate)], 0)
    for number in range(300):
        meter.take([(("later", number), rate)], 2 * MICROSECONDS)

    assert len(meter) == 300


@pytest.mark.parametrize(("limit", "window_s"), [(0, 1), (-1, 1), (1, 0), (1_000_001, 1)])
def test_what_is_no_rate_is_refused(limit: int, window_s: int) -> None:
    with pytest.raises(ValueError, match="no rate"):
        Rate(limit, window_s)
