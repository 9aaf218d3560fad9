"""How often something may happen: the generic cell rate algorithm. Pure; whoever asks tells the time.

A bucket is one number, the moment at which it will be whole again (the theoretical arrival time of
ITU-T I.371, in its virtual scheduling form). All times are whole microseconds, so nothing is rounded
away: a rate of N admits exactly N at once.
"""

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

MICROSECONDS = 1_000_000
MAX_BUCKETS = 100_000


@dataclass(frozen=True, slots=True)
class Rate:
    """`limit` at once, and one more each `window_s / limit` seconds."""

    limit: int
    window_s: int
    interval_us: int = field(init=False)
    """Between two, once the burst is used up; rounded down."""
    span_us: int = field(init=False)
    """How far a bucket may be ahead of the time."""

    def __post_init__(self) -> None:
        """Raises ValueError for a limit below one, or of more than one each microsecond."""
        interval_us = self.window_s * MICROSECONDS // self.limit if self.limit > 0 else 0
        if interval_us < 1:
            raise ValueError(f"{self.limit} in {self.window_s} s is no rate")
        object.__setattr__(self, "interval_us", interval_us)
        object.__setattr__(self, "span_us", interval_us * self.limit)

    def remaining(self, level_us: int) -> int:
        """How many more would be let through at once from a bucket that is whole in `level_us`."""
        return max(0, (self.span_us - level_us) // self.interval_us)

    def wait_us(self, level_us: int) -> int:
        """Until one would be let through; 0 for now."""
        return max(0, level_us + self.interval_us - self.span_us)


Draw = tuple[Hashable, Rate]
"""One from the bucket of that key."""


class Meter:
    """Buckets in memory, at most `max_buckets`: those that are whole need not be kept.

    Beyond that the one not drawn from for longest is forgotten, whole or not.
    """

    def __init__(self, max_buckets: int = MAX_BUCKETS) -> None:
        self._max_buckets = max_buckets
        self._due: OrderedDict[Hashable, int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._due)

    def take(self, draws: Sequence[Draw], now_us: int) -> tuple[bool, list[int]]:
        """One from each bucket, or nothing from any.

        Whether it was taken, and in how many microseconds each bucket is whole: after it when it was
        taken, as it stands when not.
        """
        due = self._due
        levels = [max(due.get(key, 0) - now_us, 0) for key, _ in draws]
        for (_, rate), level in zip(draws, levels, strict=True):
            if level + rate.interval_us > rate.span_us:
                return False, levels
        for number, (key, rate) in enumerate(draws):
            levels[number] += rate.interval_us
            due[key] = now_us + levels[number]
            due.move_to_end(key)
        self._tidy(now_us)
        return True, levels

    def _tidy(self, now_us: int) -> None:
        """Drop a few of the oldest that are whole: more than were added."""
        due = self._due
        for _ in range(4):
            if not due:
                return
            key, when = next(iter(due.items()))
            if when > now_us and len(due) <= self._max_buckets:
                return
            del due[key]
