"""Tenants take turns: one that sends a thousand calls does not keep another's single one waiting.

There is one event loop, and it serves in the order of arrival. So where more than one tenant calls, one call
is let in at every step of the loop (or every few: `PACES`), and of those that wait one of each tenant before
anybody's second. Steps stay short whatever one tenant has sent, and nothing is refused. While a single tenant
calls, nobody is held up at all.
"""

import asyncio
from collections import deque
from typing import Final

from app.domain.identity import TenantId

PACES: Final = {"rest": 1, "grpc": 8}
"""Steps of the loop from one call to the next. grpc.aio takes a call from the wire every few steps: at a
faster pace calls would queue up there, in the order of arrival, and not here (measured: with 1, a single call
beside 64 of another tenant takes 31 ms, with 8 it takes 5 ms; they cost no throughput)."""
MIXED_S: Final = 1.0
"""How long after the last change of tenant calls are still let in by turns."""


class Turns:
    """Lets calls in, by turns where tenants compete."""

    def __init__(self) -> None:
        self._waiting: dict[TenantId, deque[tuple[asyncio.Future[None], int]]] = {}
        self._steps_left = 0
        """Until the next call; 0 when nobody was let in lately."""
        self._last: TenantId | None = None
        self._mixed_until = 0.0

    def __len__(self) -> int:
        """Calls that wait, those that were cancelled meanwhile included."""
        return sum(len(queue) for queue in self._waiting.values())

    async def take(self, tenant: TenantId, pace: int = 1) -> None:
        """Wait until it is the call's turn; at once unless tenants compete. Cancelling it gives it up.

        The next call is let in `pace` steps of the loop later.
        """
        loop = asyncio.get_running_loop()
        now = loop.time()
        if tenant != self._last:
            if self._last is not None:
                self._mixed_until = now + MIXED_S
            self._last = tenant
        if self._steps_left == 0:  # then nobody waits
            if now < self._mixed_until:
                self._steps_left = pace
                loop.call_soon(self._step)
            return
        turn: asyncio.Future[None] = loop.create_future()
        self._waiting.setdefault(tenant, deque()).append((turn, pace))
        await turn

    def _step(self) -> None:
        """A step of the loop is over."""
        self._steps_left -= 1
        if self._steps_left == 0:
            self._steps_left = self._next()
        if self._steps_left > 0:
            asyncio.get_running_loop().call_soon(self._step)

    def _next(self) -> int:
        """Let the next call in, if one waits; its pace, or 0."""
        while self._waiting:
            tenant = next(iter(self._waiting))
            queue = self._waiting.pop(tenant)
            turn, pace = queue.popleft()
            if queue:
                self._waiting[tenant] = queue  # behind the others
            if not turn.done():
                turn.set_result(None)
                return pace
        return 0
