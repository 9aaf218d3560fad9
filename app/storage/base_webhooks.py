"""What the stores of webhooks and of their deliveries promise.

Deliveries of events are written by `TaskStore` in the transaction of the event; here they are sent from.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

from app.domain.identity import TenantId
from app.domain.ids import DeliveryId, WebhookId
from app.domain.paging import Page
from app.domain.webhooks import AttemptResult, Delivery, DeliveryState, Webhook, WebhookRecord

WebhookDecision = Callable[[WebhookRecord], WebhookRecord]
"""What becomes of an endpoint; pure, as it runs inside the transaction and possibly twice."""
DeliveryDecision = Callable[[Delivery], Delivery]
"""The same of a delivery."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A delivery that is this process' to send until its lease ends, and what it takes to send it.

    `claim` is the proof: who comes back with an older one changes nothing.
    """

    delivery: Delivery
    claim: str
    body: bytes
    traceparent: str | None
    url: str
    sealed: bytes
    previous_sealed: bytes | None
    previous_until: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """A claimed delivery after its attempt, and what its endpoint is judged by."""

    delivery: Delivery
    claim: str
    result: AttemptResult
    at: datetime
    disable_after: timedelta


class DueEndpoint(NamedTuple):
    """An endpoint that has something to be sent, from `at` on."""

    webhook_id: WebhookId
    tenant: TenantId
    at: datetime


class WebhookStore(Protocol):
    """A tenant's endpoints. A change holds for every commit after it, on all replicas."""

    async def add(self, record: WebhookRecord, *, max_webhooks: int) -> Webhook:
        """Raises QuotaExceededError when the tenant has `max_webhooks`."""
        ...

    async def get(self, tenant: TenantId, webhook_id: WebhookId) -> Webhook:
        """Raises NotFoundError."""
        ...

    async def page(self, tenant: TenantId, *, size: int, cursor: str | None) -> Page[Webhook]:
        """Newest first. Raises InvalidCursorError."""
        ...

    async def update(self, tenant: TenantId, webhook_id: WebhookId, decide: WebhookDecision) -> Webhook:
        """Commit what `decide` makes of it. What is under way to one that is switched off is dead.

        Raises NotFoundError, or as `decide`.
        """
        ...

    async def delete(self, tenant: TenantId, webhook_id: WebhookId) -> None:
        """Forget the endpoint and its deliveries. Raises NotFoundError."""
        ...


class DeliveryStore(Protocol):
    """The outbox: each delivery is sent at least once, by one process at a time."""

    async def add(self, delivery: Delivery, body: bytes) -> None:
        """A delivery that belongs to no event. Raises NotFoundError when its endpoint is gone."""
        ...

    async def page(
        self,
        tenant: TenantId,
        webhook_id: WebhookId,
        *,
        states: frozenset[DeliveryState] | None,
        size: int,
        cursor: str | None,
    ) -> Page[Delivery]:
        """Newest first. Raises NotFoundError (no such endpoint), InvalidCursorError."""
        ...

    async def update(
        self, tenant: TenantId, webhook_id: WebhookId, delivery_id: DeliveryId, decide: DeliveryDecision
    ) -> Delivery:
        """Commit what `decide` makes of it; a claim of it ends.

        Raises NotFoundError, IllegalTransitionError (its endpoint is off), or as `decide`.
        """
        ...

    async def due(
        self, busy: Collection[WebhookId], *, full: Collection[TenantId] = (), limit: int
    ) -> list[DueEndpoint]:
        """Enabled endpoints that have something to be sent; the longest due first.

        Neither those in `busy` nor those of the tenants in `full`.
        """
        ...

    async def claim(
        self, webhook_id: WebhookId, at: datetime, *, lease: timedelta, limit: int
    ) -> list[Claimed]:
        """What is due at `at`, now ours for `lease`; at most `limit`.

        An event is not handed out before an earlier one of its task was tried at this endpoint.
        """
        ...

    async def settle(self, settled: Settled) -> bool:
        """Keep the outcome, and judge the endpoint by it. False when the claim was no longer ours."""
        ...

    async def release(self, claims: Collection[str], at: datetime) -> None:
        """Give back what was not tried: due again at `at`."""
        ...

    async def release_all(self, at: datetime) -> int:
        """Give back what a process that is no more had claimed: for a store that nobody shares."""
        ...

    async def forget(self, *, ended_before: datetime, limit: int) -> int:
        """Delete what ended before that; returns how many."""
        ...
