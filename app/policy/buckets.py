"""Rates that replicas share: the port, and what happens while its store is away.

The makes stand beside this: `buckets_postgres` and `buckets_redis`. A process that shares with nobody
needs none: its buckets are a `Meter` of the domain.
"""

import asyncio
import json
import logging
import time
from collections.abc import Callable, Hashable, Sequence
from contextlib import AbstractAsyncContextManager
from hashlib import blake2b
from typing import Literal, Protocol

from app.domain.errors import StorageUnavailableError
from app.domain.rates import Draw, Meter, Rate

log = logging.getLogger(__name__)

Taken = tuple[bool, list[int]]
"""As `Meter.take`: whether it was taken, and in how many microseconds each bucket is whole."""
PROBE: Draw = ("readiness", Rate(100_000, 1))
RETRY_STORE_S = 1.0
"""After a failure the store is left alone for so long: callers must not wait for it one by one."""


class Buckets(Protocol):
    """Buckets of one cluster. One from each is taken, or nothing from any, exactly, across replicas."""

    async def take(self, draws: Sequence[Draw]) -> Taken:
        """See `Meter.take`; the store's clock counts. Raises StorageUnavailableError. May take long:
        whoever calls bounds the wait."""
        ...

    def opened(self) -> AbstractAsyncContextManager[None]:
        """Hold what it needs (connections) while inside the block. Does not fail when the store is away."""
        ...


def name_of(key: Hashable) -> str:
    """A key as the stores know it: short, of one size, and telling nobody who calls."""
    return blake2b(json.dumps(key).encode(), digest_size=16).hexdigest()


class Guarded:
    """Shared buckets whose store may fail: never a hang, and open or shut as the settings say.

    While the store is away an open one counts in this process alone, so a limit may be exceeded once
    for each replica, but not without end.
    """

    def __init__(
        self,
        buckets: Buckets,
        *,
        timeout_s: float,
        on_outage: Literal["open", "closed"],
        failed: Callable[[], None] = lambda: None,
        now_us: Callable[[], int] = lambda: time.monotonic_ns() // 1_000,
    ) -> None:
        """`failed` is told of each failure of the store."""
        self._buckets = buckets
        self._timeout_s = timeout_s
        self._open = on_outage == "open"
        self._failed = failed
        self._now_us = now_us
        self._alone = Meter()
        self._away_until_us: int | None = None

    async def take(self, draws: Sequence[Draw]) -> Taken:
        """See `Buckets`. Raises StorageUnavailableError when it is shut during an outage."""
        now_us = self._now_us()
        if self._away_until_us is not None and now_us < self._away_until_us:
            return self._without(draws, now_us)
        try:
            async with asyncio.timeout(self._timeout_s):
                taken = await self._buckets.take(draws)
        except (StorageUnavailableError, TimeoutError) as error:
            self._failed()
            if self._away_until_us is None:
                log.warning("rate limits: the shared store is away (%s): %s", error or "silent", self._word)
            self._away_until_us = self._now_us() + int(RETRY_STORE_S * 1e6)
            return self._without(draws, now_us)
        if self._away_until_us is not None:
            log.info("rate limits: the shared store is back")
            self._away_until_us = None
        return taken

    async def check(self) -> None:
        """See whether the store is there, by counting a call of nobody's. Raises StorageUnavailableError.

        A store that is there again is used again at once. May take long: bound it from outside.
        """
        await self._buckets.take([PROBE])
        self._away_until_us = None

    @property
    def _word(self) -> str:
        return "this process counts alone" if self._open else "limited calls are refused"

    def _without(self, draws: Sequence[Draw], now_us: int) -> Taken:
        if self._open:
            return self._alone.take(draws, now_us)
        raise StorageUnavailableError("the store of the rate limits is away; nothing can be counted")
