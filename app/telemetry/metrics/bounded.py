"""Label values whose set has an end, although callers choose them."""

from collections.abc import Iterable
from typing import Final

OTHER: Final = "other"


class Known:
    """Values of a closed set; the rest is `other`."""

    def __init__(self, values: Iterable[str]) -> None:
        self._values = frozenset(values)

    def __call__(self, value: str) -> str:
        """The value, or `other`."""
        return value if value in self._values else OTHER


class FirstSeen:
    """The first `limit` values that come; later ones are `other`, until the process starts again."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._seen: set[str] = set()

    def __call__(self, value: str) -> str:
        """The value, or `other`."""
        if value in self._seen:
            return value
        if len(self._seen) >= self._limit or len(value) > 200:
            return OTHER
        self._seen.add(value)
        return value
