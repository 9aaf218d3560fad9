"""What every `TaskQueue` promises; knows no make."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from app.domain.identity import TenantId
from app.domain.ids import TaskId
from app.engine.base import TaskQueue
from app.engine.queue_memory import MemoryTaskQueue
from app.storage.base import QueueEntry

ACME = TenantId("acme")
TICKET = 7
Put = Callable[[list[QueueEntry]], Awaitable[None]]


@dataclass
class Bench:
    """A queue, and the way its make is given tasks."""

    queue: TaskQueue
    put: Put
    max_concurrent: int


@dataclass
class Worker:
    """Runs tasks: notes them, holds them while `gate` is closed, fails those told to."""

    gate: asyncio.Event = field(default_factory=asyncio.Event)
    started: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    failing: dict[str, int] = field(default_factory=dict)
    peak: int = 0
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def run(self, task_id: TaskId, ticket: int) -> None:
        assert ticket == TICKET
        self.started.append(task_id)
        self.peak = max(self.peak, len(self.started) - len(self.ended))
        await self._tell()
        try:
            await self.gate.wait()
            if self.failing.get(task_id, 0) > 0:
                self.failing[task_id] -= 1
                raise RuntimeError("told to fail")
        finally:
            self.ended.append(task_id)
        await self._tell()

    async def _tell(self) -> None:
        async with self.changed:
            self.changed.notify_all()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20), self.changed:
            await self.changed.wait_for(condition)


def entries(*names: str, priority: int = 0) -> list[QueueEntry]:
    return [QueueEntry(task_id=TaskId(name), tenant=ACME, priority=priority, ticket=TICKET) for name in names]


@contextlib.asynccontextmanager
async def _memory(max_concurrent: int, request: Any) -> AsyncGenerator[Bench]:
    queue = MemoryTaskQueue(max_concurrent=max_concurrent, retry_delay_s=0.01)

    async def put(some: list[QueueEntry]) -> None:
        queue.offer(some)

    yield Bench(queue, put, max_concurrent)


@contextlib.asynccontextmanager
async def _postgres(max_concurrent: int, request: Any) -> AsyncGenerator[Bench]:
    import asyncpg

    from app.engine.queue_postgres import PostgresTaskQueue

    url = request.getfixturevalue("postgres_url")
    queue = PostgresTaskQueue(url, max_concurrent=max_concurrent, retry_delay_s=0.01)
    await queue.install()

    async def put(some: list[QueueEntry]) -> None:
        connection = await asyncpg.connect(url)
        async with connection.transaction():
            await queue.enqueue(connection, some)
        await connection.close()
        queue.offer(some)

    yield Bench(queue, put, max_concurrent)


MAKES = [
    pytest.param(_memory, id="memory"),
    pytest.param(_postgres, id="postgres", marks=pytest.mark.postgres),
]


@pytest.fixture(params=MAKES)
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    async with request.param(2, request) as bench:
        yield bench


@pytest.fixture(params=MAKES)
async def narrow(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    """A queue with one slot."""
    async with request.param(1, request) as bench:
        yield bench


@contextlib.asynccontextmanager
async def serving(bench: Bench, worker: Worker) -> AsyncGenerator[None]:
    async with asyncio.TaskGroup() as group:
        group.create_task(bench.queue.serve(worker.run))
        yield
        worker.gate.set()
        await bench.queue.stop()


async def test_of_queued_tasks_each_is_run_once(bench: Bench) -> None:
    worker = Worker()
    worker.gate.set()
    names = [f"t{n}" for n in range(20)]
    await bench.put(entries(*names[:10]))

    async with serving(bench, worker):
        await bench.put(entries(*names[10:]))
        await worker.until(lambda: len(worker.ended) == 20)

    assert sorted(worker.started) == sorted(names)
    assert (await bench.queue.backlog()).waiting == 0


async def test_of_waiting_tasks_the_highest_priority_comes_first(narrow: Bench) -> None:
    worker = Worker()
    worker.gate.set()
    await narrow.put(entries("low", priority=-5))
    await narrow.put(entries("a", "b", priority=-1))
    await narrow.put(entries("high", priority=0))

    assert (await narrow.queue.backlog()).waiting == 4
    async with serving(narrow, worker):
        await worker.until(lambda: len(worker.ended) == 4)

    assert worker.started == ["high", "a", "b", "low"]


async def test_the_backlog_tells_how_long_the_first_of_those_that_wait_has_waited(narrow: Bench) -> None:
    empty = await narrow.queue.backlog()
    await narrow.put(entries("first"))
    one = await narrow.queue.backlog()
    await narrow.put(entries("second"))
    two = await narrow.queue.backlog()

    assert (empty.waiting, empty.oldest_s) == (0, 0.0)
    assert (one.waiting, two.waiting) == (1, 2)
    assert 0 < one.oldest_s < two.oldest_s < 20


async def test_of_many_tasks_no_more_than_the_slots_run_at_once(bench: Bench) -> None:
    worker = Worker()
    await bench.put(entries(*(f"t{n}" for n in range(6))))

    async with serving(bench, worker):
        await worker.until(lambda: len(worker.started) == 2)
        assert (await bench.queue.backlog()).waiting == 4
        worker.gate.set()
        await worker.until(lambda: len(worker.ended) == 6)

    assert worker.peak == 2


async def test_of_a_run_that_raises_the_task_is_handed_out_again(bench: Bench) -> None:
    worker = Worker(failing={"bad": 2})
    worker.gate.set()
    await bench.put(entries("bad", "good"))

    async with serving(bench, worker):
        await worker.until(lambda: worker.started.count("bad") == 3 and len(worker.ended) == 4)

    assert worker.started.count("good") == 1


async def test_of_a_stopped_queue_nothing_more_is_handed_out(narrow: Bench) -> None:
    worker = Worker()
    await narrow.put(entries("first", "second"))

    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        served = group.create_task(narrow.queue.serve(worker.run))
        await worker.until(lambda: worker.started != [])
        await narrow.queue.stop()
        assert not served.done()
        worker.gate.set()

    assert worker.ended == ["first"]


async def test_of_a_task_that_queues_itself_again_there_is_a_second_run(narrow: Bench) -> None:
    worker = Worker()
    await narrow.put(entries("again"))

    async with serving(narrow, worker):
        await worker.until(lambda: worker.started == ["again"])
        await narrow.put(entries("other"))
        worker.gate.set()
        await worker.until(lambda: worker.ended == ["again", "other"])
        await narrow.put(entries("again"))
        await worker.until(lambda: len(worker.ended) == 3)


async def test_of_a_cancelled_serve_the_runs_are_cancelled(bench: Bench) -> None:
    worker = Worker()
    await bench.put(entries("a"))

    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        served = group.create_task(bench.queue.serve(worker.run))
        await worker.until(lambda: worker.started == ["a"])
        served.cancel()

    assert worker.ended == ["a"]
