"""Structured logs: JSON lines for machines, plain lines for a terminal, both redacted."""

import logging
import sys
from datetime import UTC, datetime
from typing import Literal, TextIO

import orjson
from opentelemetry import trace as otel

from app.telemetry import context
from app.telemetry.known_secrets import MASK
from app.telemetry.redaction import is_secret_name, redact, writable

Style = Literal["auto", "json", "plain"]
_FIELDS = "gateway_fields"
"""The record attribute in which `ContextFilter` leaves what it found."""
_STANDARD = frozenset(
    (*vars(logging.makeLogRecord({})), "message", "asctime", "taskName", "color_message", _FIELDS)
)


class ContextFilter(logging.Filter):
    """Notes on each record the request, trace, task and tenant it belongs to. Drops nothing.

    It must see the record where it is made, hence on the handler of the same process and thread.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        fields = context.current()
        span = otel.get_current_span().get_span_context()
        if span.is_valid:
            ids = {context.TRACE_ID: f"{span.trace_id:032x}", context.SPAN_ID: f"{span.span_id:016x}"}
            fields = {**fields, **ids}
        setattr(record, _FIELDS, fields)
        return True


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, the context, the extras, the traceback."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _told(record.getMessage()),
            **getattr(record, _FIELDS, {}),
            **_extras_of(record),
        }
        if record.exc_info:
            line["exception"] = _told(self.formatException(record.exc_info))
        if record.stack_info:
            line["stack"] = _told(self.formatStack(record.stack_info))
        return orjson.dumps(line, default=_plain, option=orjson.OPT_NON_STR_KEYS).decode()


class PlainFormatter(logging.Formatter):
    """A line for a person: time, level, logger, message, then what is known as `name=value`."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S.%f")[:-3]
        known = {**getattr(record, _FIELDS, {}), **_extras_of(record)}
        told = "".join(f" {name}={value}" for name, value in known.items() if name != context.SPAN_ID)
        line = f"{at} {record.levelname:<7} {record.name}: {_told(record.getMessage())}{told}"
        if record.exc_info:
            line += "\n" + _told(self.formatException(record.exc_info))
        if record.stack_info:
            line += "\n" + _told(self.formatStack(record.stack_info))
        return line


def configure_logging(level: str, *, style: Style = "auto", stream: TextIO | None = None) -> None:
    """Send every log record of the process to `stream` (stderr), and nowhere else.

    `auto` is plain on a terminal and JSON elsewhere. Handlers that libraries installed on the root logger are
    replaced; may be called again.

    Raises:
        ValueError: `level` is no level of logging.
    """
    out: TextIO = sys.stderr if stream is None else stream
    plain = style == "plain" or (style == "auto" and out.isatty())
    handler = logging.StreamHandler(out)
    handler.setFormatter(PlainFormatter() if plain else JsonFormatter())
    handler.addFilter(ContextFilter())
    root = logging.getLogger()
    root.setLevel(level.upper())
    root.handlers[:] = [handler]
    for chatty in ("alembic", "httpx", "httpcore", "urllib3"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def _extras_of(record: logging.LogRecord) -> dict[str, object]:
    return {
        name: MASK if is_secret_name(name) else _clean(value)
        for name, value in vars(record).items()
        if name not in _STANDARD
    }


def _told(text: str) -> str:
    """The text as it may be written: no secrets, and nothing that UTF-8 has no bytes for."""
    return redact(writable(text))


def _clean(value: object) -> object:
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return _told(str(value))


def _plain(value: object) -> str:
    return _told(str(value))
