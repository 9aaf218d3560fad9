"""Blocking work on a thread, with an honest end: a cancelled caller first waits for what it started."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

T = TypeVar("T")
PATIENCE_S = 1.0


async def finished(threads: Executor, work: Callable[[], T]) -> T:
    """Run blocking file work. It cannot be cut short, so a cancelled caller waits for its end (at
    most `PATIENCE_S`; the work is bounded by the quota): nothing is written after the
    cancellation went on."""
    running = asyncio.get_running_loop().run_in_executor(threads, work)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running], timeout=PATIENCE_S)
        raise
