"""The board of circuit breakers, as the settings want it."""

from app.breakers.board import BreakerObserver, CircuitBoard
from app.domain.breaker import BreakerPolicy
from app.settings import Settings


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
