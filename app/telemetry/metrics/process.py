"""The process: its build, memory and descriptors, and how freely its event loop turns."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from prometheus_client import CollectorRegistry, Gauge, GCCollector, Histogram, ProcessCollector

from app.telemetry.metrics.readings import Reading

LAG_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)
PROBE_S: Final = 0.5


class ProcessMetrics:
    """`process_*` and `python_gc_*` come from prometheus-client (Linux only), the rest from here."""

    def __init__(self, registry: CollectorRegistry) -> None:
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)
        self._build = Gauge(
            "agentgateway_build_info",
            "Always 1; the labels say what runs.",
            ["version", "python", "storage"],
            registry=registry,
        )
        self._tasks = Reading(
            registry, "agentgateway_event_loop_tasks", "Unfinished asyncio tasks of the event loop."
        )
        self._lag = Histogram(
            "agentgateway_event_loop_lag_seconds",
            f"How much later than asked a timer of the event loop fires, probed every {PROBE_S:g} s.",
            buckets=LAG_BUCKETS,
            registry=registry,
        )

    def built(self, *, version: str, python: str, storage: str) -> None:
        """Say what runs."""
        self._build.labels(version, python, storage).set(1)

    @contextmanager
    def watching_loop(self) -> Generator[None]:
        """Probe the running event loop inside the block."""
        loop = asyncio.get_running_loop()
        timer: asyncio.TimerHandle
        due = loop.time() + PROBE_S

        def probe() -> None:
            nonlocal timer, due
            now = loop.time()
            self._lag.observe(max(0.0, now - due))
            due = now + PROBE_S
            timer = loop.call_at(due, probe)

        timer = loop.call_at(due, probe)
        self._tasks.read_one(lambda: len(asyncio.all_tasks(loop)))
        try:
            yield
        finally:
            timer.cancel()
            self._tasks.read_from(dict)
