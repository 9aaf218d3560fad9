"""Runs and their ends: what a run does wrong stays its own, and what stops it stops it at once."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from app.agents.base import Finished, Outcome, Parked, Run
from app.domain.configuration import TaskConfiguration, TaskLimits
from app.domain.errors import StorageUnavailableError
from app.domain.sandboxes import Action
from app.domain.tasks import TaskResult, TaskState
from app.storage.sql.tasks import SqlTaskStore
from tests.engine.motor import CALL, Motor, open_motor

WRITE = Action(type="write_file", arguments={"path": "note.txt", "content": "hello"})


@pytest.fixture
async def motor(tmp_path: Path) -> AsyncIterator[Motor]:
    async with open_motor(tmp_path) as motor:
        yield motor


async def works(run: Run) -> Outcome:
    return Finished(result=TaskResult(output="done"), statistics=run.statistics)


async def test_a_result_that_cannot_be_stored_fails_its_task_and_nobody_elses(motor: Motor) -> None:
    async def unstorable(run: Run) -> Outcome:
        return Finished(result=TaskResult(output="half a pair: \ud83d"), statistics=run.statistics)

    bad = await motor.run("bad", unstorable)

    assert bad.state is TaskState.FAILED
    assert bad.failure is not None
    assert (await motor.run("good", works)).state is TaskState.SUCCEEDED


async def test_a_task_cancelled_while_it_is_claimed_does_not_go_on(motor: Motor) -> None:
    left = asyncio.Event()

    async def endless(run: Run) -> Outcome:
        try:
            await asyncio.Event().wait()
        finally:
            left.set()
        raise AssertionError

    for number in range(20):
        left.clear()
        task = await motor.submit(f"endless {number}", endless)
        for _ in range(number):
            await asyncio.sleep(0)
        await motor.gateway.service.tasks.cancel(CALL, task.id)
        await motor.idle()


async def test_files_made_before_a_pause_belong_to_the_result(motor: Motor) -> None:
    async def in_two_claims(run: Run) -> Outcome:
        if run.task.epoch == 1:
            await run.for_call("c").save_artifact("a.txt", "text/plain", b"hello")
            await motor.gateway.service.tasks.pause(CALL, run.task.id)
            return Parked(statistics=run.statistics)
        return await works(run)

    task = await motor.submit("two", in_two_claims)
    async with asyncio.timeout(5):
        while (await motor.gateway.service.tasks.get(CALL, task.id)).state is not TaskState.PAUSED:
            await asyncio.sleep(0)
    await motor.gateway.service.tasks.resume(CALL, task.id)
    ended = await motor.ended(task.id)

    assert ended.result is not None
    assert [a.name for a in ended.result.artifacts] == ["a.txt"]


async def test_calls_at_once_take_no_more_steps_than_there_are(motor: Motor) -> None:
    async def many_at_once(run: Run) -> Outcome:
        acts = [run.for_call(f"c{n}").act(WRITE, timeout_s=5) for n in range(6)]
        await asyncio.gather(*acts, return_exceptions=True)
        return await works(run)

    limits = TaskConfiguration(limits=TaskLimits(max_steps=2))
    task = await motor.run("many", many_at_once, configuration=limits)

    assert task.statistics.steps == 2


async def test_a_store_that_was_away_costs_a_task_no_more_than_its_last_turn(motor: Motor) -> None:
    async def unlucky_once(run: Run) -> Outcome:
        if run.task.epoch == 1:
            raise StorageUnavailableError("away for a moment")
        return await works(run)

    task = await motor.run("unlucky", unlucky_once)

    assert (task.state, task.epoch) == (TaskState.SUCCEEDED, 2)


async def test_a_store_that_stays_away_from_a_task_fails_it(motor: Motor) -> None:
    async def unlucky(run: Run) -> Outcome:
        raise StorageUnavailableError("the disk is full")

    task = await motor.run("unlucky", unlucky)

    assert task.failure is not None
    assert task.failure.reason == "TOO_MANY_ATTEMPTS"


async def test_the_cancellation_of_something_else_fails_the_task_that_waited_for_it(motor: Motor) -> None:
    async def waits_for_what_is_cancelled(run: Run) -> Outcome:
        something: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        something.cancel()
        await something
        raise AssertionError

    task = await motor.run("stray", waits_for_what_is_cancelled)

    assert task.state is TaskState.FAILED


async def test_the_span_of_a_task_that_succeeded_is_not_cancelled(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    async with open_motor(tmp_path, telemetry={"spans_to_log": True}) as motor:
        await motor.run("good", works)
        await motor.idle()

    spans = [record for record in caplog.records if "span" in record.name]
    assert spans
    assert not [vars(record) for record in spans if "cancelled" in repr(vars(record))]


async def test_a_drain_waits_for_a_claim_that_is_under_way(
    motor: Motor, monkeypatch: pytest.MonkeyPatch
) -> None:
    claiming, go_on = asyncio.Event(), asyncio.Event()
    real = SqlTaskStore.update

    async def slow(self: SqlTaskStore, *args: Any, **options: Any) -> Any:
        claiming.set()
        await go_on.wait()
        return await real(self, *args, **options)

    async def parks(run: Run) -> Outcome:
        assert run.stopping
        return Parked(statistics=run.statistics)

    monkeypatch.setattr(SqlTaskStore, "update", slow)
    task = await motor.submit("parks", parks)
    await claiming.wait()
    async with asyncio.TaskGroup() as group:
        draining = group.create_task(motor.gateway.engine.drain(timedelta(seconds=5)))
        for _ in range(5):
            await asyncio.sleep(0)
        assert not draining.done()
        go_on.set()

    parked = await motor.gateway.service.tasks.get(CALL, task.id)
    assert (parked.state, parked.recoveries) == (TaskState.QUEUED, 0)


async def test_a_task_that_cannot_be_expired_does_not_keep_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_motor(tmp_path, engine={"max_concurrent_tasks": 1, "queue_ttl": 0.05}) as motor:
        blocker = await motor.submit("blocker", endless_until_cancelled)
        waiting = [await motor.submit(f"waits {number}", works) for number in range(3)]
        real = SqlTaskStore.update

        async def update(self: SqlTaskStore, task_id: str, *args: Any, **options: Any) -> Any:
            if task_id == waiting[0].id:
                raise ValueError("broken")
            return await real(self, task_id, *args, **options)  # type: ignore[arg-type]

        monkeypatch.setattr(SqlTaskStore, "update", update)
        await asyncio.sleep(0.1)  # they are overdue by the clock of the process

        async for _ in motor.gateway.engine._sweep():
            continue

        states = [(await motor.gateway.service.tasks.get(CALL, task.id)).state for task in waiting]
        assert states == [TaskState.QUEUED, TaskState.EXPIRED, TaskState.EXPIRED]
        monkeypatch.undo()
        await motor.gateway.service.tasks.cancel(CALL, blocker.id)


async def endless_until_cancelled(run: Run) -> Outcome:
    await asyncio.Event().wait()
    raise AssertionError


async def test_tasks_that_were_cancelled_leave_the_queue(tmp_path: Path) -> None:
    async with open_motor(tmp_path, engine={"max_concurrent_tasks": 1}) as motor:
        blocker = await motor.submit("blocker", endless_until_cancelled)
        tasks = [await motor.submit(f"waits {number}", works) for number in range(5)]
        for task in tasks:
            await motor.gateway.service.tasks.cancel(CALL, task.id)

        assert (await motor.gateway.engine._queue.backlog()).waiting == 0
        await motor.gateway.service.tasks.cancel(CALL, blocker.id)
