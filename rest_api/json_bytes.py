"""JSON as bytes, whatever text the value holds."""

from datetime import datetime
from enum import Enum
from typing import Any, cast

import orjson

_OPTIONS = orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS
_BIGGEST = 2**64


def json_bytes(value: object) -> bytes:
    """JSON in one line, in UTF-8; times are RFC 3339.

    Programs and models say things that are no Unicode text (unpaired surrogates), and numbers beyond
    64 bits: those are replaced, as an event must not be lost for one character.
    """
    try:
        return orjson.dumps(value, option=_OPTIONS)
    except TypeError:
        return orjson.dumps(_plain(value), option=_OPTIONS)


def _plain(value: object) -> object:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        pairs = cast("dict[Any, object]", value).items()
        return {str(_plain(name)): _plain(item) for name, item in pairs}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in cast("list[object]", value)]
    if isinstance(value, int):
        return value if -_BIGGEST // 2 <= value < _BIGGEST else float(value)
    if value is None or isinstance(value, (float, datetime)):
        return value
    return str(value)
