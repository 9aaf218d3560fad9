"""Starts and ends spans, and knows which one is current."""

import asyncio
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Final, final

from opentelemetry import context as otel_context
from opentelemetry import trace as otel
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import INVALID_SPAN_CONTEXT, Link, NonRecordingSpan, SpanContext

from app.domain.errors import DomainError
from app.telemetry import names, traceparent
from app.telemetry.recording import RecordedSpan, Recorder, Sampling
from app.telemetry.redaction import redact
from app.telemetry.spans import AttributeValue, SpanPlan


@final
class Span:
    """A started span. Whoever started it ends it, once; the rest is free when it is not recorded."""

    __slots__ = ("_record", "context")

    def __init__(self, context: SpanContext, record: RecordedSpan | None = None) -> None:
        self.context = context
        self._record = record

    @property
    def traceparent(self) -> str | None:
        """What to hand to children elsewhere; the caller's own one when tracing is off."""
        return traceparent.render(self.context)

    @property
    def is_recording(self) -> bool:
        return self._record is not None

    @property
    def sampled_trace_id(self) -> str | None:
        """The trace in which this span can be found, for exemplars; None when it is not recorded."""
        return None if self._record is None else f"{self.context.trace_id:032x}"

    def rename(self, name: str) -> None:
        if self._record is not None:
            self._record.rename(name)

    def set(self, attributes: Mapping[str, AttributeValue]) -> None:
        """Set what became known after the start. Never content, never secrets."""
        if self._record is not None:
            self._record.put(attributes)

    def happened(self, name: str, attributes: Mapping[str, AttributeValue] | None = None) -> None:
        """Note a moment within the span, as an event."""
        if self._record is not None:
            self._record.happened(name, attributes)

    def fail(self, error: BaseException | str) -> None:
        """Mark the span as failed: by a domain error its reason, by another its type, or by a given type.

        The message is recorded for a `DomainError` only, which is safe to show; any other may contain what
        must not leave the process.
        """
        if self._record is None:
            return
        message = redact(error.message) if isinstance(error, DomainError) else None
        self._record.put({names.ERROR_TYPE: error_type_of(error), names.OUTCOME: "error"})
        self._record.failed(message)

    def end(self, outcome: BaseException | None = None) -> None:
        """End it; `outcome` is the exception that ended the work, if any. A cancellation is no failure."""
        record = self._record
        if record is None:
            return
        if outcome is not None:
            if isinstance(outcome, (asyncio.CancelledError, GeneratorExit)):
                record.put({names.OUTCOME: "cancelled"})
            else:
                self.fail(outcome)
        record.finish()


NO_SPAN: Final = Span(INVALID_SPAN_CONTEXT)
"""Names no trace; a child of it is a root."""

Parent = Span | str | None
"""A span of this process, a traceparent, or None for a new trace."""


class Tracing:
    """Starts spans under the parents it is told.

    A span that lives across a `yield` or a task boundary is started with `start`, kept, and ended by its
    owner: it is never "current", since whoever resumes the generator is in another context. `span` is for
    plain blocks.

    Without a recorder every span is a stand-in that keeps its parent's trace, so that ids still reach logs
    and the calls going out.
    """

    def __init__(self, recorder: Recorder | None = None) -> None:
        self._recorder = recorder

    @property
    def is_on(self) -> bool:
        return self._recorder is not None

    def start(
        self,
        plan: SpanPlan,
        *,
        parent: Parent,
        links: Sequence[str] = (),
        attributes: Mapping[str, AttributeValue] | None = None,
        started_at: datetime | None = None,
    ) -> Span:
        """Start a span under `parent`. The caller must `end` it.

        Args:
            parent: a malformed traceparent counts as None.
            links: traceparents of the work this continues (before a restart, a pause, the queue).
            attributes: more of what is known now; joins the plan's.
            started_at: when it began, if that was before now.
        """
        above = _context_of(parent)
        recorder = self._recorder
        if recorder is None:
            return NO_SPAN if above is None else Span(above)
        context = recorder.context_below(above)
        if not context.trace_flags:
            return Span(context)
        known = dict(plan.attributes)
        if attributes:
            known.update(attributes)
        record = RecordedSpan(
            plan.name,
            plan.kind,
            context,
            above,
            known,
            [Link(linked) for link in links if (linked := traceparent.parse(link)) is not None],
            recorder,
            None if started_at is None else int(started_at.timestamp() * 1e9),
        )
        return Span(context, recorder.started(record))

    @contextmanager
    def span(self, plan: SpanPlan, *, parent: Parent = None, links: Sequence[str] = ()) -> Generator[Span]:
        """A span around a block, and the current one within it. Never around a `yield` of a generator.

        Without `parent` it is a child of the span that is current. An exception is recorded as the outcome
        and goes on; a cancellation is recorded as `cancelled`.
        """
        span = self.start(plan, parent=current_span() if parent is None else parent, links=links)
        token = otel_context.attach(otel.set_span_in_context(_Current(span)))
        outcome: BaseException | None = None
        try:
            yield span
        except BaseException as error:
            outcome = error
            raise
        finally:
            otel_context.detach(token)
            span.end(outcome)

    async def aclose(self) -> None:
        """Export what is left and stop the processors. Waits as long as they do."""
        if self._recorder is not None:
            await asyncio.to_thread(self._recorder.shutdown)


def open_tracing(
    processors: Sequence[SpanProcessor],
    *,
    service_name: str,
    service_version: str,
    instance_id: str,
    sampling: Sampling | None = None,
) -> Tracing:
    """Tracing that hands ended spans to `processors`; with none of them it is off and costs next to nothing.

    Close it with `aclose`.
    """
    if not processors:
        return Tracing()
    resource = Resource.create(
        {
            "service.name": service_name,
            "service.version": service_version,
            "service.instance.id": instance_id,
        }
    )
    scope = InstrumentationScope("agentgateway", service_version, names.SCHEMA_URL)
    return Tracing(Recorder(processors, resource, scope, sampling or Sampling()))


def current_span() -> Span:
    """The innermost `Tracing.span` block around the caller, else `NO_SPAN`."""
    found = otel.get_current_span()
    if isinstance(found, _Current):
        return found.span
    context = found.get_span_context()
    return Span(context) if context.is_valid else NO_SPAN


def error_type_of(error: BaseException | str) -> str:
    """The value of `error.type`: a domain error's reason, else the class, else the given string."""
    if isinstance(error, str):
        return error
    return error.reason if isinstance(error, DomainError) else type(error).__qualname__


class _Current(NonRecordingSpan):
    """How a span of ours shows to those who use OpenTelemetry's API: as the parent of theirs."""

    def __init__(self, span: Span) -> None:
        super().__init__(span.context)
        self.span = span


def _context_of(parent: Parent) -> SpanContext | None:
    if parent is None:
        return None
    if isinstance(parent, str):
        return traceparent.parse(parent)
    return parent.context if parent.context.is_valid else None
