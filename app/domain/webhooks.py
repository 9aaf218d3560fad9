"""Webhooks: endpoints that are told of tasks, what each is told, and when a delivery is tried again.

What is sent follows Standard Webhooks (https://www.standardwebhooks.com, 1.0): headers, signature and body.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final, Literal

from app.domain.errors import IllegalTransitionError, InvalidRequestError
from app.domain.identity import TenantId
from app.domain.ids import DeliveryId, TaskId, WebhookId, make_id
from app.domain.secrets import Secret

EVENT_KINDS: Final = (
    "task.submitted",
    "task.queued",
    "task.started",
    "input.requested",
    "task.paused",
    "task.resumed",
    "task.succeeded",
    "task.failed",
    "task.cancelled",
    "task.expired",
)
"""The events of a task that an endpoint can be told of: those that change where it stands."""
KINDS: Final = frozenset(EVENT_KINDS)
PING: Final = "webhook.ping"
"""The type of a test message; it belongs to no task."""
SECRET_MARK: Final = "whsec_"  # noqa: S105 - what every such secret begins with
SECRET_BYTES: Final = 32
MIN_KEY_BYTES: Final = 24
MAX_KEY_BYTES: Final = 64
MAX_ERROR_CHARS: Final = 200

DisabledReason = Literal["", "owner", "gone", "failing"]
"""Why an endpoint is off: its owner said so, it answered 410, or nothing succeeded for too long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """An endpoint. No `events` means all kinds. `failing_since` is the first failure after the last success.

    `rotated_at` is when its secret was last replaced, `previous_until` how long messages are signed with the
    one before as well.
    """

    id: WebhookId
    tenant: TenantId
    url: str
    events: tuple[str, ...] = ()
    description: str = ""
    enabled: bool = True
    disabled_reason: DisabledReason = ""
    created_at: datetime
    updated_at: datetime
    rotated_at: datetime | None = None
    previous_until: datetime | None = None
    failing_since: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookRecord:
    """An endpoint as it is kept: with its secret sealed and, during a rotation, the one before."""

    webhook: Webhook
    sealed: bytes
    previous_sealed: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedWebhook:
    """An endpoint and its secret, which is told this once."""

    webhook: Webhook
    secret: Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """Of an enabled endpoint, what a commit has to know."""

    webhook_id: WebhookId
    events: frozenset[str]


class DeliveryState(StrEnum):
    """How far a delivery is."""

    PENDING = "pending"
    """Not tried yet."""
    FAILED = "failed"
    """Tried without success, and to be tried again."""
    SUCCEEDED = "succeeded"
    DEAD = "dead"
    """Given up; it can be delivered again on request."""

    @property
    def ended(self) -> bool:
        return self in (DeliveryState.SUCCEEDED, DeliveryState.DEAD)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One message for one endpoint. `task_id` and `seq` name the event; a test message has neither.

    `attempts` counts since it was made or asked for again. `last_status` is the HTTP status of the last
    attempt, None when there was no answer; `last_error` says in words why it failed.
    """

    id: DeliveryId
    webhook_id: WebhookId
    tenant: TenantId
    task_id: TaskId | None = None
    seq: int = 0
    type: str
    state: DeliveryState = DeliveryState.PENDING
    attempts: int = 0
    created_at: datetime
    next_attempt_at: datetime | None = None
    last_attempt_at: datetime | None = None
    ended_at: datetime | None = None
    last_status: int | None = None
    last_error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrySchedule:
    """How long after each failed attempt the next one follows; after the last of them a delivery is dead.

    `jitter` is the share by which a wait is lengthened at random, so that deliveries that failed together
    do not come back together.
    """

    delays: tuple[timedelta, ...]
    jitter: float = 0.2

    def delay(self, attempts: int, dice: float) -> timedelta | None:
        """After the `attempts`-th failure (from 1), with `dice` from 0 to 1; None when it was the last."""
        if attempts > len(self.delays):
            return None
        return self.delays[attempts - 1] * (1 + self.jitter * dice)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptResult:
    """What came of one attempt. `postponed`: it was not made, as the host is left alone for `retry_after`.

    `gone` is 410: the receiver wants no more. A receiver's `retry_after` lengthens the wait.
    """

    outcome: Literal["succeeded", "failed", "gone", "postponed"]
    status: int | None = None
    error: str = ""
    retry_after: timedelta | None = None


def attempted(
    delivery: Delivery, result: AttemptResult, at: datetime, schedule: RetrySchedule, dice: float
) -> Delivery:
    """The delivery after an attempt; `dice` from 0 to 1."""
    if result.outcome == "postponed":
        return replace(delivery, next_attempt_at=at + (result.retry_after or timedelta(seconds=1)))
    attempts = delivery.attempts + 1
    tried = replace(
        delivery,
        attempts=attempts,
        last_attempt_at=at,
        last_status=result.status,
        last_error=result.error[:MAX_ERROR_CHARS],
    )
    if result.outcome == "succeeded":
        return replace(tried, state=DeliveryState.SUCCEEDED, next_attempt_at=None, ended_at=at)
    delay = None if result.outcome == "gone" else schedule.delay(attempts, dice)
    if delay is None:
        return replace(tried, state=DeliveryState.DEAD, next_attempt_at=None, ended_at=at)
    if result.retry_after is not None:
        delay = max(delay, min(result.retry_after, schedule.delays[-1]))
    return replace(tried, state=DeliveryState.FAILED, next_attempt_at=at + delay)


def redelivered(delivery: Delivery, at: datetime) -> Delivery:
    """Due again, with all its attempts. Raises IllegalTransitionError while it is still on its way."""
    if not delivery.state.ended:
        raise IllegalTransitionError(f"delivery {delivery.id} is still on its way", delivery_id=delivery.id)
    return replace(delivery, state=DeliveryState.PENDING, attempts=0, next_attempt_at=at, ended_at=None)


def judged(webhook: Webhook, result: AttemptResult, at: datetime, disable_after: timedelta) -> Webhook:
    """The endpoint after an attempt: switched off by 410, or when nothing succeeded for `disable_after`."""
    if result.outcome == "postponed" or not webhook.enabled:
        return webhook
    if result.outcome == "succeeded":
        return webhook if webhook.failing_since is None else replace(webhook, failing_since=None)
    if result.outcome == "gone":
        return replace(webhook, enabled=False, disabled_reason="gone", updated_at=at)
    since = webhook.failing_since or at
    if at - since >= disable_after:
        return replace(webhook, enabled=False, disabled_reason="failing", failing_since=since, updated_at=at)
    return webhook if webhook.failing_since is not None else replace(webhook, failing_since=since)


def rotated(record: WebhookRecord, sealed: bytes, at: datetime, overlap: timedelta) -> WebhookRecord:
    """With a new secret; messages carry a signature of the one before as well for `overlap`."""
    webhook = replace(
        record.webhook, rotated_at=at, updated_at=at, previous_until=at + overlap if overlap else None
    )
    return WebhookRecord(webhook=webhook, sealed=sealed, previous_sealed=record.sealed if overlap else None)


def delivery_id(webhook_id: WebhookId, task_id: TaskId, seq: int, at: datetime) -> DeliveryId:
    """The id of what an endpoint is told of an event: the same however often the commit is tried."""
    entropy = hashlib.sha256(f"{webhook_id} {task_id} {seq}".encode()).digest()
    return DeliveryId(make_id("delivery", at, entropy))


def make_webhook_secret(entropy: bytes) -> Secret:
    """A secret from `SECRET_BYTES` random bytes; this function itself throws no dice."""
    return Secret(SECRET_MARK + base64.b64encode(entropy[:SECRET_BYTES]).decode())


def signing_key(secret: Secret) -> bytes:
    """The bytes to sign with. Raises InvalidRequestError (field `secret`) for what is no such secret."""
    text = secret.reveal()
    try:
        key = base64.b64decode(text.removeprefix(SECRET_MARK), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not (text.startswith(SECRET_MARK) and MIN_KEY_BYTES <= len(key) <= MAX_KEY_BYTES):
        raise InvalidRequestError.of(
            "secret", f"must be {SECRET_MARK} and {MIN_KEY_BYTES} to {MAX_KEY_BYTES} bytes in base64"
        )
    return key


def signed_headers(message_id: str, body: bytes, at: datetime, keys: Sequence[bytes]) -> dict[str, str]:
    """The headers by which a receiver knows that a message is ours and fresh; one signature for each key."""
    timestamp = str(int(at.timestamp()))
    content = f"{message_id}.{timestamp}.".encode() + body
    signatures = (base64.b64encode(hmac.digest(key, content, "sha256")).decode() for key in keys)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }


def body_of(kind: str, at: datetime, data: dict[str, object]) -> dict[str, object]:
    """The body of a message, as JSON values."""
    return {"type": kind, "timestamp": time_text(at), "data": data}


def time_text(at: datetime) -> str:
    """RFC 3339, in UTC."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
