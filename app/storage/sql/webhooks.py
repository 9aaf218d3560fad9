"""`WebhookStore` for both makes.

A change locks the endpoint first, then raises the number in the tenant's row (waiting for commits under way,
see `subscriptions`), and only then touches deliveries: so it sees those that such a commit wrote.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, TypeVar

import sqlalchemy as sa
from pydantic_core import from_json, to_json

from app.domain.errors import NotFoundError, QuotaExceededError
from app.domain.identity import TenantId
from app.domain.ids import WebhookId
from app.domain.paging import Page
from app.domain.webhooks import DeliveryState, Webhook, WebhookRecord
from app.storage.base_webhooks import WebhookDecision
from app.storage.codec import from_us, from_us_or_none, to_us, to_us_or_none
from app.storage.schema import webhook_deliveries, webhooks
from app.storage.sql.database import Database
from app.storage.sql.listing import Listing

T = TypeVar("T")

SWITCHED_OFF: Final = b"the webhook was switched off"
_LISTING = Listing("webhooks", webhooks.c.created_at, webhooks.c.id)
_COLUMNS = tuple(c for c in webhooks.c if c.name not in ("created_at", "id"))
SELECT_WEBHOOK: Final = sa.select(*_COLUMNS, webhooks.c.created_at, webhooks.c.id)
_RAISE = sa.text(
    "INSERT INTO tenants (tenant, last_position, queued, unfinished, webhooks_version)"
    " VALUES (:tenant, 0, 0, 0, 1)"
    " ON CONFLICT (tenant) DO UPDATE SET webhooks_version = tenants.webhooks_version + 1"
)


class SqlWebhookStore:
    """See `WebhookStore`."""

    def __init__(self, database: Database, *, changed: Callable[[TenantId], None] | None = None) -> None:
        """`changed` is told of tenants whose row was written, for a make that remembers these rows."""
        self._database = database
        self._changed = changed

    async def add(self, record: WebhookRecord, *, max_webhooks: int) -> Webhook:
        """See `WebhookStore`."""
        webhook = record.webhook

        def insert(db: sa.Connection) -> None:
            raise_version(db, webhook.tenant)  # first: its lock makes the count exact
            count = sa.select(sa.func.count()).where(webhooks.c.tenant == webhook.tenant)
            if db.execute(count).scalar_one() >= max_webhooks:
                raise QuotaExceededError(
                    f"the tenant has {max_webhooks} webhooks already", limit=max_webhooks
                )
            db.execute(sa.insert(webhooks).values(id=webhook.id, **webhook_columns(record)))

        await self._change(webhook.tenant, insert)
        return webhook

    async def get(self, tenant: TenantId, webhook_id: WebhookId) -> Webhook:
        """See `WebhookStore`."""
        query = SELECT_WEBHOOK.where(*_here(tenant, webhook_id))
        row = await self._database.read(lambda db: db.execute(query).first())
        if row is None:
            raise NotFoundError("webhook", webhook_id)
        return webhook_of(row).webhook

    async def page(self, tenant: TenantId, *, size: int, cursor: str | None) -> Page[Webhook]:
        """See `WebhookStore`."""
        query = SELECT_WEBHOOK.where(webhooks.c.tenant == tenant)
        return await _LISTING.page(
            self._database, query, lambda row: webhook_of(row).webhook, size=size, cursor=cursor
        )

    async def update(self, tenant: TenantId, webhook_id: WebhookId, decide: WebhookDecision) -> Webhook:
        """See `WebhookStore`."""

        def change(db: sa.Connection) -> Webhook:
            row = db.execute(SELECT_WEBHOOK.where(*_here(tenant, webhook_id)).with_for_update()).first()
            if row is None:
                raise NotFoundError("webhook", webhook_id)
            before = webhook_of(row)
            after = decide(before)
            if after != before:
                db.execute(
                    sa.update(webhooks).where(webhooks.c.id == webhook_id).values(webhook_columns(after))
                )
                raise_version(db, tenant)
                if before.webhook.enabled and not after.webhook.enabled:
                    end_deliveries(db, webhook_id, after.webhook.updated_at)
            return after.webhook

        return await self._change(tenant, change)

    async def delete(self, tenant: TenantId, webhook_id: WebhookId) -> None:
        """See `WebhookStore`."""

        def drop(db: sa.Connection) -> None:
            if not db.execute(sa.delete(webhooks).where(*_here(tenant, webhook_id))).rowcount:
                raise NotFoundError("webhook", webhook_id)
            raise_version(db, tenant)
            db.execute(sa.delete(webhook_deliveries).where(webhook_deliveries.c.webhook_id == webhook_id))

        await self._change(tenant, drop)

    async def _change(self, tenant: TenantId, work: Callable[[sa.Connection], T]) -> T:
        try:
            return await self._database.write(work)
        finally:
            if self._changed is not None:
                self._changed(tenant)


def raise_version(db: sa.Connection, tenant: TenantId) -> None:
    """Tell every later commit of the tenant that its endpoints changed; waits for those under way."""
    db.execute(_RAISE, {"tenant": tenant})


def end_deliveries(db: sa.Connection, webhook_id: WebhookId, at: datetime) -> None:
    """What is under way to an endpoint that was switched off is dead."""
    table = webhook_deliveries
    dead = {
        "state": DeliveryState.DEAD.value,
        "next_attempt_at": None,
        "claim": None,
        "ended_at": to_us(at),
        "last_error": SWITCHED_OFF,
    }
    db.execute(
        sa.update(table)
        .where(table.c.webhook_id == webhook_id, table.c.next_attempt_at.is_not(None))
        .values(dead)
    )


def webhook_columns(record: WebhookRecord) -> dict[str, Any]:
    """All columns but the id."""
    webhook = record.webhook
    body = {
        "url": webhook.url,
        "events": webhook.events,
        "description": webhook.description,
        "disabled_reason": webhook.disabled_reason,
    }
    return {
        "tenant": webhook.tenant,
        "created_at": to_us(webhook.created_at),
        "updated_at": to_us(webhook.updated_at),
        "rotated_at": to_us_or_none(webhook.rotated_at),
        "previous_until": to_us_or_none(webhook.previous_until),
        "failing_since": to_us_or_none(webhook.failing_since),
        "enabled": webhook.enabled,
        "sealed": record.sealed,
        "previous_sealed": record.previous_sealed,
        "body": to_json(body),
    }


def webhook_of(row: Any) -> WebhookRecord:
    """The endpoint of a row of `SELECT_WEBHOOK`."""
    body = from_json(row.body)
    webhook = Webhook(
        id=WebhookId(row.id),
        tenant=TenantId(row.tenant),
        url=str(body["url"]),
        events=tuple(str(kind) for kind in body["events"]),
        description=str(body["description"]),
        enabled=bool(row.enabled),
        disabled_reason=body["disabled_reason"],
        created_at=from_us(row.created_at),
        updated_at=from_us(row.updated_at),
        rotated_at=from_us_or_none(row.rotated_at),
        previous_until=from_us_or_none(row.previous_until),
        failing_since=from_us_or_none(row.failing_since),
    )
    return WebhookRecord(
        webhook=webhook,
        sealed=bytes(row.sealed),
        previous_sealed=None if row.previous_sealed is None else bytes(row.previous_sealed),
    )


def _here(tenant: TenantId, webhook_id: WebhookId) -> tuple[sa.ColumnElement[bool], ...]:
    return webhooks.c.tenant == tenant, webhooks.c.id == webhook_id
