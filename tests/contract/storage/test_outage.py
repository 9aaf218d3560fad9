"""When the database cannot commit: callers are told, nothing half-written stays, and it recovers."""

import asyncio
from pathlib import Path

import pytest

from app.domain.errors import StorageUnavailableError
from app.domain.tasks import Task
from app.storage.sql.group_commit import GroupCommit
from app.storage.sql.journal import SqlJournal
from app.storage.sql.tasks import SqlTaskStore
from app.storage.sqlite.database import open_database
from app.storage.sqlite.transaction import SqliteTransaction
from tests.contract.storage.conftest import Committed
from tests.contract.storage.values import ACME, a_submission, claimed, said


async def test_of_a_full_disk_callers_are_told_and_caches_keep_the_truth(tmp_path: Path) -> None:
    async with open_database(tmp_path / "gateway.db", cache_bytes=10_000_000) as database:
        committed = Committed()
        writer = GroupCommit(SqliteTransaction(database), committed)
        async with writer.running():
            tasks, journal = SqlTaskStore(database, writer, database.cache), SqlJournal(database)
            task = (await tasks.create(a_submission())).task
            task = await tasks.update(task.id, claimed())
            async with database.exclusive:
                await database.inspect(lambda handle: handle.raw.execute("PRAGMA max_page_count = 1"))
                (pages,) = await database.inspect(
                    lambda handle: handle.raw.execute("PRAGMA max_page_count").fetchone()
                )
            before = list(committed.events)

            writes = [tasks.update(task.id, said("x" * 16_000)) for _ in range(40)]
            outcomes = await asyncio.gather(*writes, return_exceptions=True)

            assert any(isinstance(outcome, StorageUnavailableError) for outcome in outcomes)
            kept = [outcome for outcome in outcomes if isinstance(outcome, Task)]
            assert len(kept) + sum(isinstance(o, StorageUnavailableError) for o in outcomes) == 40
            assert len(committed.events) == len(before) + len(kept)
            async with database.exclusive:
                await database.inspect(
                    lambda handle: handle.raw.execute(f"PRAGMA max_page_count = {pages + 10_000}")
                )
            after = await tasks.update(task.id, said("room again"))

            assert after.last_seq == task.last_seq + len(kept) + 1
            assert await journal.read(task.id, 0) == committed.events


@pytest.mark.postgres
async def test_of_cut_connections_nothing_acknowledged_is_lost_and_the_store_recovers(
    postgres_url: str,
) -> None:
    import asyncpg

    from app.storage.postgres.opening import open_postgres
    from tests.contract.storage.test_concurrency import check_dense

    committed = Committed()
    acknowledged: list[tuple[str, int]] = []
    refused = 0

    async with open_postgres(postgres_url, on_commit=committed) as stores:
        task = await stores.tasks.update((await stores.tasks.create(a_submission())).task.id, claimed())
        enough, progress = asyncio.Event(), asyncio.Condition()

        async def produce() -> None:
            nonlocal refused
            while not enough.is_set():
                try:
                    told = await stores.tasks.update(task.id, said("x"))
                    acknowledged.append((told.id, told.last_seq))
                    async with progress:
                        progress.notify_all()
                except StorageUnavailableError:
                    refused += 1

        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            for _ in range(8):
                group.create_task(produce())
            knife = await asyncpg.connect(postgres_url)
            for _ in range(6):
                async with progress:
                    reached = len(acknowledged) + 50
                    await progress.wait_for(lambda reached=reached: len(acknowledged) >= reached)
                await knife.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            await knife.close()
            enough.set()

        await check_dense(stores, ACME)
        events = await stores.journal.read(task.id, 0, limit=100_000)
        assert events == committed.events  # what was told was committed, and the reverse
        assert {seq for _, seq in acknowledged} == {e.seq for e in events if e.event.type == "text.produced"}
