"""Calls: rate, errors and duration for each method and protocol. Streams: how many, how far behind."""

from collections.abc import Callable
from typing import Final, Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from app.telemetry.metrics.readings import Reading
from app.telemetry.tracing import Span

BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
"""Seconds: the bucket set that the HTTP and RPC conventions give."""

Protocol = Literal["grpc", "rest"]


class CallSeries:
    """The series of one method, looked up once. Cheap: 2 us a call."""

    __slots__ = ("_counters", "_method", "_observe", "_protocol", "_requests")

    def __init__(self, requests: Counter, seconds: Histogram, protocol: Protocol, method: str) -> None:
        self._requests = requests
        self._protocol = protocol
        self._method = method
        self._observe = seconds.labels(protocol, method).observe
        self._counters: dict[tuple[str, str], Callable[[], None]] = {}

    def over(self, code: str, outcome: str, duration_s: float, trace_id: str | None = None) -> None:
        """One call is over, streams at their last byte.

        `code` is the gRPC code's name or the HTTP status, `outcome` is `ok` or the error's reason.
        `trace_id` of a sampled call becomes the exemplar of its bucket.
        """
        count = self._counters.get((code, outcome))
        if count is None:
            count = self._requests.labels(self._protocol, self._method, code, outcome).inc
            self._counters[code, outcome] = count
        count()
        if trace_id is None:
            self._observe(duration_s)
        else:
            self._observe(duration_s, {"trace_id": trace_id})


class CallMetrics:
    """What both front ends count. `method` is the full gRPC method or the route template."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "agentgateway_requests",
            "Calls answered. The code is gRPC's or HTTP's; the outcome is ok or the error's reason.",
            ["protocol", "method", "code", "outcome"],
            registry=registry,
        )
        self._seconds = Histogram(
            "agentgateway_request_duration_seconds",
            "Time from the first byte of a call to the last of its answer.",
            ["protocol", "method"],
            buckets=BUCKETS,
            registry=registry,
        )
        self.stream_readers = Gauge(
            "agentgateway_stream_readers", "Streams that are open.", ["protocol"], registry=registry
        )
        self.stream_lag = Reading(
            registry,
            "agentgateway_stream_lag_events",
            "Committed events that open streams have not taken yet, of all readers together.",
        )
        self.stream_lag_most = Reading(
            registry,
            "agentgateway_stream_lag_events_max",
            "The same, of the reader that is most behind.",
        )
        self.in_flight: dict[Protocol, int] = {"grpc": 0, "rest": 0}
        """Calls and streams being served; whoever serves them counts up and down."""
        Reading(
            registry,
            "agentgateway_requests_in_flight",
            "Calls and streams being served.",
            ["protocol"],
        ).read_from(lambda: {(protocol,): count for protocol, count in self.in_flight.items()})

    def series(self, protocol: Protocol, method: str) -> CallSeries:
        """Of one method; keep it. `method` must be of a closed set."""
        return CallSeries(self._requests, self._seconds, protocol, method)


def sampled_trace_of(span: Span) -> str | None:
    """The trace id an exemplar may name: of a span that is recorded and will be exported."""
    if not span.is_recording:
        return None
    context = span.context
    return f"{context.trace_id:032x}" if context.trace_flags.sampled else None
