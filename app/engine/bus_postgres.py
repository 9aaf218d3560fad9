"""`EventBus` over replicas of one PostgreSQL: LISTEN on one connection, NOTIFY in the transaction.

A notification is a hint that names tasks; who hears it reads the journal. PostgreSQL delivers it
when, and only when, the transaction that wrote the events commits.
"""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from typing import Any

import asyncpg

from app.domain.events import JournaledEvent
from app.domain.identity import TenantId
from app.domain.ids import TaskId
from app.domain.secrets import Secret
from app.engine.base import Listener, Wake
from app.engine.bus_local import LocalBus

log = logging.getLogger(__name__)

MAX_PAYLOAD_BYTES = 7_900
"""PostgreSQL takes less than 8000."""
CONNECT_TIMEOUT_S = 10.0
PROBE_INTERVAL_S = 10.0
"""How long a connection that died without a word may go unnoticed."""
MIN_BACKOFF_S, MAX_BACKOFF_S = 0.1, 5.0

_NOTIFY = "SELECT pg_notify($1, payload) FROM unnest($2::text[]) AS payload"


class PostgresBus:
    """See `EventBus`. `notify` is for the store to call inside its transactions."""

    def __init__(self, dsn: Secret | str, *, channel: str, replica_id: str) -> None:
        self._dsn = dsn if isinstance(dsn, Secret) else Secret(dsn)
        self._channel = channel
        self._replica_id = replica_id
        self._local = LocalBus()
        self._connected = False

    def committed(self, events: Sequence[JournaledEvent]) -> None:
        """See `EventBus`."""
        self._local.committed(events)

    def listen(self, listener: Listener) -> Callable[[], None]:
        """See `EventBus`."""
        return self._local.listen(listener)

    @property
    def connected(self) -> bool:
        """See `EventBus`."""
        return self._connected

    async def notify(self, connection: Any, events: Sequence[JournaledEvent]) -> None:
        """Tell the other replicas once the transaction of `connection` commits."""
        tasks = dict.fromkeys((event.tenant, event.task_id) for event in events)
        await connection.execute(_NOTIFY, self._channel, list(payloads(self._replica_id, tasks)))

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncGenerator[None]:
        """See `EventBus`. Returns at once; listeners are woken for any task after each connect."""
        # Not a task group: this must outlive nothing and wrap nothing the block raises.
        hearing = asyncio.create_task(self._hear(), name="bus")  # noqa: TID251
        try:
            yield
        finally:
            hearing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await hearing

    async def _hear(self) -> None:
        backoff_s = MIN_BACKOFF_S
        while True:
            try:
                async with self._connection() as connection:
                    backoff_s = MIN_BACKOFF_S
                    # What was committed before LISTEN took effect was not heard.
                    self._local.wake(Wake(task_id=None))
                    await _probe(connection)
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                log.warning("the bus lost PostgreSQL (%s); again in %.1f s", type(error).__name__, backoff_s)
            await asyncio.sleep(backoff_s)
            backoff_s = min(backoff_s * 2, MAX_BACKOFF_S)

    @contextlib.asynccontextmanager
    async def _connection(self) -> AsyncGenerator["asyncpg.Connection[Any]"]:
        connection = await asyncpg.connect(
            self._dsn.reveal(), timeout=CONNECT_TIMEOUT_S, command_timeout=CONNECT_TIMEOUT_S
        )
        try:
            await connection.add_listener(self._channel, self._heard)
            self._connected = True
            yield connection
        finally:
            self._connected = False
            connection.terminate()

    def _heard(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        for wake in wakes(self._replica_id, str(payload)):
            self._local.wake(wake)


async def _probe(connection: "asyncpg.Connection[Any]") -> None:
    """Return when the connection is closed; raise when it does not answer."""
    closed = asyncio.Event()
    connection.add_termination_listener(lambda _: closed.set())
    while not connection.is_closed():
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PROBE_INTERVAL_S):
                await closed.wait()
                return
        await connection.execute("SELECT 1")


def payloads(replica_id: str, tasks: Iterable[tuple[TenantId, TaskId]]) -> Iterable[str]:
    """Notifications that name the tasks, none longer than `MAX_PAYLOAD_BYTES`."""
    head = json.dumps(replica_id)
    parts: list[str] = []
    size = 0
    for tenant, task_id in tasks:
        part = json.dumps([tenant, task_id])  # ASCII: characters are bytes
        if parts and len(head) + size + len(part) + 8 > MAX_PAYLOAD_BYTES:
            yield f"[{head},{','.join(parts)}]"
            parts, size = [], 0
        parts.append(part)
        size += len(part) + 1
    if parts:
        yield f"[{head},{','.join(parts)}]"


def wakes(own_replica_id: str, payload: str) -> Iterable[Wake]:
    """What a notification says; nothing for our own, and 'any task' for one we cannot read."""
    try:
        sender, *tasks = json.loads(payload)
        told = [Wake(task_id=TaskId(task_id), tenant=TenantId(tenant)) for tenant, task_id in tasks]
    except (ValueError, TypeError):
        return [Wake(task_id=None)]
    return [] if sender == own_replica_id else told
