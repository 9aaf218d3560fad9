"""Pages of a listing and their opaque, stable cursors."""

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from app.domain.errors import InvalidCursorError, InvalidRequestError

T = TypeVar("T")

MAX_PAGE_SIZE = 1000
DEFAULT_PAGE_SIZE = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[T]):
    """Some items and, when there are more, the cursor to ask for them with."""

    items: Sequence[T]
    next_cursor: str | None = None


def page_size(asked: int | None, *, field: str = "page_size") -> int:
    """The number of items to return; None or 0 is the default. Raises InvalidRequestError."""
    if not asked:
        return DEFAULT_PAGE_SIZE
    if not 0 < asked <= MAX_PAGE_SIZE:
        raise InvalidRequestError.of(field, f"must be from 1 to {MAX_PAGE_SIZE}", "OUT_OF_RANGE")
    return asked


def encode_cursor(listing: str, *keys: str) -> str:
    """A cursor: the listing's name and the sort keys of the last item returned."""
    raw = json.dumps([listing, *keys], separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode_cursor(listing: str, cursor: str, keys: int) -> tuple[str, ...]:
    """The sort keys inside a cursor. Raises InvalidCursorError if it is not of this listing."""
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        decoded = json.loads(raw)
    except (binascii.Error, ValueError, RecursionError):
        raise InvalidCursorError from None
    match decoded:
        case [str(name), *parts] if (
            name == listing
            and len(parts) == keys
            and all(isinstance(p, str) and p.isprintable() for p in parts)
        ):  # pyright: ignore[reportUnknownVariableType]
            return tuple(str(part) for part in parts)  # pyright: ignore[reportUnknownVariableType,reportUnknownArgumentType]
        case _:
            raise InvalidCursorError
