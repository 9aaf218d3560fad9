"""Webhooks: what may be shown of them, and the answers that tell their secret once."""

from datetime import datetime
from typing import ClassVar

from app.domain.secrets import MASK, Secret
from app.domain.webhooks import Delivery, DeliveryState, IssuedWebhook, Webhook
from app.service.webhooks import WebhookInput
from rest_api.schemas.base import BodyIn, Out, PageQuery


class CreateWebhookIn(BodyIn):
    """A new endpoint."""

    url: str
    """https, and not an address of a private network."""
    events: list[str] | None = None
    """Absent or empty: all of them."""
    description: str = ""
    """At most 500 characters."""
    enabled: bool | None = None
    """Absent: on."""
    secret: str | None = None
    """`whsec_` and 24 to 64 bytes in base64; absent: one is made."""

    def to_domain(self) -> WebhookInput:
        """What the use case takes."""
        return WebhookInput(
            url=self.url,
            events=tuple(self.events or ()),
            description=self.description,
            enabled=self.enabled,
            secret=Secret(self.secret) if self.secret else None,
        )


class UpdateWebhookIn(CreateWebhookIn):
    """What is said of an endpoint, as a whole."""

    enabled: bool | None = None
    """Absent: as it is."""
    secret: str | None = None
    """Absent or `********`: as it is. Another one replaces it at once."""


class RotateWebhookSecretIn(BodyIn):
    """How to replace an endpoint's secret."""

    overlap_s: int | None = None
    """Seconds for which messages are signed with the old secret as well. At most 2592000."""


class WebhookOut(Out):
    """An endpoint that is told of tasks, by the rules of Standard Webhooks."""

    id: str
    url: str
    events: list[str]
    """The events it is told of; none: all of them."""
    description: str
    enabled: bool
    disabled_reason: str
    """Why it is off: `owner`, `gone` (it answered 410) or `failing` (nothing succeeded for too long)."""
    secret: str
    """Always `********`."""
    create_time: datetime
    update_time: datetime
    rotate_time: datetime | None = None
    """When its secret was last replaced."""
    previous_expire_time: datetime | None = None
    """Until when messages are signed with the secret before that as well."""
    failing_since_time: datetime | None = None
    """The first failure since the last success."""

    @classmethod
    def from_domain(cls, webhook: Webhook) -> "WebhookOut":
        """The endpoint, for callers."""
        return cls(
            id=webhook.id,
            url=webhook.url,
            events=list(webhook.events),
            description=webhook.description,
            enabled=webhook.enabled,
            disabled_reason=webhook.disabled_reason,
            secret=MASK,
            create_time=webhook.created_at,
            update_time=webhook.updated_at,
            rotate_time=webhook.rotated_at,
            previous_expire_time=webhook.previous_until,
            failing_since_time=webhook.failing_since,
        )


class CreateWebhookOut(Out):
    """The endpoint and its secret, which is told this once."""

    webhook: WebhookOut
    secret: str
    """What messages are signed with."""

    @classmethod
    def from_domain(cls, issued: IssuedWebhook) -> "CreateWebhookOut":
        """For the caller that made it, and for nobody else."""
        return cls(webhook=WebhookOut.from_domain(issued.webhook), secret=issued.secret.reveal())


class RotateWebhookSecretOut(Out):
    """The endpoint and its new secret, which is told this once."""

    webhook: WebhookOut
    secret: str
    """What messages are signed with from now on."""

    @classmethod
    def from_domain(cls, issued: IssuedWebhook) -> "RotateWebhookSecretOut":
        """For the caller that rotated it, and for nobody else."""
        return cls(webhook=WebhookOut.from_domain(issued.webhook), secret=issued.secret.reveal())


class ListWebhooksOut(Out):
    """One page, newest first."""

    webhooks: list[WebhookOut]
    next_cursor: str | None = None
    """Absent on the last page."""


class DeliveriesQuery(PageQuery):
    """Which deliveries to list."""

    repeated: ClassVar[frozenset[str]] = frozenset({"state"})

    state: list[DeliveryState] | None = None
    """May be repeated: any of these."""

    @property
    def states(self) -> frozenset[DeliveryState] | None:
        """None for any."""
        return frozenset(self.state) if self.state else None


class WebhookDeliveryOut(Out):
    """One message for one endpoint."""

    id: str
    """The header `webhook-id` of the message; the same at every attempt."""
    webhook_id: str
    task_id: str | None = None
    """Absent for a test message."""
    seq: int
    """The event's number in its task."""
    type: str
    """The event, or `webhook.ping`."""
    state: DeliveryState
    attempts: int
    create_time: datetime
    next_attempt_time: datetime | None = None
    last_attempt_time: datetime | None = None
    end_time: datetime | None = None
    last_status: int | None = None
    """The HTTP status of the last attempt; absent when there was no answer."""
    last_error: str
    """Why the last attempt failed."""

    @classmethod
    def from_domain(cls, delivery: Delivery) -> "WebhookDeliveryOut":
        """The delivery, for callers."""
        return cls(
            id=delivery.id,
            webhook_id=delivery.webhook_id,
            task_id=delivery.task_id,
            seq=delivery.seq,
            type=delivery.type,
            state=delivery.state,
            attempts=delivery.attempts,
            create_time=delivery.created_at,
            next_attempt_time=delivery.next_attempt_at,
            last_attempt_time=delivery.last_attempt_at,
            end_time=delivery.ended_at,
            last_status=delivery.last_status,
            last_error=delivery.last_error,
        )


class ListWebhookDeliveriesOut(Out):
    """One page, newest first."""

    deliveries: list[WebhookDeliveryOut]
    next_cursor: str | None = None
    """Absent on the last page."""
