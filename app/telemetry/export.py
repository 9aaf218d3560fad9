"""Ended spans on their way to a collector: a bounded queue, a thread of its own, one log line an outage."""

import logging
import threading
from collections import deque
from collections.abc import Sequence
from typing import Protocol, final

from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from app.telemetry.redaction import redact
from app.telemetry.span_cleaning import cleaned

log = logging.getLogger(__name__)
_LIBRARY = "opentelemetry.exporter"
_MAX_COMPLAINT_CHARS = 300
_ABORT_S = 1.0
"""What an export that was told to end has left for it."""


class ExportCounts(Protocol):
    """What is counted. Called from the exporting thread and from the loop's."""

    def exported(self, spans: int) -> None:
        """So many were taken by the collector."""
        ...

    def lost(self, spans: int, reason: str) -> None:
        """So many are gone: `queue_full`, `export_failed` or `shutdown`."""
        ...


@final
class ExportQueue(SpanProcessor):
    """Hands ended, sampled spans to `exporter` in batches, on a thread of its own.

    `on_end` costs an append: it neither waits nor logs. Beyond `max_queue` spans new ones are dropped. Each
    span is cleaned (`span_cleaning`) before it leaves. The first failure of an outage is logged with its
    reason, and the end of it with what was lost; what the exporter itself logs is not.
    """

    def __init__(
        self,
        exporter: SpanExporter,
        counts: ExportCounts,
        *,
        to: str,
        max_queue: int,
        max_batch: int,
        interval_s: float,
        flush_timeout_s: float,
    ) -> None:
        """`to` names the collector in log lines. Starts the thread; `shutdown` ends it."""
        self._exporter = exporter
        self._counts = counts
        self._to = to
        self._max_queue = max_queue
        self._max_batch = min(max_batch, max_queue)
        self._interval_s = interval_s
        self._flush_timeout_s = flush_timeout_s
        self._queue: deque[ReadableSpan] = deque()
        self._flushes: deque[threading.Event] = deque()
        self._wake = threading.Event()
        self._closing = False
        self._abandoned = False
        self._down = False
        self._lost_in_outage = 0
        self._complaints = _Complaints()
        self._complaints.listen()
        self._thread = threading.Thread(target=self._run, name="span-export", daemon=True)
        self._thread.start()

    def on_end(self, span: ReadableSpan) -> None:
        """Queue it; the loop's thread does no more."""
        context, queue = span.context, self._queue
        if context is None or not context.trace_flags.sampled:
            return
        if self._closing or len(queue) >= self._max_queue:
            self._counts.lost(1, "shutdown" if self._closing else "queue_full")
            self._lost_in_outage += 1
            return
        queue.append(span)
        if len(queue) == self._max_batch:
            self._wake.set()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Export what is queued now; False when that took longer than `timeout_millis`."""
        if self._closing:
            return not self._queue
        done = threading.Event()
        self._flushes.append(done)
        self._wake.set()
        return done.wait(timeout_millis / 1000)

    def shutdown(self) -> None:
        """Export what is left, for at most the flush timeout; then end the thread. Idempotent."""
        if self._closing:
            return
        self._closing = True
        self._wake.set()
        self._thread.join(self._flush_timeout_s)
        self._abandoned = True
        self._exporter.shutdown()  # also ends an export that is under way
        self._thread.join(_ABORT_S)
        if left := len(self._queue):
            self._queue.clear()
            self._counts.lost(left, "shutdown")
            log.warning("%d spans were not exported to %s in time", left, self._to)
        self._complaints.leave()

    def _run(self) -> None:
        while not self._closing:
            self._wake.wait(self._interval_s)
            self._wake.clear()
            asked = [self._flushes.popleft() for _ in range(len(self._flushes))]
            self._export_queued()
            for done in asked:
                done.set()
        self._export_queued()
        for done in self._flushes:
            done.set()

    def _export_queued(self) -> None:
        """What is queued now; what comes meanwhile waits for its own time, unless it is a whole batch."""
        left = len(self._queue)
        while (left > 0 or len(self._queue) >= self._max_batch) and not self._abandoned:
            batch = [self._queue.popleft() for _ in range(min(len(self._queue), self._max_batch))]
            if not batch:
                return
            left -= len(batch)
            self._export(batch)

    def _export(self, batch: Sequence[ReadableSpan]) -> None:
        try:
            # Without a pause for the loop's thread: the interpreter makes one every 5 ms, and one for each
            # span costs more CPU than the span itself.
            ready = [cleaned(span) for span in batch]
            sent = self._exporter.export(ready) is SpanExportResult.SUCCESS
        except Exception as error:  # noqa: BLE001 - whatever it is, the next batch is tried
            self._complaints.last = f"{type(error).__name__}: {error}"
            sent = False
        if sent:
            self._counts.exported(len(batch))
            self._answers()
        else:
            self._counts.lost(len(batch), "export_failed")
            self._fails(len(batch))

    def _fails(self, spans: int) -> None:
        self._lost_in_outage += spans
        if not self._down:
            self._down = True
            reason = redact(self._complaints.last or "no reason given")
            log.warning("spans cannot be exported to %s, so they are lost: %s", self._to, reason)

    def _answers(self) -> None:
        if self._down:
            log.warning("spans are exported to %s again; %d were lost", self._to, self._lost_in_outage)
        self._down, self._lost_in_outage = False, 0


@final
class _Complaints(logging.Handler):
    """Keeps the last thing that the library's exporters logged, and keeps it out of our log."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.last: str | None = None

    def listen(self) -> None:
        library = logging.getLogger(_LIBRARY)
        library.addHandler(self)
        library.propagate = False

    def leave(self) -> None:
        library = logging.getLogger(_LIBRARY)
        library.removeHandler(self)
        library.propagate = not library.handlers

    def emit(self, record: logging.LogRecord) -> None:
        self.last = record.getMessage()[:_MAX_COMPLAINT_CHARS]
