"""Ended spans as log lines: tracing for a desk, without a collector."""

import logging

from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.trace import format_span_id, format_trace_id

log = logging.getLogger("agentgateway.spans")


class LogSpanProcessor(SpanProcessor):
    """Writes one INFO line per ended span: name, ids, milliseconds, attributes."""

    def on_end(self, span: ReadableSpan) -> None:
        """One line."""
        context = span.context
        if context is None or span.start_time is None or span.end_time is None:
            return
        log.info(
            "span %s %.1f ms",
            span.name,
            (span.end_time - span.start_time) / 1e6,
            extra={
                "trace_id": format_trace_id(context.trace_id),
                "span_id": format_span_id(context.span_id),
                "parent_span_id": format_span_id(span.parent.span_id) if span.parent else None,
                "status": span.status.status_code.name,
                "attributes": dict(span.attributes or {}),
            },
        )

    def shutdown(self) -> None:
        """Holds nothing."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing waits."""
        del timeout_millis
        return True
