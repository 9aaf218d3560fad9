"""`DeliveryStore` for both makes.

A claim is a lease: it moves `next_attempt_at` to its end, so what its owner does not settle is due again.
"""

import secrets
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa

from app.domain.errors import IllegalTransitionError, NotFoundError
from app.domain.identity import TenantId
from app.domain.ids import DeliveryId, TaskId, WebhookId
from app.domain.paging import Page
from app.domain.webhooks import Delivery, DeliveryState, Webhook, judged
from app.storage.base_webhooks import Claimed, DeliveryDecision, DueEndpoint, Settled
from app.storage.codec import from_us, from_us_or_none, to_us, to_us_or_none
from app.storage.schema import webhook_deliveries, webhooks
from app.storage.sql.database import Database, Select
from app.storage.sql.gathering import Gathering
from app.storage.sql.listing import Listing
from app.storage.sql.webhooks import (
    SELECT_WEBHOOK,
    end_deliveries,
    raise_version,
    webhook_columns,
    webhook_of,
)

_D: Final = webhook_deliveries.c
_LISTING = Listing("webhook_deliveries", _D.created_at, _D.id)
_COLUMNS = (
    _D.webhook_id, _D.tenant, _D.task_id, _D.seq, _D.type, _D.state, _D.attempts, _D.next_attempt_at,
    _D.last_attempt_at, _D.ended_at, _D.last_status, _D.last_error,
)  # fmt: skip
_SELECT = sa.select(*_COLUMNS, _D.created_at, _D.id)


class SqlDeliveryStore:
    """See `DeliveryStore`."""

    def __init__(self, database: Database, *, changed: Callable[[TenantId], None] | None = None) -> None:
        """`changed` is told of tenants whose row was written, for a make that remembers these rows."""
        self._database = database
        self._changed = changed
        self._settling = Gathering[Settled, bool](self._settle)

    async def add(self, delivery: Delivery, body: bytes) -> None:
        """See `DeliveryStore`."""

        def insert(db: sa.Connection) -> None:
            _require(db, delivery.tenant, delivery.webhook_id, lock=True)
            values = _columns(delivery) | {"created_at": to_us(delivery.created_at), "body": body}
            db.execute(
                sa.insert(webhook_deliveries).values(
                    id=delivery.id,
                    webhook_id=delivery.webhook_id,
                    tenant=delivery.tenant,
                    task_id=delivery.task_id or "",
                    seq=delivery.seq,
                    type=delivery.type,
                    **values,
                )
            )

        await self._database.write(insert)

    async def page(
        self,
        tenant: TenantId,
        webhook_id: WebhookId,
        *,
        states: frozenset[DeliveryState] | None,
        size: int,
        cursor: str | None,
    ) -> Page[Delivery]:
        """See `DeliveryStore`."""
        await self._database.read(lambda db: _require(db, tenant, webhook_id))
        query = _SELECT.where(_D.webhook_id == webhook_id)
        if states is not None:
            query = query.where(_D.state.in_([state.value for state in states]))
        return await _LISTING.page(self._database, query, _delivery_of, size=size, cursor=cursor)

    async def update(
        self, tenant: TenantId, webhook_id: WebhookId, delivery_id: DeliveryId, decide: DeliveryDecision
    ) -> Delivery:
        """See `DeliveryStore`."""

        def change(db: sa.Connection) -> Delivery:
            webhook = _require(db, tenant, webhook_id, lock=True)
            mine = (_D.id == delivery_id, _D.webhook_id == webhook_id)
            row = db.execute(_SELECT.where(*mine).with_for_update()).first()
            if row is None:
                raise NotFoundError("delivery", delivery_id)
            if not webhook.enabled:
                raise IllegalTransitionError(f"webhook {webhook_id} is off", webhook_id=webhook_id)
            after = decide(_delivery_of(row))
            db.execute(sa.update(webhook_deliveries).where(*mine).values(claim=None, **_columns(after)))
            return after

        return await self._database.write(change)

    async def due(
        self, busy: Collection[WebhookId], *, full: Collection[TenantId] = (), limit: int
    ) -> list[DueEndpoint]:
        """See `DeliveryStore`."""
        own = sa.select(sa.func.min(_D.next_attempt_at)).where(
            _D.webhook_id == webhooks.c.id, _D.next_attempt_at.is_not(None)
        )
        found = sa.select(webhooks.c.id, webhooks.c.tenant, own.scalar_subquery().label("due"))
        found = found.where(webhooks.c.enabled)
        if busy:
            found = found.where(webhooks.c.id.not_in(sorted(busy)))
        if full:
            found = found.where(webhooks.c.tenant.not_in(sorted(full)))
        each = found.subquery()
        query = sa.select(each).where(each.c.due.is_not(None)).order_by(each.c.due).limit(limit)
        rows = await self._database.read(lambda db: db.execute(query).all())
        return [
            DueEndpoint(WebhookId(webhook_id), TenantId(tenant), from_us(at))
            for webhook_id, tenant, at in rows
        ]

    async def claim(
        self, webhook_id: WebhookId, at: datetime, *, lease: timedelta, limit: int
    ) -> list[Claimed]:
        """See `DeliveryStore`."""
        token, now = secrets.token_hex(8), to_us(at)
        earlier = webhook_deliveries.alias("earlier")
        waiting = sa.exists().where(
            earlier.c.task_id == _D.task_id,
            earlier.c.webhook_id == _D.webhook_id,
            earlier.c.seq < _D.seq,
            earlier.c.next_attempt_at.is_not(None),
            earlier.c.attempts == 0,
        )
        query: Select = (
            sa.select(_D.body, _D.traceparent, *_COLUMNS, _D.created_at, _D.id)
            .where(_D.webhook_id == webhook_id, _D.next_attempt_at <= now, sa.not_(waiting))
            .order_by(_D.next_attempt_at, _D.seq)
            .limit(limit)
            .with_for_update(of=webhook_deliveries, skip_locked=True)
        )

        def take(db: sa.Connection) -> list[Claimed]:
            found = db.execute(SELECT_WEBHOOK.where(webhooks.c.id == webhook_id, webhooks.c.enabled)).first()
            if found is None or not (rows := db.execute(query).all()):
                return []
            ids = [row.id for row in rows]
            db.execute(
                sa.update(webhook_deliveries)
                .where(_D.id.in_(ids))
                .values(claim=token, next_attempt_at=to_us(at + lease))
            )
            record = webhook_of(found)
            return [
                Claimed(
                    delivery=_delivery_of(row),
                    claim=token,
                    body=bytes(row.body),
                    traceparent=row.traceparent,
                    url=record.webhook.url,
                    sealed=record.sealed,
                    previous_sealed=record.previous_sealed,
                    previous_until=record.webhook.previous_until,
                )
                for row in rows
            ]

        return await self._database.write(take)

    async def settle(self, settled: Settled) -> bool:
        """See `DeliveryStore`. What is settled at once shares a transaction."""
        return await self._settling.hand_in(settled)

    async def _settle(self, batch: Sequence[Settled]) -> list[bool]:
        switched_off: set[TenantId] = set()

        def write(db: sa.Connection) -> list[bool]:
            # In one order, so that replicas do not wait for each other in a circle.
            order = sorted(
                range(len(batch)), key=lambda n: (batch[n].delivery.webhook_id, batch[n].delivery.id)
            )
            judged_as = {number: _judge(db, batch[number]) for number in order}  # endpoints before deliveries
            kept = {
                number: self._settle_one(db, batch[number], judged_as[number], switched_off)
                for number in order
            }
            return [kept[number] for number in range(len(batch))]

        try:
            return await self._database.write(write)
        finally:
            if self._changed is not None:
                for tenant in switched_off:
                    self._changed(tenant)

    def _settle_one(
        self, db: sa.Connection, settled: Settled, after: Webhook | None, switched_off: set[TenantId]
    ) -> bool:
        delivery = settled.delivery
        mine = (_D.id == delivery.id, _D.claim == settled.claim)
        kept = db.execute(sa.update(webhook_deliveries).where(*mine).values(claim=None, **_columns(delivery)))
        if after is not None and not after.enabled:
            switched_off.add(delivery.tenant)
            raise_version(db, delivery.tenant)
            end_deliveries(db, delivery.webhook_id, settled.at)
        return kept.rowcount > 0

    async def release(self, claims: Collection[str], at: datetime) -> None:
        """See `DeliveryStore`."""
        if not claims:
            return
        back = sa.update(webhook_deliveries).where(
            _D.claim.in_(sorted(claims)), _D.next_attempt_at.is_not(None)
        )
        await self._database.write(
            lambda db: db.execute(back.values(claim=None, next_attempt_at=to_us(at))).close()
        )

    async def release_all(self, at: datetime) -> int:
        """See `DeliveryStore`."""
        back = sa.update(webhook_deliveries).where(_D.claim.is_not(None), _D.next_attempt_at.is_not(None))
        back = back.values(claim=None, next_attempt_at=to_us(at))
        return await self._database.write(lambda db: db.execute(back).rowcount)

    async def forget(self, *, ended_before: datetime, limit: int) -> int:
        """See `DeliveryStore`."""
        old = sa.select(_D.id).where(_D.ended_at.is_not(None), _D.ended_at < to_us(ended_before)).limit(limit)
        delete = sa.delete(webhook_deliveries).where(_D.id.in_(old))
        return await self._database.write(lambda db: db.execute(delete).rowcount)


def _judge(db: sa.Connection, settled: Settled) -> Webhook | None:
    """Write what the attempt says of its endpoint; None when it says nothing new. Mostly only a read."""
    query = SELECT_WEBHOOK.where(webhooks.c.id == settled.delivery.webhook_id)

    def after(row: Any) -> tuple[Webhook, Webhook]:
        before = webhook_of(row).webhook
        return before, judged(before, settled.result, settled.at, settled.disable_after)

    row = db.execute(query).first()
    if row is None or len(set(after(row))) == 1:
        return None
    row = db.execute(query.with_for_update()).first()
    if row is None:
        return None
    before, found = after(row)
    if before == found:
        return None
    record = replace(webhook_of(row), webhook=found)
    db.execute(sa.update(webhooks).where(webhooks.c.id == found.id).values(webhook_columns(record)))
    return found


def _require(db: sa.Connection, tenant: TenantId, webhook_id: WebhookId, *, lock: bool = False) -> Webhook:
    """`lock`: it stays as it is until the transaction ends. Before any delivery, as who changes it does."""
    query = SELECT_WEBHOOK.where(webhooks.c.tenant == tenant, webhooks.c.id == webhook_id)
    row = db.execute(query.with_for_update(read=True) if lock else query).first()
    if row is None:
        raise NotFoundError("webhook", webhook_id)
    return webhook_of(row).webhook


def _columns(delivery: Delivery) -> dict[str, Any]:
    """What changes of a delivery."""
    return {
        "state": delivery.state.value,
        "attempts": delivery.attempts,
        "next_attempt_at": to_us_or_none(delivery.next_attempt_at),
        "last_attempt_at": to_us_or_none(delivery.last_attempt_at),
        "ended_at": to_us_or_none(delivery.ended_at),
        "last_status": delivery.last_status,
        "last_error": delivery.last_error.encode() or None,
    }


def _delivery_of(row: Any) -> Delivery:
    return Delivery(
        id=DeliveryId(row.id),
        webhook_id=WebhookId(row.webhook_id),
        tenant=TenantId(row.tenant),
        task_id=TaskId(row.task_id) if row.task_id else None,
        seq=row.seq,
        type=row.type,
        state=DeliveryState(row.state),
        attempts=row.attempts,
        created_at=from_us(row.created_at),
        next_attempt_at=from_us_or_none(row.next_attempt_at),
        last_attempt_at=from_us_or_none(row.last_attempt_at),
        ended_at=from_us_or_none(row.ended_at),
        last_status=row.last_status,
        last_error=bytes(row.last_error or b"").decode("utf-8", "replace"),
    )
