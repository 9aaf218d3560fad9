"""Single values on the wire: ids, times, JSON as text, etags, texts."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Final, cast

import orjson
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from app.domain.errors import InvalidRequestError, NotFoundError
from app.domain.ids import MAX_ID_LENGTH

MAX_JSON_CHARS: Final = 1024 * 1024
MAX_JSON_DEPTH: Final = 64
_MAX_ETAG_DIGITS: Final = 18
_BETWEEN_BRACKETS: Final = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[^\[\]{}"]+')
"""Strings and everything else that is no bracket; linear on valid JSON, where every string ends."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def timestamp_to_proto(at: datetime | None) -> Timestamp | None:
    """None stays unset."""
    if at is None:
        return None
    since = at - _EPOCH
    return Timestamp(seconds=since.days * 86_400 + since.seconds, nanos=since.microseconds * 1_000)


def timestamp_from_proto(field: str, at: Timestamp) -> datetime:
    """Microseconds; what is finer is cut off. Raises InvalidRequestError beyond the years 1 to 9999."""
    try:
        if not 0 <= at.nanos < 1_000_000_000:
            raise ValueError
        return _EPOCH + timedelta(seconds=at.seconds, microseconds=at.nanos // 1_000)
    except (ValueError, OverflowError):
        raise InvalidRequestError.of(field, "is not a time of the years 1 to 9999", "OUT_OF_RANGE") from None


def duration_from_proto(field: str, duration: Duration) -> timedelta:
    """Raises InvalidRequestError for one that is no duration."""
    try:
        if not -1_000_000_000 < duration.nanos < 1_000_000_000:
            raise ValueError
        return timedelta(seconds=duration.seconds, microseconds=duration.nanos / 1_000)
    except (ValueError, OverflowError):
        raise InvalidRequestError.of(field, "is not a duration", "OUT_OF_RANGE") from None


def id_from_proto(resource: str, field: str, value: str) -> str:
    """The id of something that must exist.

    Raises InvalidRequestError for an empty one, NotFoundError for what no store ever minted (and some
    could not even look for).
    """
    if not value:
        raise InvalidRequestError.of(field, "must not be empty", "REQUIRED")
    if len(value) > MAX_ID_LENGTH or not value.isprintable():
        raise NotFoundError(resource, value[:MAX_ID_LENGTH])
    return value


def filter_from_proto(field: str, value: str) -> str | None:
    """An id to filter by; empty is none. Raises InvalidRequestError for what cannot be one."""
    if value and (len(value) > MAX_ID_LENGTH or not value.isprintable()):
        raise InvalidRequestError.of(
            field, f"must have at most {MAX_ID_LENGTH} printable characters", "INVALID_ID"
        )
    return value or None


def json_to_proto(value: object) -> str:
    """JSON as text; what JSON does not know is told as a string."""
    try:
        return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:  # unpaired surrogates, integers of more than 64 bits, deep nesting: slower, but able
        return json.dumps(value, default=str, skipkeys=True)


def json_object_from_proto(field: str, text: str) -> dict[str, object]:
    """A JSON object from text; empty text is the empty object.

    Raises InvalidRequestError when it is no object, too large, nested too deep, or not JSON.
    """
    if not text:
        return {}
    if len(text) > MAX_JSON_CHARS:
        raise InvalidRequestError.of(field, f"must have at most {MAX_JSON_CHARS} characters", "TOO_LONG")
    try:
        value: object = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise InvalidRequestError.of(field, f"is not JSON: {error}", "INVALID_JSON") from None
    if not isinstance(value, dict):
        raise InvalidRequestError.of(field, "must be a JSON object", "INVALID_JSON")
    if _is_deep(text):
        raise InvalidRequestError.of(field, f"must be nested at most {MAX_JSON_DEPTH} deep", "TOO_DEEP")
    return cast("dict[str, object]", value)


def etag_to_proto(version: int) -> str:
    """The etag of a resource's version."""
    return str(version)


def etag_from_proto(etag: str) -> int | None:
    """The version an etag names; None when it is empty. Raises InvalidRequestError."""
    if not etag:
        return None
    if not (etag.isascii() and etag.isdecimal() and len(etag) <= _MAX_ETAG_DIGITS):
        raise InvalidRequestError.of("etag", "is not an etag of this gateway", "INVALID_ETAG")
    return int(etag)


def text_to_proto(text: str) -> str:
    """Text of a program or a model, with unpaired surrogates (which UTF-8 cannot carry) replaced."""
    try:
        if not text.isascii():
            text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
    return text


def _is_deep(text: str) -> bool:
    """Whether valid JSON nests deeper than `MAX_JSON_DEPTH`: each round takes the innermost brackets off."""
    brackets = _BETWEEN_BRACKETS.sub("", text)
    for _ in range(MAX_JSON_DEPTH):
        if not brackets:
            return False
        brackets = brackets.replace("[]", "").replace("{}", "")
    return bool(brackets)
