"""Many writers at once: numbers stay dense, owners stay fenced; on PostgreSQL also two replicas."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.domain import lifecycle
from app.domain.errors import DomainError, StaleOwnerError
from app.domain.events import JournaledEvent
from app.domain.identity import TenantId
from app.domain.ids import TaskId
from app.domain.tasks import Statistics, TaskState
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
    later,
    queued,
    running,
    said,
)

DECISIONS = {
    "claim": lambda task: claimed(ticket=task.ticket)(task),
    "say": said("a", "b"),
    "say nothing": said(),
    "end": done(),
    "pause": lifecycle.pause_requested(T0),
    "park": lifecycle.paused(T0, statistics=Statistics()),
    "resume": lifecycle.resumed(T0),
    "cancel": lifecycle.cancelled("x", "me", T0),
    "release": lifecycle.released(T0, "handed_over"),
}


async def whole_journal(stores: Stores, tenant: TenantId) -> list[JournaledEvent]:
    events: list[JournaledEvent] = []
    while some := await stores.journal.read_tenant(tenant, events[-1].position if events else 0, limit=97):
        events += some
    return events


async def check_dense(stores: Stores, *tenants: TenantId) -> int:
    """Positions per tenant and seqs per task start at 1 and miss none; returns how many."""
    total = 0
    for tenant in tenants:
        events = await whole_journal(stores, tenant)
        assert [e.position for e in events] == list(range(1, len(events) + 1))
        assert await stores.journal.positions(tenant) == (1, len(events))
        seqs: Counter[TaskId] = Counter()
        for event in events:
            seqs[event.task_id] += 1
            assert event.seq == seqs[event.task_id]
        for task_id, last in seqs.items():
            task = await stores.tasks.get(tenant, task_id)
            assert task.last_seq == last
            terminal = [e for e in events if e.task_id == task_id and e.terminal]
            assert len(terminal) == (1 if task.state.terminal else 0)
            if terminal:
                assert terminal[0].seq == last
        total += len(events)
    return total


@pytest.fixture
async def replicas(opener: Opener, backend: str, committed: Committed) -> AsyncIterator[list[Stores]]:
    """Two replicas where the make allows them, one elsewhere."""
    async with AsyncExitStack() as stack:
        count = 2 if backend == "postgres" else 1
        yield [await stack.enter_async_context(opener(committed)) for _ in range(count)]


@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    seed=st.integers(0, 2**32),
    plan=st.lists(st.tuples(st.integers(0, 3), st.sampled_from(sorted(DECISIONS))), max_size=60),
)
async def test_of_random_concurrent_decisions_the_numbers_stay_dense(
    replicas: list[Stores], seed: int, plan: list[tuple[int, str]]
) -> None:
    dice = random.Random(seed)
    tenants = [TenantId(f"t{seed}-{n}-{dice.random()}") for n in range(2)]
    tasks = [(await queued(replicas[0], tenants[n % 2])).id for n in range(4)]

    async def act(number: int, name: str) -> None:
        if dice.random() < 0.3:
            await asyncio.sleep(0)
        try:
            await dice.choice(replicas).tasks.update(tasks[number], DECISIONS[name])
        except DomainError:
            pass

    await asyncio.gather(*(act(number, name) for number, name in plan))

    await check_dense(replicas[-1], *tenants)


async def test_of_many_callers_nothing_is_lost_or_doubled(
    replicas: list[Stores], committed: Committed
) -> None:
    async def one(n: int) -> None:
        stores, tenant = replicas[n % len(replicas)], (ACME, OTHER)[n % 3 == 0]
        task = await queued(stores, tenant)
        other = replicas[(n + 1) % len(replicas)]
        mine = await other.tasks.update(task.id, claimed())
        await asyncio.gather(
            *(replicas[i % len(replicas)].tasks.update(task.id, said(str(i)), epoch=1) for i in range(5))
        )
        await other.tasks.update(task.id, done(), epoch=mine.epoch)

    await asyncio.gather(*(one(n) for n in range(60)))

    assert await check_dense(replicas[0], ACME, OTHER) == 60 * 9
    assert len(committed.events) == 60 * 9
    assert await replicas[0].tasks.count(frozenset({TaskState.SUCCEEDED})) == 60
    assert await replicas[0].tasks.unfinished() == []


async def test_of_commits_of_one_store_positions_only_rise(
    replicas: list[Stores], committed: Committed
) -> None:
    tasks = [await running(replicas[0]) for _ in range(8)]

    await asyncio.gather(*(replicas[0].tasks.update(t.id, said(str(n))) for t in tasks for n in range(20)))

    assert all(a.position < b.position for a, b in pairwise(committed.events))


async def test_of_two_owners_only_the_later_writes(replicas: list[Stores]) -> None:
    task = await running(replicas[0])
    heir = await replicas[-1].tasks.update(task.id, claimed())

    writes = [
        replicas[n % len(replicas)].tasks.update(task.id, said(str(n)), epoch=(task.epoch, heir.epoch)[n % 2])
        for n in range(20)
    ]
    outcomes = await asyncio.gather(*writes, return_exceptions=True)

    assert [isinstance(outcome, StaleOwnerError) for outcome in outcomes] == [True, False] * 10
    await check_dense(replicas[0], ACME)


async def test_of_equal_keys_on_all_replicas_one_task_comes(replicas: list[Stores]) -> None:
    for n in range(5):
        record = IdempotencyRecord(scope="s", key=f"k{n}", fingerprint="f", expires_at=later(3600))
        outcomes = await asyncio.gather(
            *(replicas[i % len(replicas)].tasks.create(a_submission(), idempotency=record) for i in range(10))
        )
        assert len({outcome.task.id for outcome in outcomes}) == 1
        assert sum(not outcome.replayed for outcome in outcomes) == 1


async def test_of_one_session_on_all_replicas_one_task_is_taken(replicas: list[Stores]) -> None:
    session = await replicas[0].sessions.add(a_session())

    outcomes = await asyncio.gather(
        *(queued(replicas[i % len(replicas)], session_id=session.id) for i in range(10)),
        return_exceptions=True,
    )

    assert sum(not isinstance(outcome, Exception) for outcome in outcomes) == 1


async def test_of_reads_a_write_acknowledged_elsewhere_is_seen(replicas: list[Stores]) -> None:
    task = await running(replicas[0])
    for n in range(20):
        written = await replicas[n % len(replicas)].tasks.update(task.id, said(str(n)))
        assert await replicas[(n + 1) % len(replicas)].tasks.get(ACME, task.id) == written
