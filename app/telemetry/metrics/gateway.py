"""All metrics of one gateway, and how they are read."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, disable_created_metrics, start_http_server
from prometheus_client.exposition import choose_encoder, generate_latest

from app.telemetry.metrics.calls import CallMetrics
from app.telemetry.metrics.limits import BreakerMetrics, LimitMetrics
from app.telemetry.metrics.listeners import ListenerMetrics
from app.telemetry.metrics.peers import Figures, PeerNames, families_of
from app.telemetry.metrics.process import ProcessMetrics
from app.telemetry.metrics.spans import SpanMetrics
from app.telemetry.metrics.storage import StorageMetrics
from app.telemetry.metrics.tasks import TaskMetrics
from app.telemetry.metrics.webhooks import WebhookMetrics
from app.telemetry.metrics.work import WorkMetrics


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """A metric without its values; `kind` is a Prometheus type."""

    name: str
    kind: str
    labels: tuple[str, ...]
    meaning: str


class Metrics:
    """Counts, and renders the counts. Each gateway of a process counts for itself."""

    def __init__(self, *, peer_names: bool = False) -> None:
        """`peer_names` adds the names of the services this one stands in for."""
        # One more series beside every counter and histogram, which nothing reads.
        disable_created_metrics()
        self._registry = registry = CollectorRegistry(auto_describe=True)
        self.calls = CallMetrics(registry)
        self.tasks = TaskMetrics(registry)
        self.work = WorkMetrics(registry)
        self.limits = LimitMetrics(registry)
        self.breakers = BreakerMetrics(registry)
        self.storage = StorageMetrics(registry)
        self.webhooks = WebhookMetrics(registry)
        self.listeners = ListenerMetrics(registry)
        self.spans = SpanMetrics(registry)
        self.process = ProcessMetrics(registry)
        if peer_names:
            families = families_of(self.calls, self.tasks, self.work, self.limits, self.breakers)
            PeerNames(registry, families, Figures(self.tasks, self.process))

    @contextmanager
    def listening(self, host: str, port: int) -> Generator[int]:
        """Serve the metrics on a port of their own (0: a free one) inside the block.

        Raises OSError when the port is taken.
        """
        server, thread = start_http_server(port, host, self._registry)
        try:
            yield server.server_port
        finally:
            server.shutdown()
            server.server_close()
            thread.join(timeout=5)

    def described(self) -> list[Description]:
        """Every metric as documents need it, by name."""
        found = [
            Description(
                name=metric.name + ("_total" if metric.type == "counter" else ""),
                kind=metric.type,
                labels=tuple(getattr(collector, "_labelnames", ()) or getattr(collector, "labels_shown", ())),
                meaning=metric.documentation,
            )
            for collector in list(self._registry._collector_to_names)  # pyright: ignore[reportPrivateUsage]
            for metric in getattr(collector, "describe", collector.collect)()
        ]
        return sorted(found, key=lambda one: one.name)

    def render(self) -> bytes:
        """All of it in the classic text format, without exemplars."""
        return generate_latest(self._registry)

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """All of it as the `Accept` header wants it, and its content type.

        OpenMetrics, which carries exemplars, for who asks for it; else the classic text format.
        """
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type
