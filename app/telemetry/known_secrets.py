"""The secrets that this process holds right now, so that they can be found in whatever it writes.

In two scopes: what the process or a running task holds (`knowing`), and what a call came with (`bind`).
Values live here as long as whoever uses them, and nowhere else.
"""

import json
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Lock
from typing import Final
from urllib.parse import quote

from app.domain.secrets import MASK

__all__ = ["MASK", "bind", "knowing", "mask_known", "mask_known_in_json", "unfinished_secret"]

MIN_CHARS: Final = 8
"""A shorter value would be found in texts that have nothing to do with it."""


class _Known:
    """What is known to the whole process, in every form in which it may be written."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._lock = Lock()
        self.texts: tuple[str, ...] = ()
        self.raws: tuple[bytes, ...] = ()

    def add(self, secrets: tuple[str, ...], times: int) -> None:
        with self._lock:
            for secret in secrets:
                for form in _forms(secret):
                    self._counts[form] += times
            self._counts = +self._counts
            # The long before the short: one may be part of another.
            self.texts = tuple(sorted(self._counts, key=len, reverse=True))
            self.raws = tuple(text.encode("utf-8", "surrogatepass") for text in self.texts)


_process: Final = _Known()
_call: ContextVar[tuple[str, ...]] = ContextVar("gateway_secrets_of_the_call", default=())


@contextmanager
def knowing(*secrets: str) -> Generator[None]:
    """Inside the block these are known, to every thread. May be nested; values too short are ignored."""
    kept = tuple(secret for secret in secrets if len(secret) >= MIN_CHARS)
    _process.add(kept, 1)
    try:
        yield
    finally:
        _process.add(kept, -1)


def bind(*secrets: str | None) -> None:
    """What the call of this context came with; known until its context ends."""
    _call.set(tuple(secret for secret in secrets if secret and len(secret) >= MIN_CHARS))


def mask_known(text: str) -> str:
    """`text` with the mask for each known secret."""
    for secret in _process.texts:
        if secret in text:
            text = text.replace(secret, MASK)
    for secret in _call.get():
        if secret in text:
            text = text.replace(secret, MASK)
    return text


def mask_known_in_json(body: bytes) -> bytes:
    """The same for encoded JSON, which stays JSON; the very object when nothing is in it."""
    for secret in _process.raws:
        if secret in body:
            body = body.replace(secret, MASK.encode())
    for secret in _call.get():
        raw = secret.encode("utf-8", "surrogatepass")
        if raw in body:
            body = body.replace(raw, MASK.encode())
    return body


def unfinished_secret(text: str) -> int:
    """How many characters at the end of `text` may be the beginning of a known secret that goes on later."""
    longest = 0
    for secret in _process.texts:
        for length in range(min(len(secret) - 1, len(text)), longest, -1):
            if text.endswith(secret[:length]):
                longest = length
                break
    return longest


def _forms(secret: str) -> set[str]:
    """As it is, as JSON has it, and as a URL has it."""
    return {
        secret,
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        quote(secret, safe=""),
    }
