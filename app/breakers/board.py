"""All circuits of this process, one for each other end, and who is told what they decide.

A circuit is kept in this process alone: replicas find out for themselves, each with a window of
calls. Nothing here waits, so a call through a closed circuit costs microseconds.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, Protocol

from app.domain.breaker import Breaker, BreakerPolicy, CircuitState, Permit, Refusal, Verdict

Classify = Callable[[BaseException], Verdict]
"""What an exception says about the other end; asked for neither cancellation nor `GeneratorExit`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One other end, `host` with its port. `label` is from a closed set, never a caller's text.

    No key and no tenant: what the other end says about those (401, 403, 429) opens no circuit.
    """

    kind: Literal["model", "sandbox", "webhook"]
    label: str
    host: str = ""


class BreakerObserver(Protocol):
    """Told what circuits decide, on the event loop; must neither block nor raise."""

    def changed(self, target: Target, before: CircuitState, after: CircuitState) -> None:
        """A circuit changed; one that is forgotten changes to closed, so that gauges add up."""
        ...

    def refused(self, target: Target) -> None:
        """A call was not made because the circuit is not closed."""
        ...

    def settled(self, target: Target, verdict: Verdict) -> None:
        """A call was made, and this came of it."""
        ...


class Unobserved:
    """Tells nobody."""

    def changed(self, target: Target, before: CircuitState, after: CircuitState) -> None:
        del target, before, after

    def refused(self, target: Target) -> None:
        del target

    def settled(self, target: Target, verdict: Verdict) -> None:
        del target, verdict


class CircuitOpenError(Exception):
    """The call was not made. Whoever guards a port turns it into that port's own error."""

    def __init__(self, target: Target, retry_after: timedelta) -> None:
        super().__init__(f"the circuit of {target.kind} {target.label} is open")
        self.target = target
        self.retry_after = retry_after


class Attempt:
    """One call through a circuit. Settled once: by `settle`, else by how its block ends."""

    __slots__ = ("_circuit", "_permit")

    def __init__(self, circuit: "Circuit", permit: Permit) -> None:
        self._circuit = circuit
        self._permit: Permit | None = permit

    def settle(self, verdict: Verdict) -> None:
        """Say it now, when the block goes on for longer than what is to be judged. Idempotent."""
        permit, self._permit = self._permit, None
        if permit is not None:
            self._circuit.settle(permit, verdict)


class Circuit:
    """One circuit of a board."""

    def __init__(self, target: Target, board: "CircuitBoard", policy: BreakerPolicy) -> None:
        self.target = target
        self._board = board
        self._breaker = Breaker(policy=policy)
        self._known = True

    @property
    def state(self) -> CircuitState:
        """As of the last call: an open circuit is half open only when somebody comes to try."""
        return self._breaker.state

    @contextmanager
    def attempt(self, classify: Classify) -> Generator[Attempt]:
        """Make one call inside the block. Raises CircuitOpenError when it is not to be made.

        A block that ends well is a success, one that raises is what `classify` says. Cancellation
        (the caller's, or a deadline of ours) and a generator that is closed are neutral.
        """
        attempt = self.enter()
        try:
            yield attempt
        except (asyncio.CancelledError, GeneratorExit):
            attempt.settle(Verdict.NEUTRAL)
            raise
        except BaseException as error:
            attempt.settle(classify(error))
            raise
        else:
            attempt.settle(Verdict.SUCCESS)

    def enter(self) -> Attempt:
        """Leave to make one call; the caller settles it, whatever happens. Raises CircuitOpenError."""
        breaker, answer = self._breaker.admit(self._board.now_s())
        self._become(breaker)
        if isinstance(answer, Refusal):
            self._board.observer.refused(self.target)
            raise CircuitOpenError(self.target, timedelta(seconds=answer.retry_s))
        return Attempt(self, answer)

    def settle(self, permit: Permit, verdict: Verdict) -> None:
        """What came of a call; see `Attempt.settle`."""
        self._become(self._breaker.settle(permit, verdict, self._board.now_s()))
        self._board.observer.settled(self.target, verdict)

    def note_failure(self) -> None:
        """The other end failed after its call had been settled as a success (a stream that broke off)."""
        self._become(self._breaker.note(Verdict.FAILURE, self._board.now_s()))
        self._board.observer.settled(self.target, Verdict.FAILURE)

    def forgotten(self) -> None:
        """It leaves the board; what is still on its way changes no gauge any more."""
        self._known = False
        if self.state is not CircuitState.CLOSED:
            self._board.observer.changed(self.target, self.state, CircuitState.CLOSED)

    def _become(self, after: Breaker) -> None:
        before, self._breaker = self._breaker.state, after
        if self._known and before is not after.state:
            self._board.observer.changed(self.target, before, after.state)


class CircuitBoard:
    """Finds the circuit of a target; keeps the latest `capacity` of them.

    Callers may name endpoints, so the number is bounded. Closed circuits are forgotten first: to name
    many endpoints does not close the circuit of another.
    """

    def __init__(
        self,
        policy: BreakerPolicy | None = None,
        *,
        observer: BreakerObserver | None = None,
        now_s: Callable[[], float] = time.monotonic,
        capacity: int = 512,
    ) -> None:
        self.observer: BreakerObserver = observer or Unobserved()
        self.now_s = now_s
        self._policy = policy or BreakerPolicy()
        self._capacity = capacity
        self._circuits: OrderedDict[Target, Circuit] = OrderedDict()

    def circuit(self, target: Target) -> Circuit:
        """The circuit of this other end, a new one when it is not known (any more).

        Ask for it at each call rather than keeping it: one that was forgotten counts for itself.
        """
        known = self._circuits.get(target)
        if known is not None:
            self._circuits.move_to_end(target)
            return known
        made = self._circuits[target] = Circuit(target, self, self._policy)
        if len(self._circuits) > self._capacity:
            self._forget_one()
        return made

    def circuits(self) -> list[Circuit]:
        """All that are known, the longest unused first."""
        return list(self._circuits.values())

    def _forget_one(self) -> None:
        newest = next(reversed(self._circuits))
        closed = (
            target
            for target, one in self._circuits.items()
            if one.state is CircuitState.CLOSED and target != newest
        )
        oldest = next(iter(self._circuits))
        self._circuits.pop(next(closed, oldest)).forgotten()
