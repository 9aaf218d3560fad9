"""Calls are let in by turns where tenants compete, and at once where they do not."""

import asyncio

from app.domain.identity import TenantId
from app.policy.turns import Turns

HEAVY, LIGHT, THIRD = TenantId("heavy"), TenantId("light"), TenantId("third")


class Door:
    """Notes who was let in, in order."""

    def __init__(self) -> None:
        self.turns = Turns()
        self.entered: list[TenantId] = []

    async def come(self, tenant: TenantId) -> None:
        await self.turns.take(tenant)
        self.entered.append(tenant)


async def test_of_a_single_tenant_nobody_waits() -> None:
    door = Door()
    async with asyncio.TaskGroup() as group:
        for _ in range(1_000):
            group.create_task(door.come(HEAVY))
        await asyncio.sleep(0)  # one step of the loop: every task has begun

        assert len(door.entered) == 1_000


async def test_a_single_call_goes_before_a_thousand_of_another_tenant() -> None:
    door = Door()
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        await door.come(LIGHT)
        for _ in range(1_000):
            group.create_task(door.come(HEAVY))
        for _ in range(10):
            await asyncio.sleep(0)
        before = len(door.entered)
        group.create_task(door.come(LIGHT))

    assert before < 20
    assert LIGHT in door.entered[before : before + 5]
    assert door.entered.count(HEAVY) == 1_000
    assert len(door.turns) == 0


async def test_tenants_with_many_calls_take_turns() -> None:
    door = Door()
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        await door.come(THIRD)
        for tenant in (HEAVY, LIGHT):
            for _ in range(100):
                group.create_task(door.come(tenant))

    for end in (50, 100, 150, 200):
        counts = [door.entered[:end].count(tenant) for tenant in (HEAVY, LIGHT)]
        assert abs(counts[0] - counts[1]) <= 2, end


async def test_who_leaves_while_waiting_costs_nobody_a_turn() -> None:
    door = Door()
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        await door.come(LIGHT)
        leaving = [group.create_task(door.come(HEAVY)) for _ in range(100)]
        staying = group.create_task(door.come(LIGHT))
        await asyncio.sleep(0)
        for task in leaving:
            task.cancel()
        await staying
        for _ in range(4):
            await asyncio.sleep(0)

    assert door.entered.count(LIGHT) == 2
    assert len(door.entered) <= 4
    assert len(door.turns) == 0
