"""The Prometheus metrics of one gateway, in a registry of their own."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

CONTENT_TYPE = CONTENT_TYPE_LATEST
_REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
"""Seconds: the bucket set that the HTTP and RPC conventions give."""
_TASK_BUCKETS = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 102.4, 204.8, 409.6, 1638.4)

StreamProtocol = Literal["grpc", "sse"]


class Metrics:
    """Counts, and renders the counts. Label values are closed sets: never an id, never a caller's text.

    `method` is the full gRPC method or the route template; `outcome` is `ok` or the error's reason.
    """

    def __init__(self) -> None:
        self._registry = CollectorRegistry(auto_describe=True)
        self.requests = Counter(
            "agentgateway_requests",
            "Calls answered.",
            ["protocol", "method", "outcome"],
            registry=self._registry,
        )
        self.request_seconds = Histogram(
            "agentgateway_request_duration_seconds",
            "Time from the first byte of a call to the last of its answer.",
            ["protocol", "method"],
            buckets=_REQUEST_BUCKETS,
            registry=self._registry,
        )
        self.tasks = Counter(
            "agentgateway_tasks", "Tasks that ended, by terminal state.", ["state"], registry=self._registry
        )
        self.task_seconds = Histogram(
            "agentgateway_task_duration_seconds",
            "Time from submit to the terminal event.",
            ["state"],
            buckets=_TASK_BUCKETS,
            registry=self._registry,
        )
        self.active_tasks = Gauge(
            "agentgateway_active_tasks", "Tasks this process is running.", registry=self._registry
        )
        self.queue_depth = Gauge("agentgateway_queue_depth", "Tasks that wait.", registry=self._registry)
        self.events_appended = Counter(
            "agentgateway_events_appended", "Events committed to the journal.", registry=self._registry
        )
        self.limited = Counter(
            "agentgateway_limited", "Calls refused by a limit.", ["policy"], registry=self._registry
        )
        self.limiter_failures = Counter(
            "agentgateway_limiter_failures",
            "Failures of the store that replicas count their calls in.",
            registry=self._registry,
        )
        self.stream_readers = Gauge(
            "agentgateway_stream_readers",
            "Streams that are open.",
            ["protocol"],
            registry=self._registry,
        )

        self.connections_refused = Counter(
            "agentgateway_connections_refused",
            "HTTP connections ended early: no room, a failed handshake, no HTTP, too slow.",
            ["reason"],
            registry=self._registry,
        )
        self.certificate_expiry = Gauge(
            "agentgateway_certificate_expiry_timestamp_seconds",
            "When the listeners' certificate expires; 0 without TLS.",
            registry=self._registry,
        )
        self.certificate_reloads = Counter(
            "agentgateway_certificate_reloads",
            "Changed certificate files read again: ok, or failed and the old ones kept.",
            ["outcome"],
            registry=self._registry,
        )

        self.spans_exported = Counter(
            "agentgateway_spans_exported", "Spans that the collector took.", registry=self._registry
        )
        self.spans_lost = Counter(
            "agentgateway_spans_lost",
            "Spans that no collector got: queue_full, export_failed or shutdown.",
            ["reason"],
            registry=self._registry,
        )

    def exported(self, spans: int) -> None:
        """The collector took so many spans."""
        self.spans_exported.inc(spans)

    def lost(self, spans: int, reason: str) -> None:
        """So many spans are gone, for the reason."""
        self.spans_lost.labels(reason).inc(spans)

    def answered(self, protocol: str, method: str, outcome: str, duration_s: float) -> None:
        """One call is over, streams at their last byte."""
        self.requests.labels(protocol, method, outcome).inc()
        self.request_seconds.labels(protocol, method).observe(duration_s)

    def task_ended(self, state: str, duration_s: float) -> None:
        """One task reached a terminal state."""
        self.tasks.labels(state).inc()
        self.task_seconds.labels(state).observe(duration_s)

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

    def render(self) -> bytes:
        """All of it in the text format, of type `CONTENT_TYPE`."""
        return generate_latest(self._registry)
