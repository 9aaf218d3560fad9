"""A default deadline for unary calls that bring none, on both protocols: one timer for all of them.

A timer per call costs more than the rest of admission. All calls wait equally long, so they expire
in the order in which they came: a dictionary in that order and one timer at its head do the same.
"""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta
from typing import Any

Call = asyncio.Task[Any]


MESSAGE = "the server's default deadline for this call has passed"


class DefaultDeadline:
    """Cancels a call `after_s` seconds after it entered, unless it has left by then."""

    def __init__(self, after_s: float) -> None:
        self._after_s = after_s
        self._open: dict[Call, float] = {}
        self._extended: dict[Call, asyncio.TimerHandle] = {}
        self._expired: set[Call] = set()
        self._timer: asyncio.TimerHandle | None = None

    def enter(self, call: Call) -> None:
        """Start the clock of a call."""
        loop = call.get_loop()
        self._open[call] = loop.time() + self._after_s
        if self._timer is None:
            self._timer = loop.call_later(self._after_s, self._expire)
        _clock.set(self)

    def extend(self, call: Call, by: timedelta) -> None:
        """Give an entered call more time; from here on it has a timer of its own."""
        due = self._open.pop(call, None)
        if due is not None:
            self._extended[call] = call.get_loop().call_at(due + by.total_seconds(), self._end, call)

    def suspend(self, call: Call) -> bool:
        """Stop the clock of an entered call that has a limit of its own for what it does next.

        False when it is not running (not entered, over, or extended); else `enter` starts it anew.
        """
        return self._open.pop(call, None) is not None

    def leave(self, call: Call) -> None:
        """Stop the clock. Idempotent."""
        if self._open.pop(call, None) is None:
            self._expired.discard(call)
            timer = self._extended.pop(call, None)
            if timer is not None:
                timer.cancel()

    def ended(self, call: Call) -> bool:
        """Whether a cancellation of `call` is this clock's and nobody else's; then it is taken back."""
        return call in self._expired and call.uncancel() == 0

    def close(self) -> None:
        """Stop all timers; what is open stays without a deadline."""
        for timer in (self._timer, *self._extended.values()):
            if timer is not None:
                timer.cancel()
        self._timer = None
        self._extended.clear()
        self._open.clear()

    def _expire(self) -> None:
        self._timer = None
        loop = asyncio.get_running_loop()
        now = loop.time()
        for call, due in list(self._open.items()):
            if due > now:
                self._timer = loop.call_at(due, self._expire)
                return
            del self._open[call]
            self._end(call)

    def _end(self, call: Call) -> None:
        self._expired.add(call)
        call.cancel()


_clock: ContextVar[DefaultDeadline] = ContextVar("default_deadline")


@contextmanager
def without_default_deadline() -> Generator[None]:
    """Inside the block, which has a limit of its own, the default deadline's clock stands still; then
    it starts anew."""
    clock, call = _clock.get(None), asyncio.current_task()
    suspended = clock is not None and call is not None and clock.suspend(call)
    try:
        yield
    finally:
        if suspended and clock is not None and call is not None:
            clock.enter(call)


def extend_default_deadline(by: timedelta) -> None:
    """Inside a call that is meant to wait: so much more than the default deadline, if that is what it has."""
    clock, call = _clock.get(None), asyncio.current_task()
    if clock is not None and call is not None:
        clock.extend(call, by)
