"""The breaker as a value: when it opens, how long, and how it finds back."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from app.domain.breaker import (
    Breaker,
    BreakerPolicy,
    CircuitState,
    Permit,
    Refusal,
    Verdict,
)

POLICY = BreakerPolicy(window_s=10, min_calls=4, failure_ratio=0.5, open_s=2, max_open_s=7, probes=2)
OK, BAD, NEUTRAL = Verdict.SUCCESS, Verdict.FAILURE, Verdict.NEUTRAL


def called(breaker: Breaker, verdict: Verdict, at: float) -> Breaker:
    breaker, permit = breaker.admit(at)
    assert isinstance(permit, Permit)
    return breaker.settle(permit, verdict, at)


def after(*verdicts: Verdict, at: float = 0.0) -> Breaker:
    breaker = Breaker(policy=POLICY)
    for verdict in verdicts:
        breaker = called(breaker, verdict, at)
    return breaker


def opened(at: float = 0.0) -> Breaker:
    breaker = after(BAD, BAD, BAD, BAD, at=at)
    assert breaker.state is CircuitState.OPEN
    return breaker


def half_open(at: float = 2.0) -> tuple[Breaker, Permit, Permit]:
    breaker, first = opened().admit(at)
    breaker, second = breaker.admit(at)
    assert isinstance(first, Permit)
    assert isinstance(second, Permit)
    assert breaker.state is CircuitState.HALF_OPEN
    return breaker, first, second


def test_it_opens_when_enough_calls_were_made_and_enough_of_them_failed() -> None:
    assert after(BAD, BAD, BAD).state is CircuitState.CLOSED
    assert after(OK, OK, OK, BAD, BAD).state is CircuitState.CLOSED
    assert after(OK, OK, BAD, BAD).state is CircuitState.OPEN


def test_what_says_nothing_about_the_other_end_counts_nowhere() -> None:
    assert after(*[NEUTRAL] * 100).counts == (0, 0)
    assert after(*[NEUTRAL] * 100, BAD, BAD, BAD).state is CircuitState.CLOSED


def test_failures_are_forgotten_when_the_window_has_moved_on() -> None:
    breaker = after(BAD, BAD, BAD, at=0.0)

    assert called(breaker, BAD, 9.0).state is CircuitState.OPEN
    assert called(breaker, BAD, 10.5).state is CircuitState.CLOSED
    assert called(breaker, BAD, 10.5).counts == (0, 1)


def test_an_open_one_refuses_and_says_for_how_long() -> None:
    breaker, answer = opened(at=5.0).admit(5.5)

    assert answer == Refusal(1.5)
    assert breaker.state is CircuitState.OPEN


def test_exactly_as_many_probes_as_allowed_are_let_through() -> None:
    breaker, *_ = half_open()

    same, answer = breaker.admit(2.0)

    assert answer == Refusal(1.0)
    assert same == breaker


def test_all_probes_must_succeed_before_it_closes() -> None:
    breaker, first, second = half_open()

    breaker = breaker.settle(first, OK, 2.1)
    assert breaker.state is CircuitState.HALF_OPEN
    assert isinstance(breaker.admit(2.1)[1], Refusal)
    breaker = breaker.settle(second, OK, 2.2)

    assert breaker.state is CircuitState.CLOSED
    assert breaker.counts == (0, 0)


def test_one_failed_probe_opens_it_for_twice_as_long_up_to_the_cap() -> None:
    breaker, at, waits = opened(), 0.0, []
    for _ in range(4):
        wait = breaker.open_until_s - at
        waits.append(wait)
        at += wait
        breaker = called(breaker, BAD, at)

    assert waits == [2, 4, 7, 7]


def test_the_wait_starts_over_once_it_was_closed() -> None:
    breaker, first, second = half_open()
    breaker = breaker.settle(first, OK, 2.0).settle(second, OK, 2.0)
    for _ in range(4):
        breaker = called(breaker, BAD, 3.0)

    assert breaker.open_until_s == 5.0


def test_a_probe_that_says_nothing_gives_its_place_to_the_next() -> None:
    breaker, first, _ = half_open()

    breaker = breaker.settle(first, NEUTRAL, 2.1)

    assert breaker.state is CircuitState.HALF_OPEN
    assert isinstance(breaker.admit(2.1)[1], Permit)


def test_a_call_of_an_earlier_era_settles_nothing() -> None:
    closed, late = Breaker(policy=POLICY).admit(0.0)
    assert isinstance(late, Permit)
    for _ in range(4):
        closed = called(closed, BAD, 0.0)

    assert closed.settle(late, OK, 1.0) == closed
    probing, first, second = half_open()
    assert probing.settle(late, BAD, 2.0) == probing
    reopened = probing.settle(first, BAD, 2.0)
    assert reopened.settle(second, OK, 2.0) == reopened


@pytest.mark.parametrize("trips", [1, 2, 3, 10_000])
def test_no_wait_is_beyond_the_cap(trips: int) -> None:
    assert 0 < POLICY.wait_s(trips) <= POLICY.max_open_s


@settings(max_examples=200)
@given(st.lists(st.tuples(st.floats(0, 3), st.sampled_from(list(Verdict))), max_size=60))
def test_while_it_is_closed_the_counts_are_those_of_the_window(calls: list[tuple[float, Verdict]]) -> None:
    breaker, now = Breaker(policy=BreakerPolicy(window_s=10, min_calls=1_000)), 0.0
    seen: list[tuple[float, Verdict]] = []
    for pause, verdict in calls:
        now += pause
        breaker = called(breaker, verdict, now)
        seen.append((now, verdict))
    if not seen or seen[-1][1] is NEUTRAL:
        return

    exact = [verdict for at, verdict in seen if verdict is not NEUTRAL and at > now - 9]
    at_most = [verdict for at, verdict in seen if verdict is not NEUTRAL and at > now - 10 - 1e-9]
    assert len(exact) <= sum(breaker.counts) <= len(at_most)


@dataclass
class _Model:
    """What is on its way, by the era in which it was let through."""

    probes: list[Permit] = field(default_factory=list)
    calls: list[Permit] = field(default_factory=list)


class BreakerMachine(RuleBasedStateMachine):
    """Calls come and end in any order, at any time."""

    @initialize(probes=st.integers(1, 4), minimum=st.integers(1, 5))
    def begin(self, probes: int, minimum: int) -> None:
        self.policy = BreakerPolicy(
            window_s=10, min_calls=minimum, failure_ratio=0.5, open_s=2, max_open_s=9, probes=probes
        )
        self.breaker, self.now = Breaker(policy=self.policy), 0.0
        self.way = _Model()

    @rule(seconds=st.floats(0, 6))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def somebody_calls(self) -> None:
        before = self.breaker
        self.breaker, answer = before.admit(self.now)
        match before.state:
            case CircuitState.CLOSED:
                assert isinstance(answer, Permit)
            case CircuitState.OPEN:
                assert isinstance(answer, Permit) == (self.now >= before.open_until_s)
            case CircuitState.HALF_OPEN:
                room = before.probing + before.proved < self.policy.probes
                assert isinstance(answer, Permit) == room
        if isinstance(answer, Refusal):
            assert 0 < answer.retry_s <= self.policy.max_open_s
        else:
            (self.way.probes if answer.probe else self.way.calls).append(answer)

    @precondition(lambda self: self.way.probes)
    @rule(data=st.data(), verdict=st.sampled_from(list(Verdict)))
    def a_probe_ends(self, data: st.DataObject, verdict: Verdict) -> None:
        permit = self.way.probes.pop(data.draw(st.integers(0, len(self.way.probes) - 1)))
        before = self.breaker
        self.breaker = before.settle(permit, verdict, self.now)
        if permit.era != before.era:
            assert self.breaker == before
        elif verdict is BAD:
            assert self.breaker.state is CircuitState.OPEN
            assert self.breaker.trips == before.trips + 1

    @precondition(lambda self: self.way.calls)
    @rule(data=st.data(), verdict=st.sampled_from(list(Verdict)))
    def a_call_ends(self, data: st.DataObject, verdict: Verdict) -> None:
        permit = self.way.calls.pop(data.draw(st.integers(0, len(self.way.calls) - 1)))
        before = self.breaker
        self.breaker = before.settle(permit, verdict, self.now)
        if before.state is not CircuitState.CLOSED:
            assert self.breaker == before
        if self.breaker.state is CircuitState.OPEN and before.state is CircuitState.CLOSED:
            assert verdict is BAD

    @invariant()
    def the_probes_on_their_way_are_counted_exactly(self) -> None:
        mine = [permit for permit in self.way.probes if permit.era == self.breaker.era]
        assert self.breaker.probing == len(mine)
        assert self.breaker.probing + self.breaker.proved <= self.policy.probes
        if self.breaker.state is not CircuitState.HALF_OPEN:
            assert (self.breaker.probing, self.breaker.proved) == (0, 0)

    @invariant()
    def it_is_always_possible_to_find_back(self) -> None:
        if self.breaker.state is CircuitState.OPEN:
            assert isinstance(self.breaker.admit(self.breaker.open_until_s)[1], Permit)


TestBreakerMachine = BreakerMachine.TestCase
TestBreakerMachine.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
