"""The queue in front of a collector: bounded, cleaned, honest about what is lost, and quick to end."""

import logging
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import SpanContext, TraceFlags

from app.telemetry import names, spans
from app.telemetry.export import ExportQueue
from app.telemetry.known_secrets import MASK, knowing
from app.telemetry.recording import Sampling
from app.telemetry.tracing import current_span, open_tracing

CALLER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
PLAN = spans.task("task_1", tenant="acme", epoch=1)


@dataclass
class Counts:
    """Makes `ExportCounts`."""

    seen: Counter[str] = field(default_factory=Counter[str])

    def exported(self, spans: int) -> None:
        self.seen["exported"] += spans

    def lost(self, spans: int, reason: str) -> None:
        self.seen[reason] += spans


class Collector(SpanExporter):
    """Takes spans when it is let, as a call to a collector would."""

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []
        self.works = True
        self.called = threading.Event()
        self.go = threading.Event()
        self.go.set()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.called.set()
        self.go.wait(10)
        encode_spans(spans).SerializeToString()
        if not self.works:
            logging.getLogger("opentelemetry.exporter.test").error("Failed with key sk-planted-12345678")
            return SpanExportResult.FAILURE
        self.spans += spans
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        self.go.set()


def queue_of(
    collector: Collector, counts: Counts, *, max_queue: int = 64, flush_s: float = 5.0
) -> ExportQueue:
    return ExportQueue(
        collector,
        counts,
        to="http://collector",
        max_queue=max_queue,
        max_batch=8,
        interval_s=60,
        flush_timeout_s=flush_s,
    )


def spans_to(queue: ExportQueue, number: int, *, sampling: Sampling | None = None) -> None:
    tracing = open_tracing(
        [queue], service_name="test", service_version="0", instance_id="1", sampling=sampling
    )
    for _ in range(number):
        tracing.start(PLAN, parent=None).end()


def test_a_flush_and_the_end_leave_nothing_behind() -> None:
    collector, counts = Collector(), Counts()
    queue = queue_of(collector, counts)

    spans_to(queue, 20)
    assert queue.force_flush(5_000)
    assert len(collector.spans) == 20
    spans_to(queue, 3)
    queue.shutdown()
    queue.shutdown()

    assert counts.seen == {"exported": 23}
    spans_to(queue, 1)
    assert counts.seen["shutdown"] == 1


def test_spans_that_find_no_room_are_counted_and_hold_nobody_up() -> None:
    collector, counts = Collector(), Counts()
    collector.go.clear()
    queue = queue_of(collector, counts, max_queue=16)

    spans_to(queue, 8)
    assert collector.called.wait(5)  # eight are under way
    spans_to(queue, 30)
    assert counts.seen == {"queue_full": 14}
    collector.go.set()
    queue.shutdown()
    assert counts.seen == {"queue_full": 14, "exported": 24}


def test_a_collector_that_hangs_is_given_up_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    collector, counts = Collector(), Counts()
    collector.go.clear()
    queue = queue_of(collector, counts, flush_s=0.05)

    spans_to(queue, 20)
    queue.shutdown()

    assert counts.seen["shutdown"] == 12
    assert "12 spans were not exported" in caplog.text


def test_an_outage_is_two_lines_and_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    collector, counts = Collector(), Counts()
    queue = queue_of(collector, counts)
    collector.works = False
    for _ in range(3):
        spans_to(queue, 1)
        queue.force_flush()
    collector.works = True
    spans_to(queue, 1)
    queue.shutdown()

    assert counts.seen == {"export_failed": 3, "exported": 1}
    assert [record.getMessage() for record in caplog.records] == [
        f"spans cannot be exported to http://collector, so they are lost: Failed with key {MASK}",
        "spans are exported to http://collector again; 3 were lost",
    ]


def test_nothing_secret_and_nothing_unwritable_leaves() -> None:
    collector, counts = Collector(), Counts()
    queue = queue_of(collector, counts)
    tracing = open_tracing([queue], service_name="test", service_version="0", instance_id="1")
    with knowing("planted-secret"):
        span = tracing.start(spans.execute_tool("run planted-secret \ud800"), parent=CALLER)
        span.set({names.GEN_AI_RESPONSE_ID: "sk-0123456789abcdef", names.STEP: 3})
        span.set({names.GEN_AI_RESPONSE_FINISH_REASONS: ["stop", "planted-secret"]})
        span.happened(names.STEP_INPUT, {names.ACTION: "planted-secret"})
        span.fail("X")
        span.end()
        queue.shutdown()

    [sent] = collector.spans
    assert sent.name == f"execute_tool run {MASK} ?"
    assert sent.attributes is not None
    assert sent.attributes[names.GEN_AI_RESPONSE_ID] == MASK
    assert sent.attributes[names.GEN_AI_RESPONSE_FINISH_REASONS] == ("stop", MASK)
    assert sent.attributes[names.STEP] == 3
    assert sent.events[0].attributes == {names.ACTION: MASK}
    assert (sent.context, sent.parent) != (None, None)


class Unreadable(ReadableSpan):
    """A span that cannot be looked at."""

    @property
    def name(self) -> str:
        raise ValueError("no name")


def test_a_span_that_cannot_be_cleaned_does_not_end_the_export() -> None:
    collector, counts = Collector(), Counts()
    queue = queue_of(collector, counts)

    context = SpanContext(1, 1, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))
    queue.on_end(Unreadable("x", context=context))
    assert queue.force_flush(5_000)
    spans_to(queue, 1)
    queue.shutdown()

    assert counts.seen == {"export_failed": 1, "exported": 1}


def test_of_new_traces_a_part_is_recorded_and_callers_decide_about_theirs() -> None:
    collector, counts = Collector(), Counts()
    queue = queue_of(collector, counts, max_queue=5_000)
    spans_to(queue, 2_000, sampling=Sampling(0.25))
    spans_to(queue, 100, sampling=Sampling(0.0))
    none = open_tracing(
        [queue], service_name="t", service_version="0", instance_id="1", sampling=Sampling(0.0)
    )
    with none.span(PLAN, parent=CALLER), none.span(PLAN) as inner:
        assert current_span().sampled_trace_id == inner.sampled_trace_id == CALLER[3:35]
    own = open_tracing(
        [queue],
        service_name="t",
        service_version="0",
        instance_id="1",
        sampling=Sampling(0.0, parent_based=False),
    )
    with own.span(PLAN, parent=CALLER):
        assert current_span().sampled_trace_id is None
    queue.shutdown()

    assert 400 < counts.seen["exported"] - 2 < 600
