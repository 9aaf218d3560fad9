"""What the gateway's metrics read of its parts: at each scrape, or now and then."""

import asyncio
import platform
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from importlib.metadata import version as installed_version

from app.bootstrap.parts import NAME, Parts
from app.domain.errors import StorageUnavailableError
from app.engine.base import TaskQueue
from app.telemetry.metrics.tasks import TaskMetrics

BACKLOG_EVERY_S = 5.0
"""How old the queue's figures may be."""


@asynccontextmanager
async def measured(parts: Parts, *, running: Callable[[], int]) -> AsyncGenerator[None]:
    """Keep the metrics of what runs up to date inside the block; `running` counts tasks in hand."""
    metrics, feeds, fleet = parts.metrics, parts.feeds, parts.fleet
    metrics.process.built(
        version=installed_version(NAME),
        python=platform.python_version(),
        storage=parts.storage.stores.backend,
    )
    metrics.tasks.active.read_one(running)
    metrics.tasks.capacity.set(parts.settings.engine.max_concurrent_tasks)
    metrics.calls.stream_lag.read_one(lambda: sum(feeds.lags))
    metrics.calls.stream_lag_most.read_one(lambda: max(feeds.lags, default=0))
    metrics.work.sandboxes_open.read_from(
        lambda: {(kind,): count for kind, count in fleet.open_by_kind.items()}
    )
    async with asyncio.TaskGroup() as group:
        looking = group.create_task(_count_backlog(parts.storage.queue, metrics.tasks), name="metrics")
        try:
            with metrics.process.watching_loop():
                yield
        finally:
            looking.cancel()


async def _count_backlog(queue: TaskQueue, metrics: TaskMetrics) -> None:
    while True:
        with suppress(StorageUnavailableError):
            backlog = await queue.backlog()
            metrics.queue_depth.set(backlog.waiting)
            metrics.queue_oldest.set(backlog.oldest_s)
        await asyncio.sleep(BACKLOG_EVERY_S)
