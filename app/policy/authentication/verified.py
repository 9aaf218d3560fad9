"""Tokens that were looked at a moment ago, by their SHA-256, so that a busy caller costs no look-up.

Looking a digest up is not comparing secrets: who probes the dictionary's timing learns about SHA-256 values
that it cannot steer towards one of ours.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from app.domain.identity import Principal

MAX_TOKENS: Final = 10_000


@dataclass(frozen=True, slots=True)
class _Found:
    principal: Principal
    until: float


class VerifiedTokens:
    """What was found out about tokens, for `ttl_s` seconds; at most `max_tokens` good and as many bad ones.

    Good and bad are kept apart: however many random tokens come, they push out no good one. `clock` tells
    seconds since 1970, as expiry is told in them.
    """

    def __init__(self, *, clock: Callable[[], float], ttl_s: float, max_tokens: int = MAX_TOKENS) -> None:
        self._clock = clock
        self._ttl_s = ttl_s
        self._max = max_tokens
        self._good: OrderedDict[bytes, _Found] = OrderedDict()
        self._bad: OrderedDict[bytes, float] = OrderedDict()
        self.generation = 0
        """Rises with each `forget`: what was read before one must not be kept after it."""

    def __len__(self) -> int:
        return len(self._good) + len(self._bad)

    def known(self, digest: bytes) -> Principal | None:
        """Whom a token stands for, if it was found good and still is."""
        found = self._good.get(digest)
        return found.principal if found is not None and found.until > self._clock() else None

    def was_good(self, digest: bytes) -> bool:
        """Whether it was found good before and not forgotten since, even if it must be looked up anew."""
        return digest in self._good

    def is_bad(self, digest: bytes) -> bool:
        """Whether it was found bad within the last `ttl_s`."""
        until = self._bad.get(digest)
        return until is not None and until > self._clock()

    def keep(
        self, digest: bytes, principal: Principal, *, until: datetime | None, generation: int | None = None
    ) -> None:
        """It is good, for `ttl_s` or until then, whichever is earlier.

        `generation` is what it was before the look-up: after a `forget` in between nothing is kept.
        """
        if generation is not None and generation != self.generation:
            return
        end = self._clock() + self._ttl_s
        if until is not None:
            end = min(end, until.timestamp())
        self._bad.pop(digest, None)
        self._good.pop(digest, None)  # to the end: the one that was looked up longest ago goes first
        self._good[digest] = _Found(principal, end)
        if len(self._good) > self._max:
            self._good.popitem(last=False)

    def refuse(self, digest: bytes) -> None:
        """It is bad, for `ttl_s`."""
        self._good.pop(digest, None)
        self._bad.pop(digest, None)
        self._bad[digest] = self._clock() + self._ttl_s
        if len(self._bad) > self._max:
            self._bad.popitem(last=False)

    def forget(self, credential_id: str) -> None:
        """Look at this credential anew from the next call on, as it was revoked or changed."""
        self.generation += 1
        stale = [d for d, found in self._good.items() if found.principal.credential_id == credential_id]
        for digest in stale:
            del self._good[digest]
