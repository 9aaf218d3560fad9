"""Receivers that answer nobody, however many, hold up nobody else's deliveries."""

import asyncio

from app.domain.call import CallContext
from app.domain.identity import Principal, TenantId
from app.domain.ids import AgentId
from app.service.inputs import NewTask
from app.service.webhooks import WebhookInput
from app.webhooks.dispatcher import ENDPOINTS_AT_ONCE
from tests.webhooks.conftest import House, Opening
from tests.webhooks.receiver import Receiver, receiving

OTHER = CallContext(principal=Principal(subject="other", tenant=TenantId("other")), request_id="other")


async def another_tenant_is_told(house: House, good: Receiver) -> None:
    await house.gateway.service.webhooks.create(
        OTHER, WebhookInput(url=good.url(), events=("task.submitted",))
    )
    await house.tasks.submit(OTHER, NewTask(instruction="hello", agent_id=AgentId("echo")))
    await good.messages(1, within_s=10)


async def test_endpoints_whose_events_wait_for_an_earlier_one_do_not_hide_the_others(
    open_house: Opening,
) -> None:
    rules = {"timeout": 60, "max_concurrent": 400, "max_per_tenant": 100}
    async with receiving() as slow, receiving() as good, open_house(**rules) as house:
        slow.hold = asyncio.Event()
        for _ in range(ENDPOINTS_AT_ONCE + 1):
            await house.hook(slow.url())
        await house.submit()
        await slow.messages(ENDPOINTS_AT_ONCE + 1)

        await another_tenant_is_told(house, good)


async def test_a_tenant_whose_receivers_are_slow_leaves_places_to_the_others(open_house: Opening) -> None:
    async with (
        receiving() as slow,
        receiving() as good,
        open_house(timeout=60, max_concurrent=16) as house,
    ):
        slow.hold = asyncio.Event()
        for _ in range(5):
            await house.hook(slow.url(), "task.submitted")
        for _ in range(4):
            await house.submit()
        await slow.messages(4)

        await another_tenant_is_told(house, good)

        assert slow.most_open == 4
