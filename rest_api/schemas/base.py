"""What all bodies, queries and answers have in common."""

import math
import re
from typing import Annotated, Any, ClassVar, Final, TypeVar

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticSerializationError

from rest_api.json_bytes import json_bytes

MAX_JSON_DEPTH: Final = 64
_MIN_INTEGER: Final = -(2**63)
_MAX_INTEGER: Final = 2**64 - 1

_RFC_3339: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)


def _looks_rfc_3339(value: object) -> object:
    """pydantic would also take seconds since 1970, which the document does not promise."""
    if isinstance(value, str) and not _RFC_3339.fullmatch(value):
        raise ValueError("must be a time with its offset, such as 2026-01-31T12:00:00Z (RFC 3339)")
    return value


Time = Annotated[AwareDatetime, BeforeValidator(_looks_rfc_3339)]
"""A time in a query."""

M = TypeVar("M", bound=BaseModel)


class BodyIn(BaseModel):
    """A request body: a name we do not know is a mistake, and a number is not a string."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True)


class QueryIn(BaseModel):
    """Query parameters: strings that are read as what they should be."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    any_prefix: ClassVar[str | None] = None
    """Parameters that start so are collected, under the field of that name (`metadata.KEY=VALUE`)."""
    repeated: ClassVar[frozenset[str]] = frozenset()
    """Parameters that may be given several times."""


class PageQuery(QueryIn):
    """One page of a listing."""

    page_size: int | None = Field(default=None, json_schema_extra={"minimum": 0, "maximum": 1000})
    """1 to 1000; 0 or absent means 50."""
    cursor: str | None = None
    """`next_cursor` of the page before."""


class Out(BaseModel):
    """An answer. A field that is not set is left out."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


def encoded(answer: BaseModel) -> bytes:
    """An answer as JSON, without what is not set."""
    try:
        return answer.__pydantic_serializer__.to_json(answer, exclude_none=True)
    except PydanticSerializationError:
        return json_bytes(answer.model_dump(exclude_none=True))


def _checked_json(value: Any) -> Any:
    """Refuse what other JSON readers could not take: depth, infinities, huge integers."""
    _check_json(value, 1)
    return value


def _check_json(value: Any, depth: int) -> None:
    if isinstance(value, dict):
        items = list(value.values())  # pyright: ignore[reportUnknownArgumentType,reportUnknownVariableType]
    elif isinstance(value, list):
        items = value  # pyright: ignore[reportUnknownVariableType]
    else:
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError("numbers must be finite")
        if isinstance(value, int) and not _MIN_INTEGER <= value <= _MAX_INTEGER:
            raise ValueError("integers must fit into 64 bits")
        return
    if depth > MAX_JSON_DEPTH:
        raise ValueError(f"must not be nested deeper than {MAX_JSON_DEPTH} levels")
    for item in items:  # pyright: ignore[reportUnknownVariableType]
        _check_json(item, depth + 1)


JsonObject = Annotated[dict[str, Any], AfterValidator(_checked_json)]
"""Any JSON object, within reason."""
