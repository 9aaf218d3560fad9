"""Webhooks: attempts to deliver, and what became of the deliveries."""

from prometheus_client import CollectorRegistry, Counter, Histogram

from app.telemetry.metrics.calls import BUCKETS


class WebhookMetrics:
    """Makes `WebhookObserver`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._attempts = Counter(
            "agentgateway_webhook_attempts",
            "Attempts to deliver a webhook: succeeded, failed, gone (410), postponed by the circuit.",
            ["outcome"],
            registry=registry,
        )
        self._seconds = Histogram(
            "agentgateway_webhook_attempt_duration_seconds",
            "Time of one attempt to deliver a webhook.",
            buckets=BUCKETS,
            registry=registry,
        )
        self._deliveries = Counter(
            "agentgateway_webhook_deliveries",
            "Deliveries of webhooks that ended: succeeded or dead.",
            ["state"],
            registry=registry,
        )

    def attempted(self, outcome: str, duration_s: float) -> None:
        """One attempt ended."""
        self._attempts.labels(outcome).inc()
        self._seconds.observe(duration_s)

    def ended(self, state: str) -> None:
        """One delivery was made, or given up."""
        self._deliveries.labels(state).inc()
