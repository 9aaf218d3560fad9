"""The serving process: one event loop, its signals, and the drain."""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, Generator
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar

from app.bootstrap.gateway import Gateway

log = logging.getLogger(__name__)
T = TypeVar("T")
SIGNALS = (signal.SIGTERM, signal.SIGINT)
LAST_RESORT_S = 10.0
"""How long after the drain timeout a process that does not end by itself is ended."""
EX_SOFTWARE = 70
"""sysexits.h: what ended was not well."""


def run(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine on this process' one loop: uvloop where there is one (measured: -11..-25 % a call)."""
    factory = None
    if sys.platform != "win32":
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(main())


def settle_memory() -> None:
    """After the start: what it made lives as long as the process, not to be walked again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


async def serve(
    opened: AbstractAsyncContextManager[Gateway], *, announce: Callable[[Gateway], None] | None = None
) -> None:
    """Serve until SIGTERM or SIGINT, then drain; a second signal cuts the drain short.

    A signal during the start gives the start up: nothing was served yet. SIGHUP reloads what can be.
    Raises DomainError or OSError when the start fails, naming what is at fault.
    """
    stop, now = asyncio.Event(), asyncio.Event()
    serving = asyncio.current_task()
    assert serving is not None  # noqa: S101 - a coroutine runs in a task
    is_open = False

    def told() -> None:
        if stop.is_set():
            now.set()
            return
        stop.set()
        if not is_open:
            serving.cancel()

    last_resort: threading.Timer | None = None
    try:
        with _signals(told):
            async with opened as gateway:
                is_open = True
                settle_memory()
                if announce is not None:
                    announce(gateway)
                with _hangups(gateway):
                    await stop.wait()
                    log.info("draining, for at most %s", gateway.drain_timeout)
                    last_resort = _last_resort(gateway.drain_timeout.total_seconds() + LAST_RESORT_S)
                    await _unless(now, gateway.drain())
    except asyncio.CancelledError:
        if is_open or not stop.is_set():
            raise
        serving.uncancel()
        log.info("told to stop while starting")
    if last_resort is not None:
        last_resort.cancel()
    log.info("stopped")


def _last_resort(after_s: float) -> threading.Timer:
    """End the process then, also when its loop is blocked: what was acknowledged is durable.

    An agent in this process may ignore its cancellation, and a task group waits for it.
    """

    def end() -> None:
        log.critical("the process did not end within %.0f s of being told to", after_s)
        logging.shutdown()
        sys.stderr.write("agent-gateway: did not end by itself\n")
        sys.stderr.flush()
        os._exit(EX_SOFTWARE)

    timer = threading.Timer(after_s, end)
    timer.daemon = True
    timer.start()
    return timer


async def _unless(now: asyncio.Event, drain: Coroutine[Any, Any, None]) -> None:
    """Drain until done, or until told to stop now."""
    async with asyncio.TaskGroup() as group:
        draining = group.create_task(drain)
        waiting = group.create_task(now.wait())
        await asyncio.wait({draining, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if not draining.done():
            log.warning("told to stop at once")
        draining.cancel()
        waiting.cancel()


@contextlib.contextmanager
def _hangups(gateway: Gateway) -> Generator[None]:
    """SIGHUP reloads, where there is something to; elsewhere it ends the process, as it always does."""
    if not gateway.can_reload:
        yield
        return
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, gateway.reload)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)


@contextlib.contextmanager
def _signals(handler: Callable[[], None]) -> Generator[None]:
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, handler)
    try:
        yield
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)
