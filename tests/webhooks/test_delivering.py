"""From a task to a real receiver: signed, in order, tried again, given up, sent once more."""

import asyncio
from datetime import timedelta

import pytest
from standardwebhooks import WebhookVerificationError

from app.domain.webhooks import Delivery, DeliveryState
from tests.webhooks.conftest import CALL, House, Opening
from tests.webhooks.receiver import receiving

LIFE = ["task.submitted", "task.queued", "task.started", "task.succeeded"]


async def settled(house: House, webhook_id: str, count: int = 1) -> list[Delivery]:
    """Wait until so many deliveries have ended."""
    async with asyncio.timeout(20):
        while True:
            found = await house.deliveries(webhook_id)  # type: ignore[arg-type]
            if sum(one.state.ended for one in found) >= count:
                return found
            await asyncio.sleep(0)


async def test_a_task_s_life_arrives_signed_and_in_order(open_house: Opening) -> None:
    async with receiving() as receiver, open_house() as house:
        issued = await house.hook(receiver.url("/hook?team=a"))
        secret = issued.secret.reveal()

        task = await house.submit()
        got = await receiver.messages(4)

        bodies = [one.verified(secret) for one in got]
        assert [body["type"] for body in bodies] == LIFE
        assert [one.seq for one in got] == [1, 2, 3, bodies[-1]["data"]["task"]["last_seq"]]
        assert {body["data"]["task"]["id"] for body in bodies} == {task.id}
        assert bodies[-1]["data"]["task"]["result"]["output"] == "hello"
        assert {one.path for one in got} == {"/hook?team=a"}
        assert got[0].headers["content-type"] == "application/json"
        assert len({one.id for one in got}) == 4
        with pytest.raises(WebhookVerificationError):
            got[0].verified("whsec_" + "QUJD" * 10)
        found = await settled(house, issued.webhook.id, 4)
        assert {(one.state, one.attempts, one.last_status) for one in found} == {
            (DeliveryState.SUCCEEDED, 1, 204)
        }
        assert secret not in str(found)
        spans = [span for span in house.spans.get_finished_spans() if span.name == "POST"]
        assert len(spans) == 4
        assert spans[0].attributes is not None
        assert spans[0].attributes["http.response.status_code"] == 204
        assert spans[0].attributes["server.address"] == "127.0.0.1"
        assert "team=a" not in str([span.to_json() for span in spans])


async def test_what_fails_is_sent_again_under_the_same_id(open_house: Opening) -> None:
    async with (
        receiving("500 Oops", "302 Found\r\nlocation: http://127.0.0.1:9/") as receiver,
        open_house() as house,
    ):
        hook = (await house.hook(receiver.url(), "task.succeeded")).webhook

        await house.submit()

        (delivery,) = await settled(house, hook.id)
        assert (delivery.state, delivery.attempts, delivery.last_status) == (DeliveryState.SUCCEEDED, 3, 204)
        assert len({one.id for one in receiver.got}) == 1
        assert len({one.body for one in receiver.got}) == 1
        assert (await house.gateway.service.webhooks.get(CALL, hook.id)).failing_since is None


async def test_what_keeps_failing_is_dead_until_somebody_asks_for_it(open_house: Opening) -> None:
    async with receiving(*["503 No\r\nretry-after: 0"] * 3) as receiver, open_house() as house:
        hook = (await house.hook(receiver.url(), "task.succeeded")).webhook
        await house.submit()

        (dead,) = await settled(house, hook.id)
        assert (dead.state, dead.attempts, dead.last_error) == (
            DeliveryState.DEAD,
            3,
            "the receiver answered 503",
        )
        await house.gateway.service.webhooks.redeliver(CALL, hook.id, dead.id)
        got = await receiver.messages(4)

        assert got[3].id == dead.id
        (delivery,) = await settled(house, hook.id)
        assert (delivery.state, delivery.attempts) == (DeliveryState.SUCCEEDED, 1)


async def test_a_receiver_that_is_gone_or_fails_for_too_long_is_told_no_more(open_house: Opening) -> None:
    async with (
        receiving("410 Gone") as gone,
        receiving(*["500 No"] * 9) as failing,
        open_house(disable_after=0.01) as house,
    ):
        webhooks = house.gateway.service.webhooks
        first = (await house.hook(gone.url(), "task.succeeded")).webhook
        second = (await house.hook(failing.url(), "task.succeeded")).webhook
        await house.submit()

        (dead,) = await settled(house, first.id)
        assert (dead.last_status, dead.attempts) == (410, 1)
        await settled(house, second.id)

        assert (await webhooks.get(CALL, first.id)).disabled_reason == "gone"
        assert (await webhooks.get(CALL, second.id)).disabled_reason == "failing"
        await house.submit()
        assert len(await house.deliveries(first.id)) == len(await house.deliveries(second.id)) == 1


async def test_a_receiver_that_says_nothing_costs_a_timeout_and_nobody_else(open_house: Opening) -> None:
    rules = {"timeout": 0.3, "retries": [], "max_concurrent_per_endpoint": 2}
    async with receiving(*[None] * 9) as silent, receiving() as good, open_house(**rules) as house:
        slow = (await house.hook(silent.url(), "task.succeeded")).webhook
        await house.hook(good.url(), "task.succeeded")
        for _ in range(5):
            await house.submit()

        await good.messages(5)

        (first, *_) = await settled(house, slow.id)
        assert first.last_error == "no answer within 0.3 s"
        assert silent.most_open == 2


async def test_a_ping_arrives_and_a_rotated_secret_signs_beside_the_old_one(open_house: Opening) -> None:
    async with receiving() as receiver, open_house() as house:
        webhooks = house.gateway.service.webhooks
        issued = await house.hook(receiver.url())
        rotated = await webhooks.rotate_secret(CALL, issued.webhook.id, overlap_s=60)

        await webhooks.test(CALL, issued.webhook.id)
        (ping,) = await receiver.messages(1)

        for secret in (issued.secret, rotated.secret):
            body = ping.verified(secret.reveal())
        assert (body["type"], body["data"]) == ("webhook.ping", {"webhook_id": issued.webhook.id})
        await webhooks.rotate_secret(CALL, issued.webhook.id)
        await webhooks.test(CALL, issued.webhook.id)
        with pytest.raises(WebhookVerificationError):
            (await receiver.messages(2))[1].verified(rotated.secret.reveal())


async def test_what_is_under_way_when_the_gateway_goes_is_told_after_the_next_start(
    open_house: Opening,
) -> None:
    async with receiving() as receiver:
        receiver.hold = asyncio.Event()
        async with open_house() as house:
            hook = (await house.hook(receiver.url(), "task.succeeded")).webhook
            await house.submit()
            await receiver.messages(1)
        receiver.hold.set()
        async with open_house() as house:
            first, second = await receiver.messages(2)

            assert first.id == second.id
            (delivery,) = await settled(house, hook.id)
            assert (delivery.state, delivery.attempts) == (DeliveryState.SUCCEEDED, 1)


async def test_a_drain_waits_for_what_is_under_way(open_house: Opening) -> None:
    async with receiving() as receiver, open_house() as house:
        receiver.hold = asyncio.Event()
        hook = (await house.hook(receiver.url(), "task.succeeded")).webhook
        await house.submit()
        await receiver.messages(1)
        dispatcher = house.gateway._dispatcher

        async with asyncio.TaskGroup() as group:
            drained = group.create_task(dispatcher.drain(timedelta(seconds=20)))
            await asyncio.sleep(0)
            assert not drained.done()
            receiver.hold.set()

        (delivery,) = await house.deliveries(hook.id)
        assert delivery.state is DeliveryState.SUCCEEDED


async def test_what_ended_long_ago_is_dropped_at_the_start(open_house: Opening) -> None:
    async with receiving() as receiver, open_house() as house:
        hook = (await house.hook(receiver.url(), "task.succeeded")).webhook
        await house.submit()
        await settled(house, hook.id)

    async with open_house(keep=0.001) as house, asyncio.timeout(20):
        while await house.deliveries(hook.id):
            await asyncio.sleep(0)
