"""Parents, links, outcomes and sampling of spans, seen by the SDK's in-memory exporter."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from itertools import pairwise

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext, SpanKind, StatusCode

from app.domain.errors import InternalError
from app.telemetry import names, spans
from app.telemetry.tracing import NO_SPAN, Tracing, current_span, open_tracing

CALLER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
UNSAMPLED = CALLER[:-2] + "00"
TASK = spans.task("task_1", tenant="acme", epoch=1)


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def tracing(exporter: InMemorySpanExporter) -> Iterator[Tracing]:
    tracing = open_tracing(
        [SimpleSpanProcessor(exporter)], service_name="gateway", service_version="0", instance_id="a"
    )
    yield tracing
    asyncio.run(tracing.aclose())


def by_name(exporter: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    return {span.name: span for span in exporter.get_finished_spans()}


def context_of(span: ReadableSpan) -> SpanContext:
    assert span.context is not None
    return span.context


def parent_of(span: ReadableSpan) -> int | None:
    return None if span.parent is None else span.parent.span_id


def test_one_task_is_one_trace_from_the_call_down_to_the_sandbox(
    tracing: Tracing, exporter: InMemorySpanExporter
) -> None:
    server = tracing.start(spans.rpc_server("/agentgateway.v1.TaskService/SubmitTask"), parent=CALLER)
    with (
        tracing.span(TASK, parent=server.traceparent),
        tracing.span(spans.invoke_agent("assistant", provider="interpreter", model="interpreter-v1")),
    ):
        with tracing.span(spans.chat("interpreter-v1", provider="interpreter")):
            pass
        with (
            tracing.span(spans.execute_tool("files.write", call_id="call_1")),
            tracing.span(spans.sandbox_step("file.write", make="local")),
        ):
            pass
    server.end()

    seen = by_name(exporter)
    assert {context_of(span).trace_id for span in seen.values()} == {int(CALLER[3:35], 16)}
    line = ["agentgateway.v1.TaskService/SubmitTask", "task", "invoke_agent assistant"]
    line += ["execute_tool files.write", "sandbox.step"]
    assert parent_of(seen[line[0]]) == int(CALLER[36:52], 16)
    for above, below in pairwise(line):
        assert parent_of(seen[below]) == context_of(seen[above]).span_id
    assert parent_of(seen["chat interpreter-v1"]) == context_of(seen["invoke_agent assistant"]).span_id
    assert seen[line[0]].kind is SpanKind.SERVER
    assert seen["task"].attributes == {
        names.TASK_ID: "task_1",
        names.TENANT: "acme",
        names.TASK_EPOCH: 1,
    }


def test_the_scope_names_the_version_of_the_conventions(
    tracing: Tracing, exporter: InMemorySpanExporter
) -> None:
    tracing.start(TASK, parent=None).end()

    scope = by_name(exporter)["task"].instrumentation_scope
    assert scope is not None
    assert scope.schema_url == names.SCHEMA_URL


def test_a_started_span_is_a_child_of_what_it_was_told_and_not_of_what_is_current(
    tracing: Tracing, exporter: InMemorySpanExporter
) -> None:
    with tracing.span(spans.http_server("GET", "/v1/tasks")):
        tracing.start(TASK, parent=None).end()

    assert by_name(exporter)["task"].parent is None


def test_a_resumed_task_links_to_the_run_before(tracing: Tracing, exporter: InMemorySpanExporter) -> None:
    tracing.start(TASK, parent=None, links=[CALLER, "garbage"]).end()

    (link,) = by_name(exporter)["task"].links
    assert f"{link.context.trace_id:032x}" == CALLER[3:35]


def test_a_domain_error_is_recorded_by_its_reason_and_message(
    tracing: Tracing, exporter: InMemorySpanExporter
) -> None:
    with pytest.raises(InternalError), tracing.span(TASK):
        raise InternalError

    span = by_name(exporter)["task"]
    assert span.status.status_code is StatusCode.ERROR
    assert span.status.description == InternalError().message
    assert span.attributes is not None
    assert span.attributes[names.ERROR_TYPE] == "INTERNAL"


def test_the_message_of_any_other_error_stays_in_the_process(
    tracing: Tracing, exporter: InMemorySpanExporter
) -> None:
    with pytest.raises(ValueError, match="sk-very"), tracing.span(TASK):
        raise ValueError("refused key sk-very-secret-key")

    span = by_name(exporter)["task"]
    assert span.attributes is not None
    assert span.attributes[names.ERROR_TYPE] == "ValueError"
    assert "sk-very" not in span.to_json()


async def test_a_cancellation_is_an_outcome_and_no_failure(
    tracing: Tracing, exporter: InMemorySpanExporter
) -> None:
    started = asyncio.Event()

    async def work() -> None:
        with tracing.span(TASK):
            started.set()
            await asyncio.Event().wait()

    async with asyncio.TaskGroup() as group:
        worker = group.create_task(work())
        await started.wait()
        worker.cancel()

    span = by_name(exporter)["task"]
    assert span.attributes is not None
    assert span.attributes[names.OUTCOME] == "cancelled"
    assert span.status.status_code is StatusCode.UNSET


async def test_a_stream_that_another_task_closes_ends_its_span_without_a_detach_error(
    tracing: Tracing, exporter: InMemorySpanExporter, caplog: pytest.LogCaptureFixture
) -> None:
    async def stream() -> AsyncIterator[int]:
        span = tracing.start(spans.rpc_server("a.B/Watch"), parent=CALLER)
        outcome: BaseException | None = None
        try:
            for number in range(10):
                with tracing.span(spans.chat("m", provider="p"), parent=span):
                    pass
                yield number
        except BaseException as error:
            outcome = error
            raise
        finally:
            span.end(outcome)

    numbers = stream()
    async with asyncio.TaskGroup() as group:
        group.create_task(anext(numbers))  # type: ignore[arg-type]
    async with asyncio.TaskGroup() as group:
        group.create_task(numbers.aclose())  # type: ignore[attr-defined]

    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
    seen = by_name(exporter)
    assert parent_of(seen["chat m"]) == context_of(seen["a.B/Watch"]).span_id
    assert seen["a.B/Watch"].attributes is not None
    assert seen["a.B/Watch"].attributes[names.OUTCOME] == "cancelled"


def test_a_callers_decision_not_to_sample_is_kept(tracing: Tracing, exporter: InMemorySpanExporter) -> None:
    span = tracing.start(TASK, parent=UNSAMPLED)
    span.end()

    assert exporter.get_finished_spans() == ()
    assert span.traceparent is not None
    assert span.traceparent.startswith(UNSAMPLED[:35])
    assert span.traceparent.endswith("-00")


def test_without_processors_the_callers_trace_still_goes_on() -> None:
    tracing = open_tracing([], service_name="gateway", service_version="0", instance_id="a")

    with tracing.span(TASK, parent=CALLER) as span:
        inner = current_span().traceparent

    assert not tracing.is_on
    assert not span.is_recording
    assert span.traceparent == inner == CALLER


def test_without_processors_a_new_trace_is_no_trace() -> None:
    with Tracing().span(TASK) as span:
        assert span.traceparent is None

    assert Tracing().start(TASK, parent="garbage") is NO_SPAN
