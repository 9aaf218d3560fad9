"""A circuit breaker as a value: pure, told the time, without I/O.

    closed  --(enough failures in the window)-->  open
    open    --(its wait is over, and somebody asks)-->  half open
    half open  --(every probe succeeded)-->  closed
    half open  --(a probe failed)-->  open, for twice as long, up to the cap

Who calls the other end asks `admit` before and tells `settle` afterwards. What a caller did wrong,
gave up or ran out of time for says nothing about the other end: it settles as `NEUTRAL`, which
counts nowhere and gives a probe's place to the next.
"""

from dataclasses import dataclass, replace
from enum import Enum, StrEnum

SLICES = 10
"""The window moves on in tenths: what is counted is at most a tenth of it too old."""
MAX_DOUBLINGS = 32
"""Beyond it a wait is at its cap for certain, and a float does not overflow."""
BUSY_RETRY_S = 1.0
"""What those are told who come while all probes are on their way: nobody knows how long these take."""


class CircuitState(StrEnum):
    """What a breaker does with the next call."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Verdict(Enum):
    """What a call says about the other end."""

    SUCCESS = "success"
    FAILURE = "failure"
    NEUTRAL = "neutral"


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerPolicy:
    """When to open and how to find back; times in seconds.

    Opens with a failure, when the last `window_s` held `min_calls` calls or more and `failure_ratio` of
    them failed.
    Stays open for `open_s`, doubled each time the probes fail, at most `max_open_s`. Then `probes`
    calls are let through; all of them must succeed.
    """

    window_s: float = 30.0
    min_calls: int = 10
    failure_ratio: float = 0.5
    open_s: float = 5.0
    max_open_s: float = 120.0
    probes: int = 2

    def wait_s(self, trips: int) -> float:
        """How long it stays open the `trips`-th time in a row (from 1)."""
        return min(self.max_open_s, self.open_s * 2 ** min(trips - 1, MAX_DOUBLINGS))


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave to make one call. `era` is the breaker's when it was given: an older one settles nothing."""

    era: int
    probe: bool = False


@dataclass(frozen=True, slots=True)
class Refusal:
    """No leave; another call has a chance in `retry_s` seconds."""

    retry_s: float


@dataclass(frozen=True, slots=True)
class _Slice:
    """A tenth of the window: calls that succeeded and failed in it."""

    number: int
    succeeded: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """One circuit. Every method returns the breaker as it is afterwards.

    `era` rises with each change of state. `trips` counts openings since it was last closed.
    `probing` are the probes on their way, `proved` those that succeeded.
    """

    policy: BreakerPolicy
    state: CircuitState = CircuitState.CLOSED
    era: int = 0
    trips: int = 0
    open_until_s: float = 0.0
    probing: int = 0
    proved: int = 0
    slices: tuple[_Slice, ...] = ()

    def admit(self, now_s: float) -> "tuple[Breaker, Permit | Refusal]":
        """Ask for one call."""
        if self.state is CircuitState.CLOSED:
            return self, Permit(self.era)
        if self.state is CircuitState.OPEN:
            if now_s < self.open_until_s:
                return self, Refusal(self.open_until_s - now_s)
            return self._half_opened().admit(now_s)
        if self.probing + self.proved >= self.policy.probes:
            return self, Refusal(min(BUSY_RETRY_S, self.policy.open_s))
        return replace(self, probing=self.probing + 1), Permit(self.era, probe=True)

    def settle(self, permit: Permit, verdict: Verdict, now_s: float) -> "Breaker":
        """Tell what came of a call, once per permit. Of an earlier era it is news of yesterday."""
        if permit.era != self.era:
            return self
        if not permit.probe:
            return self.note(verdict, now_s)
        if verdict is Verdict.FAILURE:
            return self._opened(now_s)
        done = replace(self, probing=self.probing - 1)
        if verdict is Verdict.NEUTRAL:
            return done
        done = replace(done, proved=done.proved + 1)
        return done._closed() if done.proved >= self.policy.probes else done

    def note(self, verdict: Verdict, now_s: float) -> "Breaker":
        """Count what was seen without a permit of its own, such as an answer that broke off late."""
        if self.state is not CircuitState.CLOSED or verdict is Verdict.NEUTRAL:
            return self
        counted = replace(self, slices=self._counting(verdict, now_s))
        spoiled = verdict is Verdict.FAILURE and counted._spoiled
        return counted._opened(now_s) if spoiled else counted

    @property
    def counts(self) -> tuple[int, int]:
        """Calls that succeeded and failed in the window, as last counted."""
        return sum(part.succeeded for part in self.slices), sum(part.failed for part in self.slices)

    @property
    def _spoiled(self) -> bool:
        succeeded, failed = self.counts
        total = succeeded + failed
        return total >= self.policy.min_calls and failed >= self.policy.failure_ratio * total

    def _counting(self, verdict: Verdict, now_s: float) -> tuple[_Slice, ...]:
        number = int(now_s * SLICES / self.policy.window_s)
        kept = [part for part in self.slices if number - SLICES < part.number]
        last = kept.pop() if kept and kept[-1].number >= number else _Slice(number)
        if verdict is Verdict.SUCCESS:
            return (*kept, replace(last, succeeded=last.succeeded + 1))
        return (*kept, replace(last, failed=last.failed + 1))

    def _opened(self, now_s: float) -> "Breaker":
        trips = self.trips + 1
        return Breaker(
            policy=self.policy,
            state=CircuitState.OPEN,
            era=self.era + 1,
            trips=trips,
            open_until_s=now_s + self.policy.wait_s(trips),
        )

    def _half_opened(self) -> "Breaker":
        return Breaker(policy=self.policy, state=CircuitState.HALF_OPEN, era=self.era + 1, trips=self.trips)

    def _closed(self) -> "Breaker":
        return Breaker(policy=self.policy, era=self.era + 1)
