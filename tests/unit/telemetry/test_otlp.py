"""Our encoder writes what the library's writes."""

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode

from app.telemetry.otlp import encoded

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
INTS = st.integers(-(2**63), 2**63 - 1)
VALUES = st.one_of(
    TEXTS,
    st.booleans(),
    INTS,
    st.floats(allow_nan=False),
    st.lists(TEXTS, max_size=3),
    st.lists(INTS, max_size=3),
)
ATTRIBUTES = st.dictionaries(TEXTS, VALUES, max_size=6)
CONTEXTS = st.builds(
    SpanContext, st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1), is_remote=st.booleans()
)
TIMES = st.integers(1, 2**63)
SPANS = st.builds(
    ReadableSpan,
    name=TEXTS,
    context=CONTEXTS,
    parent=st.none() | CONTEXTS,
    resource=st.just(Resource({"service.name": "a", "n": 1}, "https://example.org/r")),
    attributes=ATTRIBUTES,
    events=st.lists(st.builds(Event, TEXTS, ATTRIBUTES, TIMES), max_size=2),
    links=st.lists(st.builds(Link, CONTEXTS, ATTRIBUTES), max_size=2),
    kind=st.sampled_from(SpanKind),
    status=st.just(Status()) | st.builds(Status, st.just(StatusCode.ERROR), st.none() | TEXTS),
    start_time=TIMES,
    end_time=TIMES,
    instrumentation_scope=st.just(InstrumentationScope("s", "1", "https://example.org/s")),
)


@given(st.lists(SPANS, max_size=4))
def test_ours_is_the_librarys(spans: list[ReadableSpan]) -> None:
    assert ExportTraceServiceRequest.FromString(encoded(spans)) == encode_spans(spans)
