"""How spans are recorded: the SDK's model of a finished span, filled in without the SDK's tracer.

The SDK's own tracer costs 25 to 40 us a span (locks, limits, checks of every attribute, for values that are
ours); this costs a few. What reads spans (processors, exporters) sees the same class as ever.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from threading import Lock
from time import time_ns
from typing import Any, Final, final

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, Span, SpanProcessor
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)
UNSAMPLED: Final = TraceFlags(TraceFlags.DEFAULT)
MAX_EVENTS: Final = 64
"""Of one span; more are left out."""
_UNSET: Final = Status(StatusCode.UNSET)
_TRACE_ID_BITS, _SPAN_ID_BITS = 128, 64
_RATIO_MASK: Final = TraceIdRatioBased.TRACE_ID_LIMIT

_random: Final = Random()  # noqa: S311 - ids, no secrets; seeded by the operating system


@final
class RecordedSpan(ReadableSpan):
    """A span from its start on; changed by `Span` alone until it is finished."""

    def __init__(
        self,
        name: str,
        kind: SpanKind,
        context: SpanContext,
        parent: SpanContext | None,
        attributes: dict[str, Any],
        links: Sequence[Link],
        recorder: "Recorder",
        start_ns: int | None,
    ) -> None:
        self._name = name
        self._kind = kind
        self._context = context
        self._parent = parent
        self._attributes = attributes
        self._events: list[Event] = []
        self._links = links
        self._status = _UNSET
        self._start_time = start_ns or time_ns()
        self._end_time: int | None = None
        self._resource = recorder.resource
        self._instrumentation_info = None
        self._instrumentation_scope = recorder.scope
        self._recorder = recorder

    def rename(self, name: str) -> None:
        """Say what it is, once that is known."""
        self._name = name

    def put(self, attributes: Mapping[str, Any]) -> None:
        """Add attributes; nothing is added to a finished span."""
        if self._end_time is None:
            self._attributes.update(attributes)

    def happened(self, name: str, attributes: Mapping[str, Any] | None) -> None:
        """Note a moment within the span."""
        if self._end_time is None and len(self._events) < MAX_EVENTS:
            self._events.append(Event(name, dict(attributes or {}), time_ns()))

    def failed(self, message: str | None) -> None:
        """Set the status."""
        if self._end_time is None:
            self._status = Status(StatusCode.ERROR, message)

    def finish(self, end_ns: int | None = None) -> None:
        """End it and hand it on, the first time."""
        if self._end_time is None:
            self._end_time = end_ns or time_ns()
            for processor in self._recorder.processors:
                processor.on_end(self)


@final
@dataclass(frozen=True, slots=True)
class Sampling:
    """Which traces are recorded: of those that begin here the part `ratio`, chosen by trace id.

    With `parent_based` a caller's decision is kept; without, `ratio` decides about its traces, too. Our own
    children always follow their parent. By the same bits of the trace id as the SDK's ratio sampler, so that
    services with the same ratio choose the same traces.
    """

    ratio: float = 1.0
    parent_based: bool = True

    def chooses(self, trace_id: int, parent: SpanContext | None) -> bool:
        """Whether to record a new span of that trace."""
        if parent is not None and (self.parent_based or not parent.is_remote):
            return bool(parent.trace_flags & TraceFlags.SAMPLED)
        return trace_id & _RATIO_MASK < round(self.ratio * (_RATIO_MASK + 1))


@final
class Recorder:
    """Makes spans and hands finished ones to the processors, which it owns."""

    def __init__(
        self,
        processors: Sequence[SpanProcessor],
        resource: Resource,
        scope: InstrumentationScope,
        sampling: Sampling,
    ) -> None:
        self.processors = tuple(processors)
        self.resource = resource
        self.scope = scope
        self._sampling = sampling
        self._starting = tuple(
            processor for processor in processors if type(processor).on_start is not _ignores_starts
        )
        self._closed = False
        self._closing = Lock()

    def context_below(self, parent: SpanContext | None) -> SpanContext:
        """The context of a new span, its sampling decided."""
        trace_id = _random.getrandbits(_TRACE_ID_BITS) if parent is None else parent.trace_id
        flags = SAMPLED if self._sampling.chooses(trace_id, parent) else UNSAMPLED
        return SpanContext(trace_id, _random.getrandbits(_SPAN_ID_BITS) or 1, False, flags)

    def started(self, span: RecordedSpan) -> RecordedSpan:
        """Tell those who want to know of starts."""
        for processor in self._starting:
            processor.on_start(_as_span(span))
        return span

    def shutdown(self) -> None:
        """Shut the processors down, one after the other. Idempotent; may wait, so call it in a thread."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
        for processor in self.processors:
            processor.shutdown()


_ignores_starts = SpanProcessor.on_start


def _as_span(span: RecordedSpan) -> Span:
    """Processors are told of starts by the SDK's tracer class; ours can be read like it, and no more."""
    return span  # pyright: ignore[reportReturnType]
