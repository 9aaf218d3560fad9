"""What only the queue of replicas has to stand: a lost connection, a dead replica, a rollback."""

import asyncio
import contextlib
from datetime import timedelta

import asyncpg
import pytest

from app.engine.queue_postgres import PostgresTaskQueue
from tests.contract.queue.test_queues import Worker, entries

pytestmark = pytest.mark.postgres


async def put(queue: PostgresTaskQueue, url: str, *names: str) -> None:
    connection = await asyncpg.connect(url)
    await queue.enqueue(connection, entries(*names))
    await connection.close()


async def cut_all(url: str) -> None:
    """Cut every other connection to the database."""
    connection = await asyncpg.connect(url)
    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    await connection.close()


async def test_of_a_rolled_back_transaction_nothing_is_queued(postgres_url: str) -> None:
    queue = PostgresTaskQueue(postgres_url, max_concurrent=2)
    await asyncio.gather(queue.install(), queue.install())
    connection = await asyncpg.connect(postgres_url)

    transaction = connection.transaction()
    await transaction.start()
    await queue.enqueue(connection, entries("never"))
    await transaction.rollback()
    await connection.close()

    assert (await queue.backlog()).waiting == 0


async def test_of_a_lost_connection_the_queue_recovers_and_the_run_goes_on(postgres_url: str) -> None:
    queue = PostgresTaskQueue(postgres_url, max_concurrent=4, lease=timedelta(seconds=1))
    await queue.install()
    worker = Worker()
    await put(queue, postgres_url, "before")

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        group.create_task(queue.serve(worker.run))
        await worker.until(lambda: worker.started == ["before"])
        await cut_all(postgres_url)
        await put(queue, postgres_url, "after")
        await worker.until(lambda: worker.started == ["before", "after"])
        worker.gate.set()
        await worker.until(lambda: sorted(worker.ended) == ["after", "before"])
        await queue.stop()

    assert sorted(worker.started) == ["after", "before"]


async def test_of_a_replica_that_lets_go_another_takes_its_task_over(postgres_url: str) -> None:
    first, second = (
        PostgresTaskQueue(postgres_url, max_concurrent=2, lease=timedelta(seconds=1)) for _ in range(2)
    )
    await first.install()
    worker, heir = Worker(), Worker()
    heir.gate.set()
    await put(first, postgres_url, "task")

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        served = group.create_task(first.serve(worker.run))
        await worker.until(lambda: worker.started == ["task"])
        served.cancel()
        await asyncio.wait({served})
        group.create_task(second.serve(heir.run))
        await heir.until(lambda: heir.ended == ["task"])
        await second.stop()


async def test_of_a_dead_replica_its_task_is_handed_out_after_the_lease(postgres_url: str) -> None:
    queue = PostgresTaskQueue(postgres_url, max_concurrent=2, lease=timedelta(seconds=1))
    await queue.install()
    await put(queue, postgres_url, "task")
    connection = await asyncpg.connect(postgres_url)
    await connection.execute(
        "UPDATE gateway_pgqueuer SET status = 'picked', heartbeat = now(),"
        " queue_manager_id = gen_random_uuid()"
    )
    await connection.close()
    worker = Worker()
    worker.gate.set()

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        group.create_task(queue.serve(worker.run))
        await worker.until(lambda: worker.ended == ["task"])
        await queue.stop()


async def test_of_an_unreachable_server_serve_waits_and_stop_ends_it() -> None:
    queue = PostgresTaskQueue("postgresql://nobody@127.0.0.1:1/none", max_concurrent=2)

    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        group.create_task(queue.serve(Worker().run))
        await asyncio.sleep(0)
        await queue.stop()
    with contextlib.suppress(Exception):
        await queue.backlog()
