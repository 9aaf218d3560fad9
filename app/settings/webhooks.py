"""Webhooks: how they are delivered, and where they may lead."""

from datetime import timedelta

from pydantic import Field

from app.settings.sections import Seconds, Section


class WebhookSettings(Section):
    """Webhooks on the state of tasks; docs/webhooks.md explains them."""

    deliver: bool = True
    """Whether this process sends deliveries. They are written all the same: other replicas may send them."""
    allowed_hosts: tuple[str, ...] = ()
    """Hosts (`host` or `host:port`) that may be told although their address is private, also over http."""
    max_per_tenant: int = Field(default=16, ge=1, le=1_000)
    """Endpoints of a tenant."""
    timeout: Seconds = timedelta(seconds=15)
    """The longest that one attempt takes."""
    retries: tuple[Seconds, ...] = (
        timedelta(seconds=5),
        timedelta(seconds=30),
        timedelta(minutes=2),
        timedelta(minutes=10),
        timedelta(hours=1),
        timedelta(hours=6),
        timedelta(hours=24),
    )
    """How long after each failed attempt the next one follows; after the last of them a delivery is dead."""
    jitter: float = Field(default=0.2, ge=0, le=1)
    """By which share at most a wait is lengthened at random."""
    disable_after: Seconds = timedelta(days=5)
    """An endpoint where nothing succeeded for so long is switched off."""
    max_concurrent: int = Field(default=64, ge=1, le=1_000)
    """Attempts that this process makes at a time; those of one tenant are a quarter of it, at least 4."""
    max_concurrent_per_endpoint: int = Field(default=4, ge=1, le=100)
    """Of these, attempts at one endpoint."""
    poll_interval: Seconds = timedelta(seconds=5)
    """How often a process looks for deliveries that others left; its own are sent at once."""
    keep: Seconds = timedelta(days=7)
    """How long deliveries that ended are kept, to be looked at and delivered again."""
