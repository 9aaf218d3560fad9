"""Places among what may be open at a time, counted in this process."""

from collections import Counter
from collections.abc import Callable, Hashable, Sequence

Claim = tuple[Hashable, int]
"""A place of that key, of which there are so many."""


class Leases:
    """How many places of each key are held. A key that nobody holds takes no memory.

    In memory on purpose: what a process holds open is over when the process is, so a replica that
    dies leaves nothing behind that somebody would have to clean up.
    """

    def __init__(self) -> None:
        self._held: dict[Hashable, int] = {}

    def __len__(self) -> int:
        """Places held, of all keys together."""
        return sum(self._held.values())

    def held(self, key: Hashable) -> int:
        """Places held of that key."""
        return self._held.get(key, 0)

    def by(self, group: Callable[[Hashable], str]) -> Counter[str]:
        """Places held, by what `group` says of their keys."""
        held: Counter[str] = Counter()
        for key, places in list(self._held.items()):
            held[group(key)] += places
        return held

    def take(self, claims: Sequence[Claim]) -> "HeldLease | int":
        """A place of each key, or nothing: then the index of the first claim that has none left."""
        held = self._held
        for number, (key, limit) in enumerate(claims):
            if held.get(key, 0) >= limit:
                return number
        keys = [key for key, _ in claims]
        for key in keys:
            held[key] = held.get(key, 0) + 1
        return HeldLease(held, keys)


class HeldLease:
    """Places that are held until `release`."""

    __slots__ = ("_held", "_keys")

    def __init__(self, held: dict[Hashable, int], keys: list[Hashable]) -> None:
        self._held = held
        self._keys = keys

    def release(self) -> None:
        """Give them back. Idempotent; never blocks and never raises."""
        keys, self._keys = self._keys, []
        for key in keys:
            left = self._held.get(key, 0) - 1
            if left > 0:
                self._held[key] = left
            else:
                self._held.pop(key, None)
