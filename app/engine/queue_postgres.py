"""`TaskQueue` over replicas: pgqueuer on PostgreSQL, enqueued inside the store's transaction.

pgqueuer's manager dies with its connection, so a supervisor builds a new one. A task's run does
not: it lives in a task of ours, outside pgqueuer's (level-triggered) cancel scopes, and when its
job is handed out again to this same replica the new job joins the run instead of starting another.
What another replica starts meanwhile is fenced by the task's epoch.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Coroutine, Sequence
from datetime import timedelta
from typing import Any

import asyncpg
from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver
from pgqueuer.adapters.persistence.qb import QueryBuilderEnvironment, QueryQueueBuilder, QuerySchedulerBuilder
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.core.qm import QueueManager
from pgqueuer.domain.errors import FailingListenerError, RetryRequested
from pgqueuer.domain.models import Job
from pgqueuer.domain.settings import DBSettings, Durability
from pgqueuer.domain.types import Channel

from app.domain.errors import StorageUnavailableError
from app.domain.ids import TaskId
from app.domain.secrets import Secret
from app.engine.base import Backlog, RunTask
from app.storage.base import QueueEntry

log = logging.getLogger(__name__)

ENTRYPOINT = "task"
CONNECT_TIMEOUT_S = 10.0
COMMAND_TIMEOUT_S = 30.0
POLL = timedelta(seconds=5)
"""A lost notification delays a task by this much at most."""
PROBE_INTERVAL_S = 10.0
MIN_BACKOFF_S, MAX_BACKOFF_S = 0.25, 5.0
MAX_RETRY_DELAY_S = 60.0
INSTALL_LOCK = 0x61676761_74650003
_OLDEST_S = "extract(epoch FROM clock_timestamp() - min(created))"
_LOST = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)

_Entry = tuple[TaskId, int]
"""A task and its ticket."""


class PostgresTaskQueue:
    """See `TaskQueue`. `enqueue` is for the store to call inside its transactions."""

    def __init__(
        self,
        dsn: Secret | str,
        *,
        max_concurrent: int,
        schema: str = "public",
        lease: timedelta = timedelta(seconds=30),
        retry_delay_s: float = 1.0,
    ) -> None:
        """`lease`: a job whose replica did not beat for so long is handed out again."""
        if max_concurrent < 1:
            raise ValueError("max_concurrent must be at least 1")
        self._dsn = dsn if isinstance(dsn, Secret) else Secret(dsn)
        self._settings = DBSettings(
            prefix="gateway_",
            db_schema=schema,
            channel=Channel(f"gateway_{schema}_queue"),
            durability=Durability.balanced,
        )
        self._slots = asyncio.Semaphore(max_concurrent)
        self._max_concurrent = max_concurrent
        self._lease = lease
        self._retry_delay_s = retry_delay_s
        self._builders = (
            QueryBuilderEnvironment(self._settings),
            QueryQueueBuilder(self._settings),
            QuerySchedulerBuilder(self._settings),
        )
        self._runs: dict[_Entry, asyncio.Task[bool]] = {}
        self._manager: QueueManager | None = None
        self._stopped = asyncio.Event()

    async def install(self) -> None:
        """Create pgqueuer's tables when they are missing; safe to call by several replicas."""
        async with self._connected() as connection, connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", INSTALL_LOCK)
            queries = self._queries(connection)
            if not await queries.has_table(self._settings.queue_table):
                await queries.install()

    async def enqueue(self, connection: Any, entries: Sequence[QueueEntry]) -> None:
        """Put tasks on the queue when the transaction of `connection` commits."""
        await self._queries(connection).enqueue(
            [ENTRYPOINT] * len(entries),
            [f"{entry.ticket} {entry.task_id}".encode() for entry in entries],
            [entry.priority for entry in entries],
        )

    def offer(self, entries: Sequence[QueueEntry]) -> None:
        """Nothing: `enqueue` did it."""

    def withdraw(self, task_id: TaskId) -> None:
        """Nothing: its job goes when somebody fetches it."""

    async def serve(self, run: RunTask) -> None:
        """See `TaskQueue`. Cancelling it cancels what runs."""
        backoff_s = MIN_BACKOFF_S
        async with asyncio.TaskGroup() as runs:
            while not self._stopped.is_set():
                started = asyncio.get_running_loop().time()
                try:
                    await self._manage(run, runs)
                except Exception as error:
                    if not isinstance(error, (*_LOST, StorageUnavailableError)):
                        log.exception("the queue's manager failed")
                    if asyncio.get_running_loop().time() - started > MAX_BACKOFF_S:
                        backoff_s = MIN_BACKOFF_S
                    log.warning("the queue lost PostgreSQL (%s); again in %.2f s", error, backoff_s)
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(backoff_s):
                            await self._stopped.wait()
                    backoff_s = min(backoff_s * 2, MAX_BACKOFF_S)

    async def stop(self) -> None:
        """See `TaskQueue`."""
        self._stopped.set()
        if self._manager is not None:
            self._manager.shutdown.set()

    @property
    def connected(self) -> bool:
        """See `TaskQueue`."""
        return self._manager is not None

    async def backlog(self) -> Backlog:
        """See `TaskQueue`; what all replicas share."""
        table = self._settings.qualified.queue_table
        async with self._connected() as connection:
            counted = f"SELECT count(*), {_OLDEST_S} FROM {table} WHERE status = 'queued'"  # noqa: S608 - our own
            try:
                row = await connection.fetchrow(counted)
            except _LOST as error:
                why = f"the queue cannot be counted: {type(error).__name__}"
                raise StorageUnavailableError(why) from error
        waiting, oldest_s = (0, None) if row is None else row
        return Backlog(waiting=waiting, oldest_s=max(0.0, float(oldest_s or 0)))

    async def _manage(self, run: RunTask, runs: asyncio.TaskGroup) -> None:
        """Serve over one connection until `stop`, or until it is lost (raises)."""
        async with self._connected() as connection:
            link = _Link()
            connection.add_termination_listener(lambda _: link.cut())
            manager = _Manager(self._queries(connection), self._settings.channel, link)

            @manager.entrypoint(ENTRYPOINT, accepts_context=False)
            async def handle(job: Job) -> None:  # pyright: ignore[reportUnusedFunction]
                await self._handle(job, run, runs, link)

            self._manager = manager
            if self._stopped.is_set():
                return
            batch = max(1, min(10, self._max_concurrent // 2))
            managing = manager.run(
                batch_size=batch,
                max_concurrent_tasks=max(2 * batch, self._max_concurrent),
                dequeue_timeout=min(POLL, self._lease),
                heartbeat_timeout=self._lease,
            )
            try:
                lost = await _until(link, managing, _probing(manager, link))
            finally:
                self._manager = None
            if lost and not self._stopped.is_set():
                raise StorageUnavailableError("connection lost")

    async def _handle(self, job: Job, run: RunTask, runs: asyncio.TaskGroup, link: "_Link") -> None:
        """One job: start the task's run, or join it when it is already on its way here."""
        entry = _entry_of(job)
        current = self._runs.get(entry)
        if current is None and self._stopped.is_set():  # fetched in the same batch as one before it
            raise RetryRequested(delay=timedelta(0), reason="stopping")
        if current is None:
            current = runs.create_task(self._run(run, entry), name=f"run {entry[0]}")
            self._runs[entry] = current
            current.add_done_callback(lambda done: self._forget(entry, done))
        # `wait` leaves the run alone when this job is cancelled or its manager's connection is lost.
        await asyncio.wait({current, link.down}, return_when=asyncio.FIRST_COMPLETED)
        if not current.done() or current.cancelled():
            # pgqueuer would log a cancelled job as done with. It is not: whoever may, takes it.
            raise RetryRequested(delay=timedelta(0), reason="this replica lets go")
        if not current.result():
            delay_s = min(self._retry_delay_s * 2 ** min(job.attempts, 10), MAX_RETRY_DELAY_S)
            raise RetryRequested(delay=timedelta(seconds=delay_s), reason="the run failed")

    async def _run(self, run: RunTask, entry: _Entry) -> bool:
        """Whether `run` returned; what it raises is logged here and retried by its job."""
        async with self._slots:
            try:
                await run(*entry)
            except Exception:
                log.exception("running task %s failed", entry[0])
                return False
            return True

    def _forget(self, entry: _Entry, done: "asyncio.Task[bool]") -> None:
        if self._runs.get(entry) is done:
            del self._runs[entry]

    @contextlib.asynccontextmanager
    async def _connected(self) -> AsyncGenerator["asyncpg.Connection[Any]"]:
        try:
            connection = await asyncpg.connect(
                self._dsn.reveal(), timeout=CONNECT_TIMEOUT_S, command_timeout=COMMAND_TIMEOUT_S
            )
        except _LOST as error:
            raise StorageUnavailableError(f"PostgreSQL cannot be reached: {type(error).__name__}") from error
        try:
            yield connection
        finally:
            connection.terminate()

    def _queries(self, connection: Any) -> Queries:
        return Queries(AsyncpgDriver(connection), *self._builders)


def _entry_of(job: Job) -> _Entry:
    ticket, _, task_id = (job.payload or b"").decode().partition(" ")
    return TaskId(task_id), int(ticket)


class _Link:
    """The connection of one manager; `down` is done when it is cut."""

    def __init__(self) -> None:
        self.down: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def cut(self) -> None:
        """Idempotent."""
        if not self.down.done():
            self.down.set_result(None)


class _Manager(QueueManager):
    """A manager that says at once when it cannot fetch: `run` itself returns only after every job."""

    def __init__(self, queries: Queries, channel: Channel, link: _Link) -> None:
        super().__init__(queries, channel)
        self._link = link

    async def fetch_jobs(
        self, batch_size: int, global_concurrency_limit: int | None, heartbeat_timeout: timedelta
    ) -> AsyncGenerator[Job, None]:
        """As pgqueuer's."""
        try:
            async for job in super().fetch_jobs(batch_size, global_concurrency_limit, heartbeat_timeout):
                yield job
        except Exception:
            self._link.cut()
            raise


async def _probing(manager: QueueManager, link: _Link) -> None:
    """Notice a connection that died without a word."""
    while not manager.shutdown.is_set():
        await asyncio.sleep(PROBE_INTERVAL_S)
        try:
            await manager.listener_healthy(timeout=timedelta(seconds=PROBE_INTERVAL_S))
        except (FailingListenerError, *_LOST):
            link.cut()
            return


async def _until(
    link: _Link, managing: Coroutine[Any, Any, None], probing: Coroutine[Any, Any, None]
) -> bool:
    """Wait until `managing` is done or the link is cut (True); end both before returning.

    Not a task group: that would wait without a bound for a manager that tries to log over the
    connection that is gone.
    """
    tasks = [asyncio.create_task(work) for work in (managing, probing)]  # noqa: TID251 - ended below
    manager = tasks[0]
    try:
        await asyncio.wait({manager, link.down}, return_when=asyncio.FIRST_COMPLETED)
        lost = link.down.done()
    finally:
        link.cut()  # the manager waits for its jobs: they let go of their runs now
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=COMMAND_TIMEOUT_S)
    if manager.done() and not manager.cancelled() and (error := manager.exception()):
        raise error
    return lost
