"""The W3C `traceparent`: the only form in which a trace travels between our rooms, processes and peers.

`tracestate` is not kept: the specification allows to drop it, and nothing here reads it.
"""

import re
from collections.abc import Mapping

from opentelemetry.trace import SpanContext, TraceFlags

HEADER = "traceparent"
_FORM = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")


def extract(carrier: Mapping[str, str]) -> str | None:
    """The traceparent in headers or metadata with lower-case names; None when absent or malformed."""
    value = carrier.get(HEADER)
    return value if value is not None and parse(value) is not None else None


def inject(traceparent: str | None, carrier: dict[str, str]) -> None:
    """Put `traceparent`, if any, among the headers of an outgoing call."""
    if traceparent is not None:
        carrier[HEADER] = traceparent


def parse(value: str) -> SpanContext | None:
    """The context that `value` names; None when it is not a valid traceparent."""
    match = _FORM.fullmatch(value)
    if match is None:
        return None
    version, trace_id, span_id, flags, more = match.groups()
    if version == "ff" or (version == "00" and more):
        return None
    context = SpanContext(
        int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16))
    )
    return context if context.is_valid else None


def render(context: SpanContext) -> str | None:
    """The header value of `context`; None for the invalid context, which names no span."""
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags & 0x01:02x}"
