"""Spans as they may leave the process: no secret in them, and nothing that UTF-8 cannot write."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.trace import Status

from app.telemetry.redaction import redact, writable

_SEPARATOR = "\n"


def cleaned(span: ReadableSpan) -> ReadableSpan:
    """The span itself when nothing in it has to go, which is nearly always; else one like it without that.

    Names, status, attributes and events are looked at, links and ids are not: they hold no text of anybody.
    """
    text = _SEPARATOR.join(_texts(span))
    if _clean(text) == text:  # one look at all of them
        return span
    status = span.status
    return ReadableSpan(
        name=_clean(span.name),
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=_attributes(span.attributes),
        events=[
            Event(_clean(event.name), _attributes(event.attributes), event.timestamp) for event in span.events
        ],
        links=span.links,
        kind=span.kind,
        status=Status(status.status_code, _clean(status.description)) if status.description else status,
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _texts(span: ReadableSpan) -> Iterator[str]:
    yield span.name
    if span.status.description:
        yield span.status.description
    yield from _texts_of(span.attributes)
    for event in span.events:
        yield event.name
        yield from _texts_of(event.attributes)


def _texts_of(attributes: Mapping[str, Any] | None) -> Iterator[str]:
    for value in (attributes or {}).values():
        if isinstance(value, str):
            yield value
        elif isinstance(value, (tuple, list)):
            items = cast("Sequence[object]", value)
            yield from (item for item in items if isinstance(item, str))


def _attributes(attributes: Mapping[str, Any] | None) -> dict[str, Any]:
    return {name: _value(value) for name, value in (attributes or {}).items()}


def _value(value: Any) -> Any:
    if isinstance(value, str):
        return _clean(value)
    if isinstance(value, (tuple, list)):
        return tuple(_value(item) for item in cast("Sequence[object]", value))
    return value


def _clean(text: str) -> str:
    return redact(writable(text))
