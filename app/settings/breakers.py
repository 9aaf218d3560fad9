"""When something that is not ours is left alone for a while."""

from datetime import timedelta
from typing import Self

from pydantic import Field, model_validator

from app.settings.sections import Seconds, Section


class BreakerSettings(Section):
    """Circuit breakers around model providers, remote sandboxes and webhook receivers; one for each
    endpoint, in each process. What callers do wrong does not count."""

    enabled: bool = True
    """Whether there are any."""
    window: Seconds = timedelta(seconds=30)
    """How far back calls are counted."""
    min_calls: int = Field(default=10, ge=1)
    """With fewer calls in the window nothing opens."""
    failure_ratio: float = Field(default=0.5, gt=0, le=1)
    """The share of failed calls in the window that opens a circuit."""
    open_time: Seconds = timedelta(seconds=5)
    """How long an endpoint is left alone; doubled each time it fails again when it is tried."""
    max_open_time: Seconds = timedelta(minutes=2)
    """The longest that an endpoint is left alone."""
    probes: int = Field(default=2, ge=1, le=100)
    """Calls that are let through to try an endpoint again; all must succeed."""
    max_targets: int = Field(default=512, ge=16, le=100_000)
    """Circuits that are kept; callers may name endpoints, so there is a bound."""

    @model_validator(mode="after")
    def _waits_grow(self) -> Self:
        if self.max_open_time < self.open_time:
            raise ValueError("breakers.max_open_time is shorter than breakers.open_time")
        return self
