"""What the stores of webhooks and of deliveries promise; knows no make."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from pydantic_core import from_json

from app.domain.errors import IllegalTransitionError, NotFoundError, QuotaExceededError, StaleOwnerError
from app.domain.identity import TenantId
from app.domain.ids import DeliveryId, WebhookId
from app.domain.webhooks import (
    AttemptResult,
    Delivery,
    DeliveryState,
    RetrySchedule,
    Webhook,
    WebhookRecord,
    attempted,
    redelivered,
    rotated,
)
from app.storage.base import Stores
from app.storage.base_webhooks import Claimed, Settled
from tests.contract.storage.conftest import Committed, Opener
from tests.contract.storage.values import ACME, OTHER, T0, a_submission, claimed, done, later, new_id, said

MANY = 100
LEASE = timedelta(seconds=60)
SCHEDULE = RetrySchedule(delays=(timedelta(seconds=10), timedelta(seconds=20)), jitter=0)
OK = AttemptResult(outcome="succeeded", status=204)
FAILED = AttemptResult(outcome="failed", status=500, error="the receiver answered 500")


def a_webhook(tenant: TenantId = ACME, *, at_s: float = 0, **fields: object) -> WebhookRecord:
    webhook = Webhook(
        id=WebhookId(new_id("webhook", later(at_s))),
        tenant=tenant,
        url="https://example.com/\x00 🙂",
        created_at=later(at_s),
        updated_at=later(at_s),
    )
    return WebhookRecord(webhook=replace(webhook, **fields), sealed=b"\x00sealed")  # type: ignore[arg-type]


async def added(stores: Stores, tenant: TenantId = ACME, **fields: Any) -> Webhook:
    return await stores.webhooks.add(a_webhook(tenant, **fields), max_webhooks=MANY)


async def told(stores: Stores, webhook: Webhook) -> list[Delivery]:
    """Oldest first."""
    page = await stores.deliveries.page(webhook.tenant, webhook.id, states=None, size=100, cursor=None)
    return sorted(page.items, key=lambda one: (one.task_id or "", one.seq))


async def taken(stores: Stores, webhook: Webhook, *, at_s: float = 1, limit: int = 10) -> list[Claimed]:
    return await stores.deliveries.claim(webhook.id, later(at_s), lease=LEASE, limit=limit)


async def settled(stores: Stores, claim: Claimed, result: AttemptResult, *, at_s: float = 1) -> bool:
    return await stores.deliveries.settle(
        Settled(
            delivery=attempted(claim.delivery, result, later(at_s), SCHEDULE, 0.0),
            claim=claim.claim,
            result=result,
            at=later(at_s),
            disable_after=timedelta(days=1),
        )
    )


def switched(webhook_on: bool) -> Callable[[WebhookRecord], WebhookRecord]:
    def decide(record: WebhookRecord) -> WebhookRecord:
        return replace(record, webhook=replace(record.webhook, enabled=webhook_on, updated_at=later(50)))

    return decide


async def test_of_webhooks_everything_is_read_back_by_their_tenant_only(stores: Stores) -> None:
    records = [a_webhook(at_s=number, events=("task.failed",), description="Grüße") for number in range(3)]
    for record in records:
        assert await stores.webhooks.add(record, max_webhooks=MANY) == record.webhook
    one = records[0].webhook

    changed = await stores.webhooks.update(
        ACME, one.id, partial(rotated, sealed=b"new", at=later(5), overlap=timedelta(seconds=60))
    )

    assert (changed.rotated_at, changed.previous_until) == (later(5), later(65))
    assert await stores.webhooks.get(ACME, one.id) == changed
    first = await stores.webhooks.page(ACME, size=2, cursor=None)
    second = await stores.webhooks.page(ACME, size=2, cursor=first.next_cursor)
    assert [*first.items, *second.items] == [records[2].webhook, records[1].webhook, changed]
    for refused in (
        stores.webhooks.get(OTHER, one.id),
        stores.webhooks.update(OTHER, one.id, switched(False)),
        stores.webhooks.delete(OTHER, one.id),
        stores.deliveries.page(OTHER, one.id, states=None, size=10, cursor=None),
    ):
        with pytest.raises(NotFoundError):
            await refused
    with pytest.raises(QuotaExceededError):
        await stores.webhooks.add(a_webhook(), max_webhooks=3)


async def test_of_webhooks_those_that_want_an_event_are_told_in_its_transaction(stores: Stores) -> None:
    before = (await stores.tasks.create(a_submission())).task
    every, ends = await added(stores), await added(stores, events=("task.succeeded", "task.failed"))
    off, foreign = await added(stores, enabled=False), await added(stores, OTHER)

    task = (await stores.tasks.create(a_submission(metadata={"of": "mine"}))).task
    await stores.tasks.update(task.id, claimed())
    await stores.tasks.update(task.id, said("a", "b"))
    ended = await stores.tasks.update(task.id, done(later(9), "the answer"))
    with pytest.raises(StaleOwnerError):
        await stores.tasks.update(before.id, done(later(9)))  # it was never claimed

    kinds = ["task.submitted", "task.queued", "task.started", "task.succeeded"]
    assert [one.type for one in await told(stores, every)] == kinds
    (end,) = await told(stores, ends)
    assert (end.task_id, end.seq, end.state) == (task.id, ended.last_seq, DeliveryState.PENDING)
    assert (end.created_at, end.next_attempt_at) == (later(9), later(9))
    assert await told(stores, off) == await told(stores, foreign) == []
    (claim,) = await taken(stores, ends, at_s=9)
    body = from_json(claim.body)
    assert (body["type"], body["timestamp"]) == ("task.succeeded", "2026-01-01T00:00:09Z")
    assert (body["data"]["seq"], body["data"]["task"]["id"]) == (ended.last_seq, task.id)
    assert (body["data"]["task"]["state"], body["data"]["task"]["metadata"]) == ("succeeded", {"of": "mine"})
    assert body["data"]["task"]["result"]["output"] == "the answer"


async def test_of_webhooks_a_change_holds_for_the_next_commit(stores: Stores) -> None:
    webhook = await added(stores, events=("task.submitted",))
    await stores.tasks.create(a_submission())
    await stores.webhooks.update(ACME, webhook.id, switched(False))
    await stores.tasks.create(a_submission())
    await stores.webhooks.update(ACME, webhook.id, switched(True))
    await stores.tasks.create(a_submission())

    states = sorted(one.state for one in await told(stores, webhook))
    await stores.webhooks.delete(ACME, webhook.id)
    await stores.tasks.create(a_submission())

    assert states == [DeliveryState.DEAD, DeliveryState.PENDING]
    assert await stores.deliveries.due((), limit=10) == []


@pytest.mark.parametrize("backend", [pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True)
async def test_of_webhooks_a_change_on_one_replica_holds_on_all(stores: Stores, opener: Opener) -> None:
    async with opener(Committed()) as other:
        await other.tasks.create(a_submission())
        webhook = await added(stores, events=("task.submitted",))
        await other.tasks.create(a_submission())
        await stores.webhooks.update(ACME, webhook.id, switched(False))
        await other.tasks.create(a_submission())

        assert len(await told(stores, webhook)) == 1


async def test_of_deliveries_each_is_one_process_s_until_its_lease_ends(stores: Stores) -> None:
    webhook = await added(stores, events=("task.submitted",))
    for _ in range(6):
        await stores.tasks.create(a_submission())

    claims = await asyncio.gather(*(taken(stores, webhook, limit=2) for _ in range(4)))

    ids = [one.delivery.id for some in claims for one in some]
    assert (len(ids), len(set(ids))) == (6, 6)
    assert await stores.deliveries.due((), limit=10) == [(webhook.id, ACME, later(1) + LEASE)]
    assert await stores.deliveries.due((webhook.id,), limit=10) == []
    assert await taken(stores, webhook, at_s=60) == []
    again = await taken(stores, webhook, at_s=61, limit=1)
    assert len(again) == 1
    late = next(one for some in claims for one in some if one.delivery.id == again[0].delivery.id)
    assert not await settled(stores, late, OK)
    assert await settled(stores, again[0], OK)
    await stores.deliveries.release({one.claim for some in claims for one in some}, later(2))
    assert len(await taken(stores, webhook, at_s=2)) == 5
    assert await stores.deliveries.release_all(later(3)) == 5


async def test_of_deliveries_those_of_some_tenants_can_be_left_out(stores: Stores) -> None:
    mine, theirs = [await added(stores, tenant, events=("task.submitted",)) for tenant in (ACME, OTHER)]
    for tenant in (ACME, OTHER):
        await stores.tasks.create(a_submission(tenant=tenant))

    async def due(*full: TenantId) -> set[WebhookId]:
        return {one.webhook_id for one in await stores.deliveries.due((), full=full, limit=10)}

    assert await due() == {mine.id, theirs.id}
    assert await due(ACME) == {theirs.id}
    assert await due(ACME, OTHER) == set()


async def test_of_deliveries_a_task_s_first_attempts_are_in_order(stores: Stores) -> None:
    webhook = await added(stores)
    task = (await stores.tasks.create(a_submission())).task
    await stores.tasks.update(task.id, claimed())

    (first,) = await taken(stores, webhook)
    assert await taken(stores, webhook) == []
    await settled(stores, first, FAILED)
    (second,) = await taken(stores, webhook)  # a failure does not hold up what follows
    await settled(stores, second, OK)
    (third,) = await taken(stores, webhook)

    assert [one.delivery.seq for one in (first, second, third)] == [1, 2, 3]
    assert [one.delivery.seq for one in await taken(stores, webhook, at_s=11)] == [1]


async def test_of_deliveries_failures_are_noted_and_the_last_is_dead(stores: Stores) -> None:
    webhook = await added(stores, events=("task.submitted",))
    await stores.tasks.create(a_submission())
    for at_s in (1, 11, 31):
        (claim,) = await taken(stores, webhook, at_s=at_s)
        assert await settled(stores, claim, FAILED, at_s=at_s)

    (dead,) = await told(stores, webhook)
    assert (dead.state, dead.attempts, dead.last_status) == (DeliveryState.DEAD, 3, 500)
    assert (dead.ended_at, dead.last_error) == (later(31), "the receiver answered 500")
    assert (await stores.webhooks.get(ACME, webhook.id)).failing_since == later(1)
    again = await stores.deliveries.update(ACME, webhook.id, dead.id, partial(redelivered, at=later(40)))
    assert (again.state, again.attempts) == (DeliveryState.PENDING, 0)
    (claim,) = await taken(stores, webhook, at_s=40)
    assert await settled(stores, claim, OK, at_s=41)
    assert (await stores.webhooks.get(ACME, webhook.id)).failing_since is None
    assert await stores.deliveries.forget(ended_before=later(41), limit=10) == 0
    assert await stores.deliveries.forget(ended_before=later(42), limit=10) == 1


async def test_of_webhooks_one_that_is_gone_is_switched_off_with_all_that_waits(stores: Stores) -> None:
    webhook = await added(stores, events=("task.submitted",))
    for _ in range(3):
        await stores.tasks.create(a_submission())
    (claim,) = await taken(stores, webhook, limit=1)

    await settled(stores, claim, AttemptResult(outcome="gone", status=410, error="gone"))
    await stores.tasks.create(a_submission())

    off = await stores.webhooks.get(ACME, webhook.id)
    assert (off.enabled, off.disabled_reason) == (False, "gone")
    found = await told(stores, webhook)
    assert [one.state for one in found] == [DeliveryState.DEAD] * 3
    assert sorted(one.last_error for one in found) == ["gone", *["the webhook was switched off"] * 2]
    with pytest.raises(IllegalTransitionError):
        await stores.deliveries.update(ACME, webhook.id, found[0].id, partial(redelivered, at=T0))


@pytest.mark.parametrize("backend", [pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True)
@pytest.mark.parametrize("asked", ["ping", "redelivery"])
async def test_of_deliveries_none_is_asked_for_while_its_endpoint_goes(
    stores: Stores, postgres_url: str, asked: str
) -> None:
    import asyncpg

    webhook = await added(stores, events=("task.submitted",))
    await stores.tasks.create(a_submission())
    (claim,) = await taken(stores, webhook)
    await settled(stores, claim, OK)
    (ended,) = await told(stores, webhook)
    connection = await asyncpg.connect(postgres_url)
    try:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("DELETE FROM webhooks WHERE id = $1", webhook.id)

        ping, again = replace(ended, id=DeliveryId("dlv_ping")), partial(redelivered, at=later(9))
        asked_for = {
            "ping": lambda: stores.deliveries.add(ping, b"{}"),
            "redelivery": lambda: stores.deliveries.update(ACME, webhook.id, ended.id, again),
        }

        async def refused() -> None:
            with pytest.raises(NotFoundError):
                await asked_for[asked]()

        async with asyncio.TaskGroup() as group:
            asking = group.create_task(refused())
            await asyncio.wait({asking}, timeout=0.3)  # it waits for the other; else it is done by now
            await transaction.commit()
    finally:
        await connection.close()


async def test_of_deliveries_those_of_a_forgotten_task_go_once_they_ended(stores: Stores) -> None:
    webhook = await added(stores, events=("task.submitted", "task.succeeded"))
    task = (await stores.tasks.create(a_submission())).task
    await stores.tasks.update(task.id, claimed())
    await stores.tasks.update(task.id, done())
    (claim,) = await taken(stores, webhook)
    await settled(stores, claim, OK)

    await stores.tasks.delete(ACME, task.id)

    assert [one.type for one in await told(stores, webhook)] == ["task.succeeded"]
