"""Use cases of webhooks: endpoints of the caller's tenant, and what they were told."""

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from pydantic_core import to_json

from app.domain.call import CallContext
from app.domain.errors import IllegalTransitionError
from app.domain.ids import DeliveryId, WebhookId
from app.domain.paging import Page, page_size
from app.domain.secrets import MASK, Secret
from app.domain.webhooks import (
    EVENT_KINDS,
    KINDS,
    PING,
    SECRET_BYTES,
    Delivery,
    DeliveryState,
    IssuedWebhook,
    Webhook,
    WebhookRecord,
    body_of,
    make_webhook_secret,
    redelivered,
    rotated,
    signing_key,
)
from app.service.configuration import Sealer, sealed
from app.service.idempotency import KeyedCalls, PlainAnswers, idempotent
from app.service.inputs import Checks
from app.storage.base_webhooks import DeliveryStore, WebhookStore

MAX_DESCRIPTION_CHARS: Final = 500
MAX_OVERLAP: Final = timedelta(days=30)
CheckUrl = Callable[[str], Awaitable[None]]
"""Raises InvalidRequestError (field `url`) where a webhook must not lead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookInput:
    """What a caller says of an endpoint. No `events` means all kinds; `enabled` None leaves it as it is.

    A `secret` that is absent, empty or `********` keeps the present one, or gets a new endpoint one of ours.
    """

    url: str
    events: tuple[str, ...] = ()
    description: str = ""
    enabled: bool | None = None
    secret: Secret | None = None

    @property
    def own_secret(self) -> Secret | None:
        """The secret that the caller gave, if any."""
        given = self.secret
        return None if given is None or given.reveal() in ("", MASK) else given


@dataclass(frozen=True, slots=True, kw_only=True)
class _Issued:
    webhook: Webhook
    secret: str


class IssuedWebhookAnswers:
    """An endpoint with its secret, for those who ask twice; `secret`, so it is sealed at rest."""

    secret = True

    def __init__(self) -> None:
        self._plain = PlainAnswers(_Issued)

    def encode(self, answer: IssuedWebhook) -> bytes:
        """See `Answers`."""
        return self._plain.encode(_Issued(webhook=answer.webhook, secret=answer.secret.reveal()))

    def decode(self, kept: bytes) -> IssuedWebhook:
        """See `Answers`."""
        issued = self._plain.decode(kept)
        return IssuedWebhook(webhook=issued.webhook, secret=Secret(issued.secret))


ISSUED: Final = IssuedWebhookAnswers()


class WebhookUseCases:
    """Endpoints, their secrets, and their deliveries."""

    def __init__(
        self,
        webhooks: WebhookStore,
        deliveries: DeliveryStore,
        *,
        check_url: CheckUrl,
        sealer: Sealer | None,
        max_webhooks: int,
        wake: Callable[[], None],
        now: Callable[[], datetime],
        mint: Callable[[str], str],
        keyed: KeyedCalls,
        entropy: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        """`max_webhooks` of a tenant; `wake` is called when something is to be delivered at once."""
        self.keyed = keyed
        self._webhooks = webhooks
        self._deliveries = deliveries
        self._check_url = check_url
        self._sealer = sealer
        self._max_webhooks = max_webhooks
        self._wake = wake
        self._now = now
        self._mint = mint
        self._entropy = entropy

    @idempotent("WebhookService/CreateWebhook", ISSUED)
    async def create(self, call: CallContext, new: WebhookInput) -> IssuedWebhook:
        """A new endpoint and its secret, told this once.

        Raises InvalidRequestError, QuotaExceededError, NotConfiguredError (no key to seal secrets with).
        """
        await self._check(new)
        secret = new.own_secret or make_webhook_secret(self._entropy(SECRET_BYTES))
        now, enabled = self._now(), new.enabled is not False
        webhook = Webhook(
            id=WebhookId(self._mint("webhook")),
            tenant=call.tenant,
            url=new.url,
            events=_ordered(new.events),
            description=new.description,
            enabled=enabled,
            disabled_reason="" if enabled else "owner",
            created_at=now,
            updated_at=now,
        )
        record = WebhookRecord(webhook=webhook, sealed=sealed(self._sealer, secret))
        await self._webhooks.add(record, max_webhooks=self._max_webhooks)
        return IssuedWebhook(webhook=webhook, secret=secret)

    async def get(self, call: CallContext, webhook_id: WebhookId) -> Webhook:
        """Raises NotFoundError."""
        return await self._webhooks.get(call.tenant, webhook_id)

    async def page(
        self, call: CallContext, *, size: int | None = None, cursor: str | None = None
    ) -> Page[Webhook]:
        """Newest first. Raises InvalidRequestError, InvalidCursorError."""
        return await self._webhooks.page(call.tenant, size=page_size(size), cursor=cursor or None)

    async def update(self, call: CallContext, webhook_id: WebhookId, changed: WebhookInput) -> Webhook:
        """Replace what is said of it. Switching it on forgets its failures; off ends what is under way.

        Raises InvalidRequestError, NotFoundError.
        """
        await self._webhooks.get(call.tenant, webhook_id)  # before a name is looked up for it
        await self._check(changed)
        own = changed.own_secret
        box = None if own is None else sealed(self._sealer, own)
        decide = partial(_replaced, changed=changed, box=box, at=self._now())
        return await self._webhooks.update(call.tenant, webhook_id, decide)

    async def delete(self, call: CallContext, webhook_id: WebhookId) -> None:
        """Forget it and its deliveries. Raises NotFoundError."""
        await self._webhooks.delete(call.tenant, webhook_id)

    @idempotent("WebhookService/RotateWebhookSecret", ISSUED)
    async def rotate_secret(
        self, call: CallContext, webhook_id: WebhookId, *, overlap_s: int | None = None
    ) -> IssuedWebhook:
        """Give it a new secret; for `overlap_s` seconds (None: not at all) messages are signed with both.

        Raises InvalidRequestError, NotFoundError.
        """
        checks = Checks()
        checks.number("overlap_s", overlap_s, 0, MAX_OVERLAP.total_seconds())
        checks.done()
        secret = make_webhook_secret(self._entropy(SECRET_BYTES))
        decide = partial(
            rotated,
            sealed=sealed(self._sealer, secret),
            at=self._now(),
            overlap=timedelta(seconds=overlap_s or 0),
        )
        return IssuedWebhook(
            webhook=await self._webhooks.update(call.tenant, webhook_id, decide), secret=secret
        )

    async def deliveries(
        self,
        call: CallContext,
        webhook_id: WebhookId,
        *,
        states: frozenset[DeliveryState] | None = None,
        size: int | None = None,
        cursor: str | None = None,
    ) -> Page[Delivery]:
        """Newest first. Raises NotFoundError, InvalidRequestError, InvalidCursorError."""
        return await self._deliveries.page(
            call.tenant, webhook_id, states=states, size=page_size(size), cursor=cursor or None
        )

    async def redeliver(self, call: CallContext, webhook_id: WebhookId, delivery_id: DeliveryId) -> Delivery:
        """Send it again, under the same id, with all its attempts.

        Raises NotFoundError, IllegalTransitionError (it is under way, or the endpoint is off).
        """
        decide = partial(redelivered, at=self._now())
        delivery = await self._deliveries.update(call.tenant, webhook_id, delivery_id, decide)
        self._wake()
        return delivery

    async def test(self, call: CallContext, webhook_id: WebhookId) -> Delivery:
        """Send a `webhook.ping`; what came of it stands in the deliveries.

        Raises NotFoundError, IllegalTransitionError (the endpoint is off).
        """
        webhook = await self._webhooks.get(call.tenant, webhook_id)
        if not webhook.enabled:
            raise IllegalTransitionError(f"webhook {webhook_id} is off", webhook_id=webhook_id)
        now = self._now()
        delivery = Delivery(
            id=DeliveryId(self._mint("delivery")),
            webhook_id=webhook_id,
            tenant=call.tenant,
            type=PING,
            created_at=now,
            next_attempt_at=now,
        )
        await self._deliveries.add(delivery, to_json(body_of(PING, now, {"webhook_id": webhook_id})))
        self._wake()
        return delivery

    async def _check(self, given: WebhookInput) -> None:
        """Raises InvalidRequestError naming every field that is wrong."""
        checks = Checks()
        checks.text("url", given.url, 2_048, required=True)
        checks.text("description", given.description, MAX_DESCRIPTION_CHARS)
        if len(given.events) > len(EVENT_KINDS):
            checks.no("events", f"must name at most {len(EVENT_KINDS)} kinds", "TOO_MANY")
        for index, kind in enumerate(given.events[: len(EVENT_KINDS)]):
            if kind not in KINDS:
                checks.no(f"events.{index}", f"must be one of {', '.join(EVENT_KINDS)}", "UNKNOWN_EVENT")
        checks.done()
        if (own := given.own_secret) is not None:
            signing_key(own)
        await self._check_url(given.url)


def _ordered(events: tuple[str, ...]) -> tuple[str, ...]:
    """Each kind once, in the order of the life of a task."""
    return tuple(kind for kind in EVENT_KINDS if kind in events)


def _replaced(
    record: WebhookRecord, *, changed: WebhookInput, box: bytes | None, at: datetime
) -> WebhookRecord:
    before = record.webhook
    webhook = replace(
        before,
        url=changed.url,
        events=_ordered(changed.events),
        description=changed.description,
        updated_at=at,
    )
    if changed.enabled is True:
        webhook = replace(webhook, enabled=True, disabled_reason="", failing_since=None)
    elif changed.enabled is False and before.enabled:
        webhook = replace(webhook, enabled=False, disabled_reason="owner")
    if box is None:
        return replace(record, webhook=webhook)
    return WebhookRecord(webhook=replace(webhook, rotated_at=at, previous_until=None), sealed=box)
