"""How much one caller, one tenant and everybody together may ask for."""

import re
from datetime import timedelta
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator

from app.domain.rates import Rate
from app.settings.sections import Seconds, Section

_RATE: Final = re.compile(r"([1-9][0-9]{0,8})/([1-9][0-9]{0,5})?(s|min|h|d)")
_UNITS: Final = {"s": 1, "min": 60, "h": 3_600, "d": 86_400}


def rate_of(text: str) -> Rate:
    """`600/min`, `5/s`, `1000/24h` as a rate. Raises ValueError."""
    found = _RATE.fullmatch(text)
    if found is None:
        raise ValueError("a rate is a number of calls and a time, such as 600/min, 5/s or 1000/24h")
    return Rate(int(found[1]), int(found[2] or 1) * _UNITS[found[3]])


def _is_rate(text: str) -> str:
    rate_of(text)
    return text


RateText = Annotated[str, AfterValidator(_is_rate)]
Places = Annotated[int, Field(ge=1)]


class ScopeSettings(Section):
    """What one principal, one tenant or everybody together may do; what is absent is not limited."""

    read: RateText | None = None
    """Calls that change nothing, such as `600/min`."""
    write: RateText | None = None
    """Calls that change something, but for those that make tasks."""
    submit: RateText | None = None
    """Calls that make a task."""
    stream: RateText | None = None
    """Streams that begin anew."""
    resume: RateText | None = None
    """Streams that go on from a cursor: a storm of reconnects must not use up what opens new ones."""
    open_streams: Places | None = None
    """Streams that are open at the same time."""
    open_calls: Places | None = None
    """Calls that are under way at the same time, streams aside."""


class TenantSettings(Section):
    """Where the limits of one tenant differ from those of all."""

    principal: ScopeSettings = ScopeSettings()
    tenant: ScopeSettings = ScopeSettings()
    unfinished_tasks: Places | None = None


class RateLimitSettings(Section):
    """How often each class of methods may be called, and how much may be open; docs/limits.md explains
    them. A rate is `CALLS/TIME` (`600/min`, `5/s`, `1000/24h`): so many at once, then evenly."""

    principal: ScopeSettings = ScopeSettings()
    """Each caller: rates of `read`, `write`, `submit`, `stream`, `resume`; `open_streams`, `open_calls`."""
    tenant: ScopeSettings = ScopeSettings()
    """All callers of a tenant together."""
    everybody: ScopeSettings = ScopeSettings()
    """All callers of all tenants together."""
    unfinished_tasks: Places | None = None
    """Tasks of a tenant that are queued or running, on all replicas together."""
    tenants: dict[str, TenantSettings] = Field(default_factory=dict[str, TenantSettings])
    """Tenants whose limits differ: `{"acme": {"tenant": {"read": "9000/min"}, "unfinished_tasks": 500}}`."""
    shared: Literal["auto", "memory", "postgres", "redis"] = "auto"
    """Where rates are counted: in this process, or where all replicas see them (all classes but `read`).
    `auto` is `postgres` with storage.backend=postgres, else `memory`."""
    redis_url: SecretStr | None = None
    """redis://user:password@host:6379/0, for `shared=redis` (extra `redis`)."""
    replicas: int = Field(default=1, ge=1)
    """How many replicas share the limits: each lets through its part of the rates of `read`."""
    store_timeout: Seconds = timedelta(seconds=2)
    """The longest that a call waits for the shared store, which then counts as away for a second."""
    on_outage: Literal["open", "closed"] = "open"
    """While the shared store is away each process counts alone (`open`), or refuses (`closed`)."""
    metadata: Literal["asked", "always"] = "asked"
    """gRPC: whether answers of unary calls tell the limits to callers that sent `x-ratelimit-want: 1`, or
    to all (25 to 50 us a call). Streams and refusals always tell them."""

    @model_validator(mode="after")
    def _redis_needs_a_url(self) -> Self:
        if self.shared == "redis" and self.redis_url is None:
            raise ValueError("rate_limits.redis_url is required with rate_limits.shared=redis")
        return self
