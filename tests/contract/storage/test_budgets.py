"""Budgets as stored: nothing is had twice, nothing is charged twice, nothing stays held for nobody."""

import asyncio
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from app.domain import lifecycle
from app.domain.budgets import (
    NOTHING,
    UNLIMITED,
    Account,
    Amount,
    BudgetLimits,
    DayUsage,
    Exchange,
    Spend,
)
from app.domain.errors import BudgetExceededError, StaleOwnerError
from app.domain.identity import TenantId
from app.domain.ids import TaskId
from app.domain.tasks import Statistics
from app.storage.base import Stores
from tests.contract.storage.conftest import Committed, Opener
from tests.contract.storage.values import ACME, OTHER, T0, claimed, done, later, new_id, running

DAY = date(2026, 1, 1)
LIMITS = BudgetLimits(tokens=1_000, micro_usd=None, steps=100)


def ask(task_id: str = "task_1", **fields: object) -> Exchange:
    plain = Exchange(
        task_id=TaskId(task_id), tenant=ACME, epoch=1, base=NOTHING, counted=NOTHING, limits=LIMITS, at=T0
    )
    return replace(plain, **fields)  # type: ignore[arg-type]


def tokens(number: int) -> Amount:
    return Amount(tokens=number)


async def day(stores: Stores, tenant: TenantId = ACME, on: date = DAY) -> DayUsage:
    return await stores.budgets.usage(tenant, on)


async def test_what_was_never_used_reads_as_nothing(stores: Stores) -> None:
    assert await day(stores) == DayUsage()


async def test_reserved_before_and_settled_after(stores: Stores) -> None:
    held = await stores.budgets.exchange(ask(needed=tokens(400)))
    assert held.held == tokens(400)
    assert await day(stores) == DayUsage(reserved=tokens(400))

    await stores.budgets.exchange(ask(counted=Amount(tokens=150, micro_usd=7)))

    assert await day(stores) == DayUsage(used=Amount(tokens=150, micro_usd=7))
    assert await day(stores, OTHER) == DayUsage()


async def test_what_is_too_much_is_refused_with_what_is_left_and_until_when(stores: Stores) -> None:
    await stores.budgets.exchange(ask("task_1", needed=tokens(900)))

    with pytest.raises(BudgetExceededError) as refused:
        await stores.budgets.exchange(ask("task_2", needed=tokens(101), at=later(3600)))

    assert refused.value.facts == {"budget": "tokens", "limit": "1000", "remaining": "100"}
    assert refused.value.retry_after == timedelta(hours=23)
    assert [(q.policy, q.remaining, q.retry_s > 0) for q in refused.value.quotas] == [
        ("tenant-day-tokens", 100, True),
        ("tenant-day-steps", 100, False),
    ]
    assert await day(stores) == DayUsage(reserved=tokens(900))


async def test_who_is_refused_pays_for_what_was_used_all_the_same(stores: Stores) -> None:
    await stores.budgets.exchange(ask(needed=tokens(900)))

    with pytest.raises(BudgetExceededError):
        await stores.budgets.exchange(ask(counted=tokens(800), needed=tokens(500)))

    assert await day(stores) == DayUsage(used=tokens(800))


async def test_a_call_that_used_more_than_was_held_is_charged_what_it_used(stores: Stores) -> None:
    await stores.budgets.exchange(ask(needed=tokens(900)))

    await stores.budgets.exchange(ask(counted=tokens(1_200)))

    assert await day(stores) == DayUsage(used=tokens(1_200))
    with pytest.raises(BudgetExceededError):
        await stores.budgets.exchange(ask("task_2", needed=tokens(1)))


async def test_telling_twice_charges_once(stores: Stores) -> None:
    for _ in range(3):
        await stores.budgets.exchange(ask(counted=tokens(70), needed=tokens(30)))

    assert await day(stores) == DayUsage(used=tokens(70), reserved=tokens(30))


@pytest.mark.parametrize("tasks", [300])
async def test_hundreds_who_ask_at_once_never_hold_more_than_there_is(stores: Stores, tasks: int) -> None:
    """Each wants 7 of 1,000: exactly 142 can have it."""

    async def reserve(number: int) -> bool:
        try:
            await stores.budgets.exchange(ask(f"task_{number}", needed=tokens(7)))
        except BudgetExceededError:
            return False
        return True

    held = await asyncio.gather(*(reserve(number) for number in range(tasks)))

    assert sum(held) == 142
    assert await day(stores) == DayUsage(reserved=tokens(994))


async def test_hundreds_of_turns_at_once_add_up(stores: Stores) -> None:
    """Tasks that reserve and settle in any order: the sum is never beyond the limit, and exact at the end."""
    seen: list[int] = []
    used = 0

    async def turns(number: int) -> None:
        nonlocal used
        counted = 0
        for _ in range(4):
            try:
                await stores.budgets.exchange(
                    ask(f"task_{number}", counted=tokens(counted), needed=tokens(10))
                )
            except BudgetExceededError:
                break
            counted += 1 + number % 10
            used += 1 + number % 10
            seen.append((await day(stores)).spoken_for.tokens)
        await stores.budgets.exchange(ask(f"task_{number}", counted=tokens(counted)))

    await asyncio.gather(*(turns(number) for number in range(100)))

    assert max(seen) <= 1_000
    assert await day(stores) == DayUsage(used=tokens(used))


@pytest.mark.postgres
async def test_replicas_share_one_budget(opener: Opener, backend: str) -> None:
    if backend != "postgres":
        return  # one process owns a SQLite file

    async with opener(Committed()) as one, opener(Committed()) as two:

        async def reserve(stores: Stores, number: int) -> bool:
            try:
                await stores.budgets.exchange(ask(f"task_{number}", needed=tokens(7)))
            except BudgetExceededError:
                return False
            return True

        held = await asyncio.gather(*(reserve((one, two)[n % 2], n) for n in range(300)))

        assert sum(held) == 142
        assert await day(one) == await day(two) == DayUsage(reserved=tokens(994))


async def test_an_owner_that_lost_the_task_can_hold_and_charge_nothing(stores: Stores) -> None:
    await stores.budgets.exchange(ask(epoch=2, needed=tokens(100)))

    with pytest.raises(StaleOwnerError):
        await stores.budgets.exchange(ask(epoch=1, counted=tokens(500), needed=tokens(100)))

    assert await day(stores) == DayUsage(reserved=tokens(100))


async def test_the_next_owner_gives_back_what_the_dead_one_held_and_tells_what_that_did_not(
    stores: Stores,
) -> None:
    await stores.budgets.exchange(ask(epoch=1, counted=tokens(50), needed=tokens(300)))

    # The dead owner committed 120 in the task's statistics before it could tell.
    await stores.budgets.exchange(ask(epoch=2, base=tokens(120), counted=tokens(120), needed=tokens(200)))

    assert await day(stores) == DayUsage(used=tokens(120), reserved=tokens(200))


async def test_what_a_dead_owner_told_and_the_task_forgot_was_used_all_the_same(stores: Stores) -> None:
    """It told 120, its last checkpoint says 50: the next one starts there, and its own use counts anew."""
    await stores.budgets.exchange(ask(epoch=1, counted=tokens(120)))

    await stores.budgets.exchange(ask(epoch=2, base=tokens(50), counted=tokens(90)))

    assert await day(stores) == DayUsage(used=tokens(160))


async def test_what_was_held_yesterday_is_settled_yesterday(stores: Stores) -> None:
    await stores.budgets.exchange(ask(needed=tokens(600), at=later(23 * 3600)))

    held = await stores.budgets.exchange(ask(counted=tokens(500), needed=tokens(700), at=later(25 * 3600)))

    assert held.day == date(2026, 1, 2)
    assert await day(stores) == DayUsage(used=tokens(500))
    assert await day(stores, on=date(2026, 1, 2)) == DayUsage(reserved=tokens(700))


async def test_more_than_needed_is_given_where_there_is_plenty_only(stores: Stores) -> None:
    batch = {"needed": Amount(steps=1), "wanted": Amount(steps=8)}

    plenty = await stores.budgets.exchange(ask("task_1", **batch))
    await stores.budgets.spend(Spend(tenant=ACME, amount=Amount(steps=60), limits=LIMITS, at=T0))
    less = await stores.budgets.exchange(ask("task_2", **batch))
    await stores.budgets.spend(Spend(tenant=ACME, amount=Amount(steps=27), limits=LIMITS, at=T0))
    last = await stores.budgets.exchange(ask("task_3", **batch))

    assert [plenty.held.steps, less.held.steps, last.held.steps] == [8, 4, 1]
    with pytest.raises(BudgetExceededError):
        await stores.budgets.exchange(ask("task_4", **batch))


async def test_what_no_task_holds_is_charged_at_once_or_not_at_all(stores: Stores) -> None:
    one = Spend(tenant=ACME, amount=Amount(steps=1), limits=BudgetLimits(steps=30), at=T0)

    outcomes = await asyncio.gather(*(stores.budgets.spend(one) for _ in range(100)), return_exceptions=True)

    assert outcomes.count(None) == 30
    assert {type(outcome) for outcome in outcomes if outcome is not None} == {BudgetExceededError}
    assert await day(stores) == DayUsage(used=Amount(steps=30))


async def test_what_is_held_for_a_task_that_runs_is_left_alone(stores: Stores) -> None:
    task = await running(stores)
    await stores.budgets.exchange(ask(task.id, needed=tokens(100)))

    assert await stores.budgets.settle_abandoned(limit=10) == 0
    assert await day(stores) == DayUsage(reserved=tokens(100))


async def test_what_a_dead_worker_held_is_settled_with_what_its_task_committed(stores: Stores) -> None:
    tasks = [await running(stores) for _ in range(3)]
    for task in tasks:
        await stores.budgets.exchange(ask(task.id, counted=tokens(20), needed=tokens(100)))
    committed = Statistics(input_tokens=30, output_tokens=15)
    await stores.tasks.update(tasks[0].id, done())  # its end says nothing was used: 20 was told before
    for task in tasks[1:]:
        back = lifecycle.released(T0, "recovered", statistics=committed, expires_after=timedelta(days=1))
        await stores.tasks.update(task.id, back)

    assert await stores.budgets.settle_abandoned(limit=2) == 2
    assert await stores.budgets.settle_abandoned(limit=2) == 1
    assert await stores.budgets.settle_abandoned(limit=2) == 0

    assert await day(stores) == DayUsage(used=tokens(20 + 45 + 45))
    await stores.tasks.update(tasks[1].id, claimed(ticket=2))
    await stores.budgets.exchange(
        ask(tasks[1].id, epoch=2, base=tokens(45), counted=tokens(60), needed=tokens(5))
    )
    assert await day(stores) == DayUsage(used=tokens(110 + 15), reserved=tokens(5))


async def test_what_is_held_for_a_task_that_was_deleted_is_given_back(stores: Stores) -> None:
    await stores.budgets.exchange(ask(new_id("task"), counted=tokens(5), needed=tokens(100)))

    assert await stores.budgets.settle_abandoned(limit=10) == 1
    assert await day(stores) == DayUsage(used=tokens(5))


async def test_a_task_that_was_settled_and_yet_tells_more_pays_the_difference(stores: Stores) -> None:
    """A cancelled run hears of it a moment later than the sweep."""
    task = await running(stores)
    await stores.budgets.exchange(ask(task.id, counted=tokens(20), needed=tokens(100)))
    await stores.tasks.update(task.id, done())
    await stores.budgets.settle_abandoned(limit=10)

    await stores.budgets.exchange(ask(task.id, counted=tokens(33)))

    assert await day(stores) == DayUsage(used=tokens(33))


async def test_it_survives_a_restart(opener: Opener) -> None:
    async with opener(Committed()) as stores:
        await stores.budgets.exchange(ask(counted=tokens(5), needed=tokens(100)))
        await stores.budgets.override(ACME, LIMITS, T0)

    async with opener(Committed()) as stores:
        assert await day(stores) == DayUsage(used=tokens(5), reserved=tokens(100))
        assert await stores.budgets.overrides() == {ACME: LIMITS}


async def test_old_days_are_forgotten_but_not_what_is_still_held(stores: Stores) -> None:
    await stores.budgets.exchange(ask("task_1", counted=tokens(5)))
    await stores.budgets.exchange(ask("task_2", needed=tokens(9)))

    await stores.budgets.forget(date(2026, 1, 2))

    assert await day(stores) == DayUsage()
    assert await stores.budgets.settle_abandoned(limit=10) == 1


async def test_stored_limits_come_and_go(stores: Stores) -> None:
    none = await stores.budgets.overrides()
    await stores.budgets.override(ACME, BudgetLimits(tokens=5), T0)
    await stores.budgets.override(ACME, BudgetLimits(tokens=UNLIMITED, micro_usd=9), later(1))
    await stores.budgets.override(OTHER, BudgetLimits(steps=0), T0)

    assert none == {}
    assert await stores.budgets.overrides() == {
        ACME: BudgetLimits(tokens=UNLIMITED, micro_usd=9),
        OTHER: BudgetLimits(steps=0),
    }
    assert await stores.budgets.clear_override(ACME)
    assert not await stores.budgets.clear_override(ACME)


async def test_who_is_cancelled_while_others_wait_costs_them_nothing(stores: Stores) -> None:
    async def reserve(number: int) -> Account:
        return await stores.budgets.exchange(ask(f"task_{number}", needed=tokens(5)))

    async with asyncio.TaskGroup() as group:
        asking = [group.create_task(reserve(number)) for number in range(60)]
        await asyncio.sleep(0)
        for one in asking[::3]:
            one.cancel()

    held = [one.result().held for one in asking if not one.cancelled()]
    assert len(held) >= 40
    assert set(held) == {tokens(5)}
    assert 200 <= (await day(stores)).reserved.tokens <= 300


def test_the_first_day_here_is_what_the_clock_says() -> None:
    assert datetime(2026, 1, 1, tzinfo=UTC) == T0
