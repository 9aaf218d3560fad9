"""What is held back: limits and their places, circuits around what is not ours."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.core import CounterMetricFamily

from app.domain.breaker import CircuitState, Verdict
from app.telemetry.metrics.readings import Reading

_NOT_CLOSED: Final = (CircuitState.OPEN, CircuitState.HALF_OPEN)


class LimitMetrics:
    """What the limiter decides."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.allowed = Reading(
            registry,
            "agentgateway_limiter_allowed",
            "Calls that the limits let in, by their class.",
            ["class"],
            family=CounterMetricFamily,
        )
        self._refused = Counter(
            "agentgateway_limiter_refused",
            "Calls that a limit refused: whose limit it is, and of what (a class of calls, or open-streams"
            " and open-calls).",
            ["scope", "class"],
            registry=registry,
        )
        self.failures = Counter(
            "agentgateway_limiter_failures",
            "Failures of the store that replicas count their calls in.",
            registry=registry,
        )
        self.leases = Reading(
            registry, "agentgateway_leases", "Places that open calls and streams hold, by limit.", ["policy"]
        )

    def refused(self, policy: str) -> None:
        """A call was refused by the limit of this name (`tenant-submit`, `principal-open-streams`)."""
        scope, _, call_class = policy.partition("-")
        self._refused.labels(scope, call_class).inc()


class BreakerMetrics:
    """Makes `BreakerObserver`. `label` is a provider's name or a kind of sandbox."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._circuits = Gauge(
            "agentgateway_breaker_circuits",
            "Circuits that are not closed, by state.",
            ["kind", "label", "state"],
            registry=registry,
        )
        self._transitions = Counter(
            "agentgateway_breaker_transitions",
            "Changes of circuits, by what they changed to.",
            ["kind", "label", "to"],
            registry=registry,
        )
        self._refused = Counter(
            "agentgateway_breaker_refused",
            "Calls not made because the circuit was not closed.",
            ["kind", "label"],
            registry=registry,
        )
        self._calls = Counter(
            "agentgateway_breaker_calls",
            "Calls made through circuits, by what they say of the other end: success, failure, neutral.",
            ["kind", "label", "verdict"],
            registry=registry,
        )

    def changed(self, kind: str, label: str, before: CircuitState, after: CircuitState) -> None:
        """A circuit changed."""
        self._transitions.labels(kind, label, after.value).inc()
        if before in _NOT_CLOSED:
            self._circuits.labels(kind, label, before.value).dec()
        if after in _NOT_CLOSED:
            self._circuits.labels(kind, label, after.value).inc()

    def refused(self, kind: str, label: str) -> None:
        """A call was not made."""
        self._refused.labels(kind, label).inc()

    def settled(self, kind: str, label: str, verdict: Verdict) -> None:
        """A call was made."""
        self._calls.labels(kind, label, verdict.value).inc()
