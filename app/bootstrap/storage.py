"""Store, queue and bus: SQLite for one process, PostgreSQL for replicas."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from app.domain.errors import StorageUnavailableError
from app.domain.events import JournaledEvent
from app.domain.secrets import Secret
from app.engine.base import EventBus, TaskQueue, Wake
from app.engine.bus_local import LocalBus
from app.engine.queue_memory import MemoryTaskQueue
from app.service.configuration import Sealer
from app.service.feeds import Feeds
from app.settings import Settings
from app.storage.base import QueueEntry, Stores
from app.storage.sealing import SecretBox, embedded_box
from app.storage.sqlite.opening import open_sqlite
from app.telemetry.metrics import Metrics

DATABASE_FILE = "gateway.db"
KEY_FILE = "secret.key"
LINGER_S = 0.002
"""How long a busy writer waits for more commands before its next commit."""


@dataclass(frozen=True, slots=True)
class Storage:
    """What the rest stands on."""

    stores: Stores
    queue: TaskQueue
    bus: EventBus
    sealer: Sealer | None
    owned: bool
    """Nobody else writes here: what the store says is running, is not, when we start."""
    deliveries_due: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when this process wrote deliveries of webhooks."""


async def open_storage(
    settings: Settings, stack: AsyncExitStack, feeds: Feeds, metrics: Metrics, *, replica_id: str
) -> Storage:
    """Open the configured make. Raises StorageUnavailableError naming what is wrong."""
    if settings.storage.backend == "postgres":
        storage = await _postgres(settings, stack, feeds, metrics, replica_id)
    else:
        storage = await _sqlite(settings, stack, feeds, metrics)

    def doubt(wake: Wake) -> None:
        if not wake.events:
            feeds.doubt(wake.task_id, wake.tenant)

    stack.callback(storage.bus.listen(doubt))
    return storage


async def _sqlite(settings: Settings, stack: AsyncExitStack, feeds: Feeds, metrics: Metrics) -> Storage:
    folder = settings.storage.data_dir
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    queue = MemoryTaskQueue(max_concurrent=settings.engine.max_concurrent_tasks)
    bus, due = LocalBus(), asyncio.Event()
    stores = await stack.enter_async_context(
        open_sqlite(
            folder / DATABASE_FILE,
            on_commit=_Committed(feeds, bus, queue, metrics),
            observe=metrics.storage.committed,
            max_artifact_bytes=settings.storage.max_artifact_bytes,
            linger_s=LINGER_S,
            on_deliveries=due.set,
        )
    )
    sealer = _sealer(settings) or embedded_box(folder / KEY_FILE)
    return Storage(stores, queue, bus, sealer, owned=True, deliveries_due=due)


async def _postgres(
    settings: Settings, stack: AsyncExitStack, feeds: Feeds, metrics: Metrics, replica_id: str
) -> Storage:
    # Only here: PostgreSQL is an extra, and its libraries cost an embedded start half a second.
    try:
        from app.engine.bus_postgres import PostgresBus
        from app.engine.queue_postgres import PostgresTaskQueue
        from app.storage.postgres.opening import open_postgres
    except ModuleNotFoundError as error:
        raise StorageUnavailableError(
            f"storage.backend=postgres needs {error.name}: pip install 'agent-gateway[postgres]'"
        ) from error
    url, schema = settings.storage.postgres_url, settings.storage.postgres_schema
    assert url is not None  # noqa: S101 - checked by the settings
    dsn = Secret(url.get_secret_value())
    queue = PostgresTaskQueue(
        dsn, max_concurrent=settings.engine.max_concurrent_tasks, schema=schema, lease=settings.engine.lease
    )
    bus = PostgresBus(dsn, channel=f"gateway_{schema}_events", replica_id=replica_id)
    due = asyncio.Event()
    stores = await stack.enter_async_context(
        open_postgres(
            dsn,
            schema=schema,
            on_commit=_Committed(feeds, bus, queue, metrics),
            observe=metrics.storage.committed,
            enqueue=queue.enqueue,
            notify=bus.notify,
            max_artifact_bytes=settings.storage.max_artifact_bytes,
            linger_s=LINGER_S,
            pool_size=settings.storage.postgres_pool_size,
            on_deliveries=due.set,
        )
    )
    await queue.install()
    return Storage(stores, queue, bus, _sealer(settings), owned=False, deliveries_due=due)


class _Committed:
    """What follows a commit, in this order: readers, the engine, the queue, the counters."""

    def __init__(self, feeds: Feeds, bus: EventBus, queue: TaskQueue, metrics: Metrics) -> None:
        self._feeds = feeds
        self._bus = bus
        self._queue = queue
        self._count = metrics.tasks.committed

    def __call__(self, events: Sequence[JournaledEvent], entries: Sequence[QueueEntry]) -> None:
        self._feeds.committed(events)
        self._bus.committed(events)
        if entries:
            self._queue.offer(entries)
        self._count(events)


def _sealer(settings: Settings) -> SecretBox | None:
    keys = [Secret(key.get_secret_value()) for key in settings.secrets.keys]
    return SecretBox(keys) if keys else None
