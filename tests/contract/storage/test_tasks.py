"""What every `TaskStore` promises about one task at a time; knows no make."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from app.domain import lifecycle
from app.domain.errors import (
    IdempotencyMismatchError,
    IllegalTransitionError,
    InvalidRequestError,
    NotFoundError,
    QueueFullError,
    SessionBusyError,
    StaleOwnerError,
)
from app.domain.events import TaskQueued, TaskStarted, TaskSubmitted, TaskSucceeded
from app.domain.ids import SessionId, TaskId
from app.domain.lifecycle import Change
from app.domain.tasks import Task, TaskState
from app.storage.base import IdempotencyRecord, Stores
from tests.contract.storage.conftest import Committed, Opener
from tests.contract.storage.values import (
    ACME,
    OTHER,
    T0,
    a_session,
    a_submission,
    claimed,
    done,
    ended,
    later,
    queued,
    running,
    said,
)


def a_record(key: str = "k1", fingerprint: str = "f1", expires_s: float = 3600) -> IdempotencyRecord:
    return IdempotencyRecord(scope="me/submit", key=key, fingerprint=fingerprint, expires_at=later(expires_s))


async def test_of_a_created_task_everything_is_read_back(stores: Stores) -> None:
    change = a_submission(metadata={"a": "b", "nul": "\x00"}, instruction="Grüße \x00 🙂")

    created = await stores.tasks.create(change)

    assert not created.replayed
    assert created.task == replace(change.task, last_seq=2)
    assert await stores.tasks.get(ACME, change.task.id) == created.task
    events = await stores.journal.read(change.task.id, 0)
    assert [type(e.event) for e in events] == [TaskSubmitted, TaskQueued]
    assert [(e.seq, e.position, e.tenant) for e in events] == [(1, 1, ACME), (2, 2, ACME)]


async def test_of_a_reopened_store_nothing_acknowledged_is_missing(
    opener: Opener, committed: Committed
) -> None:
    async with opener(committed) as stores:
        task = await running(stores)
        task = await stores.tasks.update(task.id, said("a", "b", messages=(b'{"x":1}', b"\x00\xff")))

    async with opener(Committed()) as stores:
        assert await stores.tasks.get(ACME, task.id) == task
        assert await stores.journal.read(task.id, 0) == committed.events
        assert await stores.journal.positions(ACME) == (1, task.last_seq)
        assert await stores.tasks.transcript([task.id]) == [(task.id, b'{"x":1}'), (task.id, b"\x00\xff")]
        task = await stores.tasks.update(task.id, done())
        assert (await stores.journal.read(task.id, 5))[0].position == 6


async def test_of_secrets_in_a_configuration_none_is_kept(stores: Stores, committed: Committed) -> None:
    created = await stores.tasks.create(a_submission(key="sk-very-secret"))

    kept = await stores.tasks.get(ACME, created.task.id)

    assert created.task.spec.configuration.model_api_key is None
    assert kept.spec.configuration.model_api_key is None
    assert kept.spec.agent.configuration.model_api_key is None


async def test_of_a_foreign_tenant_a_task_reads_as_not_found(stores: Stores) -> None:
    task = await ended(stores)

    with pytest.raises(NotFoundError):
        await stores.tasks.get(OTHER, task.id)
    with pytest.raises(NotFoundError):
        await stores.tasks.update(task.id, lifecycle.cancelled("no", "me", T0), tenant=OTHER)
    with pytest.raises(NotFoundError):
        await stores.tasks.delete(OTHER, task.id)
    assert await stores.tasks.find(task.id) == task
    assert await stores.tasks.find(TaskId("task_none")) is None


async def test_of_an_unknown_task_an_update_is_refused(stores: Stores) -> None:
    with pytest.raises(NotFoundError):
        await stores.tasks.update(TaskId("task_none"), claimed())


async def test_of_an_older_epoch_a_write_is_refused(stores: Stores) -> None:
    task = await running(stores)
    again = await stores.tasks.update(task.id, claimed())

    with pytest.raises(StaleOwnerError):
        await stores.tasks.update(task.id, said("zombie"), epoch=task.epoch)
    after = await stores.tasks.update(task.id, said("owner"), epoch=again.epoch)

    assert (task.epoch, again.epoch) == (1, 2)
    assert after.last_seq == again.last_seq + 1


async def test_of_a_refused_decision_nothing_is_written(stores: Stores, committed: Committed) -> None:
    task = await queued(stores)
    before = list(committed.events)

    with pytest.raises(IllegalTransitionError):
        await stores.tasks.update(task.id, lifecycle.resumed(T0))

    assert committed.events == before
    assert await stores.tasks.get(ACME, task.id) == task


async def test_of_a_failing_decision_only_its_caller_hears(stores: Stores) -> None:
    tasks = [await running(stores) for _ in range(3)]

    def broken(_: Task) -> Change:
        raise ZeroDivisionError

    writes = [stores.tasks.update(task.id, broken if n == 1 else said("x")) for n, task in enumerate(tasks)]
    outcomes = await asyncio.gather(*writes, return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [Task, ZeroDivisionError, Task]


async def test_of_what_cannot_be_stored_only_its_caller_hears(stores: Stores) -> None:
    tasks = [await running(stores) for _ in range(3)]

    writes = [stores.tasks.update(task.id, said("\ud800" if n == 1 else "x")) for n, task in enumerate(tasks)]
    outcomes = await asyncio.gather(*writes, return_exceptions=True)

    assert isinstance(outcomes[0], Task)
    assert isinstance(outcomes[1], InvalidRequestError)
    assert isinstance(outcomes[2], Task)
    assert [e.position for e in await stores.journal.read_tenant(ACME, 0)] == list(range(1, 12))


async def test_of_a_change_that_changes_nothing_nothing_is_written(
    stores: Stores, committed: Committed
) -> None:
    task = await queued(stores)
    task = await stores.tasks.update(task.id, lifecycle.cancelled("enough", "me", T0))
    before = list(committed.events)

    again = await stores.tasks.update(task.id, lifecycle.cancelled("again", "me", later(5)))

    assert again == task
    assert committed.events == before


async def test_of_a_cancelled_caller_the_write_stands(stores: Stores, committed: Committed) -> None:
    task = await running(stores)

    async def write() -> None:
        await stores.tasks.update(task.id, said("kept"))

    async with asyncio.TaskGroup() as group:
        caller = group.create_task(write())
        await asyncio.sleep(0)
        caller.cancel()
    after = await stores.tasks.update(task.id, said("next"))

    assert after.last_seq == task.last_seq + 2


async def test_of_commits_listeners_hear_in_order_and_before_the_callers(
    stores: Stores, committed: Committed
) -> None:
    task = await running(stores)

    async def write(n: int) -> None:
        told = await stores.tasks.update(task.id, said(str(n)))
        assert committed.events[-1].seq >= told.last_seq

    await asyncio.gather(*(write(n) for n in range(40)))

    assert [e.position for e in committed.events] == list(range(1, 44))


async def test_of_equal_keys_the_first_task_is_given_again(stores: Stores) -> None:
    first = await stores.tasks.create(a_submission(), idempotency=a_record())

    again = await stores.tasks.create(a_submission(), idempotency=a_record())
    other_tenant = await stores.tasks.create(a_submission(OTHER), idempotency=a_record())

    assert again.replayed
    assert again.task == first.task
    assert not other_tenant.replayed
    with pytest.raises(IdempotencyMismatchError):
        await stores.tasks.create(a_submission(), idempotency=a_record(fingerprint="other"))


async def test_of_an_expired_key_nothing_is_remembered(stores: Stores) -> None:
    await stores.tasks.create(a_submission(), idempotency=a_record(expires_s=10))

    created = await stores.tasks.create(
        a_submission(at=later(11)), idempotency=a_record(fingerprint="other", expires_s=99)
    )
    again = await stores.tasks.create(
        a_submission(at=later(12)), idempotency=a_record(fingerprint="other", expires_s=99)
    )

    assert not created.replayed
    assert again.replayed


async def test_of_a_refused_create_the_key_stays_free(stores: Stores) -> None:
    change = a_submission(session_id=SessionId("session_none"))
    with pytest.raises(NotFoundError):
        await stores.tasks.create(change, idempotency=a_record())

    created = await stores.tasks.create(a_submission(), idempotency=a_record(fingerprint="other"))

    assert not created.replayed


async def test_of_concurrent_equal_keys_one_task_comes(stores: Stores) -> None:
    creations = [stores.tasks.create(a_submission(), idempotency=a_record()) for _ in range(20)]
    outcomes = await asyncio.gather(*creations)

    assert len({outcome.task.id for outcome in outcomes}) == 1
    assert sorted(outcome.replayed for outcome in outcomes) == [False] + [True] * 19


async def test_of_a_session_one_task_at_a_time_is_worked_on(stores: Stores) -> None:
    session = await stores.sessions.add(a_session())
    first = await queued(stores, session_id=session.id, at=later(1))

    with pytest.raises(SessionBusyError):
        await queued(stores, session_id=session.id)
    with pytest.raises(SessionBusyError):
        await stores.sessions.delete(ACME, session.id)
    await stores.tasks.update(first.id, lifecycle.cancelled("x", "me", later(2)))
    second = await queued(stores, session_id=session.id, at=later(3))

    now = await stores.sessions.get(ACME, session.id)
    assert (now.task_count, now.last_task_id, now.updated_at) == (2, second.id, later(3))
    assert await stores.tasks.session_tasks(session.id) == [first.id, second.id]
    with pytest.raises(NotFoundError):
        await queued(stores, OTHER, session_id=session.id)


async def test_of_concurrent_tasks_for_a_session_one_wins(stores: Stores) -> None:
    session = await stores.sessions.add(a_session())

    outcomes = await asyncio.gather(
        *(queued(stores, session_id=session.id) for _ in range(5)), return_exceptions=True
    )

    names = sorted(type(outcome).__name__ for outcome in outcomes)
    assert names == ["SessionBusyError"] * 4 + ["Task"]
    assert (await stores.sessions.get(ACME, session.id)).task_count == 1


async def test_of_a_full_queue_a_task_is_refused(stores: Stores) -> None:
    first = (await stores.tasks.create(a_submission(), max_queued=2)).task
    await stores.tasks.create(a_submission(OTHER), max_queued=2)

    with pytest.raises(QueueFullError):
        await stores.tasks.create(a_submission(), max_queued=2)
    await stores.tasks.update(first.id, claimed())

    assert (await stores.tasks.create(a_submission(), max_queued=2)).task


async def test_of_queued_tasks_tenants_take_turns(stores: Stores, committed: Committed) -> None:
    for n, tenant in enumerate((ACME, ACME, ACME, OTHER)):
        await queued(stores, tenant, at=later(n))

    assert [(e.tenant, e.priority) for e in committed.queue] == [
        (ACME, 0), (ACME, -1), (ACME, -2), (OTHER, 0)
    ]  # fmt: skip
    assert await stores.tasks.unfinished() == committed.queue


async def test_of_credentials_nothing_is_left_when_the_task_ends(stores: Stores) -> None:
    task = (await stores.tasks.create(a_submission(), sealed_credentials=b"sealed")).task
    await stores.tasks.update(task.id, claimed())
    assert await stores.tasks.credentials(task.id) == b"sealed"

    await stores.tasks.update(task.id, done())

    assert await stores.tasks.credentials(task.id) is None


async def test_of_overdue_tasks_only_those_that_wait_are_named(stores: Stores) -> None:
    late, early, active = [await queued(stores) for _ in range(3)]
    for task, seconds in ((late, 100), (early, 10)):
        pause = lifecycle.pause_requested(T0, expires_after=timedelta(seconds=seconds))
        await stores.tasks.update(task.id, pause)

    assert await stores.tasks.overdue(later(9), limit=10) == []
    assert await stores.tasks.overdue(later(50), limit=10) == [early.id]
    assert await stores.tasks.overdue(later(100), limit=10) == [early.id, late.id]
    assert await stores.tasks.overdue(later(100), limit=1) == [early.id]
    await stores.tasks.update(early.id, lifecycle.expired(later(50)))
    assert await stores.tasks.overdue(later(50), limit=10) == []
    assert (await stores.tasks.get(ACME, active.id)).state is TaskState.QUEUED


async def test_of_deleted_tasks_nothing_is_left(stores: Stores) -> None:
    task = await ended(stores)
    active = await running(stores)
    await stores.tasks.create(a_submission(), idempotency=a_record())
    ref = await stores.artifacts.put(ACME, b"bytes", name="f", media_type="text/plain", task_id=task.id)

    await stores.tasks.delete(ACME, task.id)

    with pytest.raises(NotFoundError):
        await stores.tasks.get(ACME, task.id)
    with pytest.raises(NotFoundError):
        await stores.artifacts.get(ACME, ref.digest)
    with pytest.raises(IllegalTransitionError):
        await stores.tasks.delete(ACME, active.id)
    assert await stores.journal.read(task.id, 0) == []
    assert await stores.journal.positions(ACME) == (5, 9)


async def test_of_counts_states_are_told_apart(stores: Stores) -> None:
    await ended(stores)
    await running(stores, OTHER)
    await queued(stores)

    assert await stores.tasks.count(frozenset({TaskState.QUEUED, TaskState.RUNNING})) == 2
    assert await stores.tasks.count(frozenset({TaskState.SUCCEEDED})) == 1


async def test_of_events_of_one_transaction_the_terminal_is_last(stores: Stores) -> None:
    task = await ended(stores)

    events = await stores.journal.read(task.id, 0)

    assert [type(e.event) for e in events] == [TaskSubmitted, TaskQueued, TaskStarted, TaskSucceeded]
    assert events[-1].terminal
    assert await stores.journal.read(task.id, 2, limit=1) == events[2:3]
    assert await stores.journal.read(task.id, 2**70) == []
