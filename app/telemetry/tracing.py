"""Starts and ends spans. The one room that touches the OpenTelemetry SDK."""

import asyncio
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final, final

from opentelemetry import context as otel_context
from opentelemetry import trace as otel
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, Status, StatusCode, Tracer

from app.domain.errors import DomainError
from app.telemetry import names, traceparent
from app.telemetry.spans import AttributeValue, SpanPlan

_ROOT: Final = otel_context.Context()
_UNKNOWN: Final = NonRecordingSpan(otel.INVALID_SPAN_CONTEXT)


@final
class Span:
    """A started span. Whoever started it ends it, once; the rest is free when it is not recorded."""

    __slots__ = ("_span",)

    def __init__(self, span: otel.Span) -> None:
        self._span = span

    @property
    def context(self) -> SpanContext:
        return self._span.get_span_context()

    @property
    def traceparent(self) -> str | None:
        """What to hand to children elsewhere; the caller's own one when tracing is off."""
        return traceparent.render(self.context)

    @property
    def is_recording(self) -> bool:
        return self._span.is_recording()

    def rename(self, name: str) -> None:
        self._span.update_name(name)

    def set(self, attributes: Mapping[str, AttributeValue]) -> None:
        """Set what became known after the start. Never content, never secrets."""
        if self._span.is_recording():
            self._span.set_attributes(attributes)

    def fail(self, error: BaseException | str) -> None:
        """Mark the span as failed: by a domain error its reason, by another its type, or by a given type.

        The message is recorded for a `DomainError` only, which is safe to show; any other may contain what
        must not leave the process.
        """
        if not self._span.is_recording():
            return
        message = error.message if isinstance(error, DomainError) else None
        self._span.set_attributes({names.ERROR_TYPE: error_type_of(error), names.OUTCOME: "error"})
        self._span.set_status(Status(StatusCode.ERROR, message))

    def end(self, outcome: BaseException | None = None) -> None:
        """End it; `outcome` is the exception that ended the work, if any. A cancellation is no failure."""
        if self._span.is_recording():
            if isinstance(outcome, (asyncio.CancelledError, GeneratorExit)):
                self._span.set_attribute(names.OUTCOME, "cancelled")
            elif outcome is not None:
                self.fail(outcome)
        self._span.end()


NO_SPAN: Final = Span(_UNKNOWN)
"""Names no trace; a child of it is a root."""

Parent = Span | str | None
"""A span of this process, a traceparent, or None for a new trace."""


class Tracing:
    """Starts spans under the parents it is told.

    A span that lives across a `yield` or a task boundary is started with `start`, kept, and ended by its
    owner: it is never "current", since whoever resumes the generator is in another context. `span` is for
    plain blocks.

    Without a tracer every span is a stand-in that keeps its parent's trace, so that ids still reach the logs
    and the calls going out.
    """

    def __init__(self, tracer: Tracer | None = None, provider: TracerProvider | None = None) -> None:
        self._tracer = tracer
        self._provider = provider

    @property
    def is_on(self) -> bool:
        return self._tracer is not None

    def start(
        self,
        plan: SpanPlan,
        *,
        parent: Parent,
        links: Sequence[str] = (),
        attributes: Mapping[str, AttributeValue] | None = None,
    ) -> Span:
        """Start a span under `parent`. The caller must `end` it.

        Args:
            parent: a malformed traceparent counts as None.
            links: traceparents of the work this continues (before a restart, a pause, the queue).
            attributes: more of what is known now; joins the plan's.
        """
        if self._tracer is None:
            above = _context_of(parent)
            return NO_SPAN if above is None else Span(NonRecordingSpan(above))
        return Span(
            self._tracer.start_span(
                plan.name,
                context=_scope_of(parent),
                kind=plan.kind,
                attributes={**plan.attributes, **attributes} if attributes else plan.attributes,
                links=[Link(context) for link in links if (context := traceparent.parse(link)) is not None],
                record_exception=False,
                set_status_on_exception=False,
            )
        )

    @contextmanager
    def span(self, plan: SpanPlan, *, parent: Parent = None, links: Sequence[str] = ()) -> Generator[Span]:
        """A span around a block, and the current one within it. Never around a `yield` of a generator.

        Without `parent` it is a child of the span that is current. An exception is recorded as the outcome
        and goes on; a cancellation is recorded as `cancelled`.
        """
        span = self.start(plan, parent=current_span() if parent is None else parent, links=links)
        token = otel_context.attach(otel.set_span_in_context(span._span))  # pyright: ignore[reportPrivateUsage]
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
        """Export what is left and stop the processors. Waits as long as they do: bound it from outside."""
        if self._provider is not None:
            await asyncio.to_thread(self._provider.shutdown)


def open_tracing(
    processors: Sequence[SpanProcessor],
    *,
    service_name: str,
    service_version: str,
    instance_id: str,
    sample_ratio: float = 1.0,
) -> Tracing:
    """Tracing that hands ended spans to `processors`; with none of them it is off and costs next to nothing.

    A caller's sampling decision is kept; `sample_ratio` (0 to 1) decides for traces that start here. Close it
    with `aclose`.
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
    provider = TracerProvider(
        sampler=ParentBased(TraceIdRatioBased(sample_ratio)), resource=resource, shutdown_on_exit=False
    )
    for processor in processors:
        provider.add_span_processor(processor)
    return Tracing(provider.get_tracer("agentgateway", service_version, names.SCHEMA_URL), provider)


def current_span() -> Span:
    """The innermost `Tracing.span` block around the caller, else `NO_SPAN`."""
    span = otel.get_current_span()
    return Span(span) if span.get_span_context().is_valid else NO_SPAN


def error_type_of(error: BaseException | str) -> str:
    """The value of `error.type`: a domain error's reason, else the class, else the given string."""
    if isinstance(error, str):
        return error
    return error.reason if isinstance(error, DomainError) else type(error).__qualname__


def _context_of(parent: Parent) -> SpanContext | None:
    if parent is None:
        return None
    if isinstance(parent, str):
        return traceparent.parse(parent)
    return parent.context if parent.context.is_valid else None


def _scope_of(parent: Parent) -> otel_context.Context:
    if isinstance(parent, Span):
        return otel.set_span_in_context(parent._span, _ROOT)  # pyright: ignore[reportPrivateUsage]
    above = _context_of(parent)
    return _ROOT if above is None else otel.set_span_in_context(NonRecordingSpan(above), _ROOT)
