"""The board of circuit breakers, as the settings want it."""

from app.breakers.board import BreakerObserver, CircuitBoard, Target
from app.domain.breaker import BreakerPolicy, CircuitState, Verdict
from app.settings import Settings
from app.telemetry.metrics.limits import BreakerMetrics


def build_board(settings: Settings, observer: BreakerObserver | None = None) -> CircuitBoard | None:
    """None where breakers are off."""
    wanted = settings.breakers
    if not wanted.enabled:
        return None
    policy = BreakerPolicy(
        window_s=wanted.window.total_seconds(),
        min_calls=wanted.min_calls,
        failure_ratio=wanted.failure_ratio,
        open_s=wanted.open_time.total_seconds(),
        max_open_s=wanted.max_open_time.total_seconds(),
        probes=wanted.probes,
    )
    return CircuitBoard(policy, observer=observer, capacity=wanted.max_targets)


class Counted:
    """Counts what circuits decide. Makes `BreakerObserver`."""

    def __init__(self, metrics: BreakerMetrics) -> None:
        self._metrics = metrics

    def changed(self, target: Target, before: CircuitState, after: CircuitState) -> None:
        """See `BreakerObserver`."""
        self._metrics.changed(target.kind, target.label, before, after)

    def refused(self, target: Target) -> None:
        """See `BreakerObserver`."""
        self._metrics.refused(target.kind, target.label)

    def settled(self, target: Target, verdict: Verdict) -> None:
        """See `BreakerObserver`."""
        self._metrics.settled(target.kind, target.label, verdict)
