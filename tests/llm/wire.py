"""What each provider protocol must tell the scripted server: how to read, answer and refuse."""

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tests.llm.script import Item, Turn

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request as the protocol's reader understood it."""

    model: str
    streamed: bool
    items: tuple[Item, ...]
    tools: tuple[str, ...]
    images: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An error answer; `status` is the one the protocol really sends for the fault asked for."""

    status: int
    body: Json
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class SseEvent:
    """One server-sent event; `name` is None where the protocol sends data only."""

    data: str
    name: str | None = None

    def encoded(self) -> bytes:
        """The event's bytes, with the blank line that ends it."""
        head = f"event: {self.name}\n" if self.name else ""
        return f"{head}data: {self.data}\n\n".encode()


class WireFormat(Protocol):
    """One provider protocol."""

    @property
    def name(self) -> str:
        """What requests of this protocol are logged as."""
        ...

    @property
    def paths(self) -> Sequence[str]:
        """The routes it is served on."""
        ...

    def read(self, path: str, body: Json) -> Asked:
        """Understand a request. Raises KeyError or TypeError when it is not of this protocol."""
        ...

    def credential(self, headers: Mapping[str, str]) -> str | None:
        """The API key the request carries, if any."""
        ...

    def whole(self, turn: Turn, model: str) -> Json:
        """The answer as one JSON document."""
        ...

    def events(self, turn: Turn, model: str) -> Iterator[SseEvent]:
        """The answer as a stream."""
        ...

    def refusal(self, status: int, turn: Turn) -> Refusal:
        """The protocol's error body and headers."""
        ...


class Ids:
    """Identifiers that are unique within one server and say what they name."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    def next(self, prefix: str) -> str:
        """`prefix` and a number."""
        return f"{prefix}{next(self._numbers):06d}"


def pieces(text: str, size: int) -> list[str]:
    """`text` in chunks of at most `size` characters."""
    return [text[start : start + size] for start in range(0, len(text), size)]


def text_of(content: Any) -> str:
    """The text in a message's content, which is a string or a list of parts."""
    if isinstance(content, str):
        return content
    return " ".join(
        str(part["text"]) for part in content or () if isinstance(part, dict) and part.get("text")
    )


def images_in(body: Json) -> int:
    """How many PNG, JPEG or WebP images the request carries, wherever the protocol puts them."""
    raw = json.dumps(body)
    return sum(raw.count(f"image/{kind}") for kind in ("png", "jpeg", "webp"))


def bearer(headers: Mapping[str, str]) -> str | None:
    """The token of `Authorization: Bearer`."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token if scheme.lower() == "bearer" and token else None


def retry_headers(turn: Turn) -> dict[str, str]:
    """`retry-after`, when the turn has one."""
    return {"retry-after": turn.retry_after} if turn.retry_after is not None else {}
