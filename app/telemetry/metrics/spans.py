"""What became of the spans that were to go to a collector."""

from prometheus_client import CollectorRegistry, Counter


class SpanMetrics:
    """Spans that were taken, and those that nobody got."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._exported = Counter(
            "agentgateway_spans_exported", "Spans that the collector took.", registry=registry
        )
        self._lost = Counter(
            "agentgateway_spans_lost",
            "Spans that no collector got: queue_full, export_failed or shutdown.",
            ["reason"],
            registry=registry,
        )

    def exported(self, spans: int) -> None:
        """The collector took so many spans."""
        self._exported.inc(spans)

    def lost(self, spans: int, reason: str) -> None:
        """So many spans are gone, for the reason."""
        self._lost.labels(reason).inc(spans)
