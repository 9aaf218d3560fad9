"""Reads the idempotency key of a call: the same words on both protocols."""

import re
from collections.abc import Mapping
from typing import Final

from app.domain.errors import InvalidRequestError

HEADER: Final = "idempotency-key"
"""The HTTP header and the gRPC metadata (draft-ietf-httpapi-idempotency-key-header-07)."""
REPLAYED: Final = "idempotency-replayed"
"""`true` with an answer that is the first call's: an HTTP header, gRPC's trailing metadata."""
_QUOTED: Final = re.compile(r'"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')
_TOKEN: Final = re.compile(r"[\x21\x23-\x2b\x2d-\x5b\x5d-\x7e]+")


def idempotency_key_of(metadata: Mapping[str, str]) -> str | None:
    """`Idempotency-Key`: a quoted string; an unquoted word is understood too.

    Raises InvalidRequestError.
    """
    value = metadata.get(HEADER)
    if value is None:
        return None
    value = value.strip()
    quoted = _QUOTED.fullmatch(value)
    if quoted and quoted[1]:
        return re.sub(r'\\(["\\])', r"\1", quoted[1])
    if _TOKEN.fullmatch(value):
        return value
    raise InvalidRequestError.of(
        "Idempotency-Key", 'must be a string in quotes, such as "8e03978e-40d5"', "INVALID_IDEMPOTENCY_KEY"
    )
