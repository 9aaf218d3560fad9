"""Which endpoints a commit has to write deliveries for.

A tenant's row, which every commit holds anyway, carries a number that each change of its endpoints raises.
So what is remembered here is never out of date, on any replica, and a tenant that never had an endpoint
costs one comparison.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from pydantic_core import from_json, to_json

from app.domain.events import JournaledEvent
from app.domain.identity import TenantId
from app.domain.ids import WebhookId
from app.domain.tasks import Task
from app.domain.webhook_data import task_data
from app.domain.webhooks import KINDS, DeliveryState, Subscription, body_of, delivery_id
from app.storage.codec import to_us
from app.storage.sql.commands import DeliveryRow, Tenant
from app.telemetry.redaction import redact_journal

MAX_TENANTS: Final = 10_000
DELIVERY_COLUMNS: Final = (
    "id", "webhook_id", "tenant", "task_id", "seq", "type", "state", "attempts",
    "created_at", "next_attempt_at", "traceparent", "body",
)  # fmt: skip


class Subscriptions:
    """What is known of tenants' enabled endpoints, by the number their row had."""

    def __init__(self) -> None:
        self._known: dict[TenantId, tuple[int, tuple[Subscription, ...]]] = {}

    def stale(self, tenants: Mapping[TenantId, Tenant]) -> list[TenantId]:
        """Those whose endpoints must be read."""
        return [
            name
            for name, tenant in tenants.items()
            if tenant.webhooks_version and self._known.get(name, (0, ()))[0] != tenant.webhooks_version
        ]

    def learn(self, tenant: TenantId, version: int, rows: Iterable[tuple[str, bytes]]) -> None:
        """Id and body of its enabled endpoints, as read under that version."""
        if len(self._known) >= MAX_TENANTS:
            self._known.clear()
        found = tuple(
            Subscription(
                webhook_id=WebhookId(webhook_id), events=frozenset(from_json(body)["events"]) or KINDS
            )
            for webhook_id, body in rows
        )
        self._known[tenant] = (version, found)

    def of(self, tenants: Mapping[TenantId, Tenant]) -> dict[TenantId, tuple[Subscription, ...]]:
        """The endpoints of those that have any; all of them are known."""
        return {
            name: self._known[name][1]
            for name, tenant in tenants.items()
            if tenant.webhooks_version and self._known[name][1]
        }


def deliveries_of(
    task: Task, events: Iterable[JournaledEvent], subscriptions: Iterable[Subscription]
) -> list[DeliveryRow]:
    """What each endpoint is told of these events, as rows with `DELIVERY_COLUMNS`."""
    rows: list[DeliveryRow] = []
    for event in events:
        kind = event.event.type
        if kind not in KINDS:
            continue
        wanting = [one for one in subscriptions if kind in one.events]
        if not wanting:
            continue
        told = body_of(kind, event.at, task_data(task, seq=event.seq, position=event.position))
        body = redact_journal(to_json(told), task.tenant)
        at = to_us(event.at)
        rows += [
            (
                delivery_id(one.webhook_id, task.id, event.seq, event.at),
                one.webhook_id,
                task.tenant,
                task.id,
                event.seq,
                kind,
                DeliveryState.PENDING.value,
                0,
                at,
                at,
                task.traceparent,
                body,
            )
            for one in wanting
        ]
    return rows
