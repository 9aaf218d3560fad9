"""The dispatcher of webhooks, as the settings want it."""

from datetime import timedelta

from app.bootstrap.parts import Parts
from app.domain.webhooks import RetrySchedule
from app.webhooks.dispatcher import Dispatcher, DispatchRules
from app.webhooks.sender import Sender

LEASE_MARGIN = timedelta(seconds=30)
"""Beyond the timeout of an attempt: for the waits of a busy loop and of the store."""


def build_dispatcher(parts: Parts) -> Dispatcher | None:
    """None where this process delivers nothing."""
    wanted = parts.settings.webhooks
    if not wanted.deliver:
        return None
    return Dispatcher(
        parts.storage.stores.deliveries,
        Sender(parts.webhook_targets, timeout=wanted.timeout, board=parts.board),
        unseal=parts.storage.sealer.unseal if parts.storage.sealer else None,
        due=parts.storage.deliveries_due,
        tracing=parts.tracing,
        observer=parts.metrics.webhooks,
        now=parts.now,
        rules=DispatchRules(
            schedule=RetrySchedule(delays=wanted.retries, jitter=wanted.jitter),
            disable_after=wanted.disable_after,
            lease=wanted.timeout + LEASE_MARGIN,
            poll_interval=wanted.poll_interval,
            keep=wanted.keep,
            max_concurrent=wanted.max_concurrent,
            max_concurrent_per_endpoint=wanted.max_concurrent_per_endpoint,
            owned=parts.storage.owned,
        ),
    )
