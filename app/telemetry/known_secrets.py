"""The secrets that this process holds right now, so that they can be found in whatever it writes.

In three scopes: what the process holds, what a tenant's running task holds (`knowing`), and what a call came
with (`bind`). Values live here as long as whoever uses them, and nowhere else.

What is written for the operator (logs, spans, errors) is searched for all of them. What is kept for a tenant
(events, transcripts, results) is searched for those of the process, of that tenant and of its call: a tenant
chooses its keys, and must not choose what others' texts look like.
"""

import json
import re
from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Lock
from typing import Any, Final, cast
from urllib.parse import quote

from app.domain.secrets import MASK

__all__ = ["MASK", "bind", "knowing", "mask_held", "mask_held_in_json", "mask_known", "unfinished_secret"]

MIN_CHARS: Final = 8
"""A shorter value would be found in texts that have nothing to do with it."""
NOBODY: Final = ""
"""No tenant: what a caller is told of its own call is searched for what the process and the call hold."""
_WORDS: Final = re.compile(r"[^\W\d_]+(?:[ _.:/-][^\W\d_]+)*")
MIN_WORDS_CHARS: Final = 32
"""A shorter value of words alone ("password", "succeeded") stands in texts that it has no part in."""


class _Known:
    """The secrets of one scope, in every form in which they may be written."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self.texts: tuple[str, ...] = ()
        self.held: tuple[str, ...] = ()
        """Those of `texts` that are looked for in what is kept for a tenant."""
        self.raws: tuple[bytes, ...] = ()
        """`held` in UTF-8."""

    def add(self, secrets: Iterable[str], times: int) -> None:
        for secret in secrets:
            for form in _forms(secret):
                self._counts[form] += times
        self._counts = +self._counts
        # The long before the short: one may be part of another.
        self.texts = tuple(sorted(self._counts, key=len, reverse=True))
        self.held = tuple(text for text in self.texts if _is_distinctive(text))
        self.raws = tuple(text.encode("utf-8", "surrogatepass") for text in self.held)


_NOTHING: Final = _Known()
_process: Final = _Known()
_tenants: Final[dict[str, _Known]] = {}
_everybody: Final = _Known()
"""All scopes but those of calls."""
_lock: Final = Lock()
_call: ContextVar[tuple[str, ...]] = ContextVar("gateway_secrets_of_the_call", default=())


@contextmanager
def knowing(*secrets: str, tenant: str | None = None) -> Generator[None]:
    """Inside the block these are known, to every thread: as the process's own, or as a tenant's.

    May be nested; values too short are ignored.
    """
    kept = tuple(secret for secret in secrets if len(secret) >= MIN_CHARS)
    _note(kept, tenant, 1)
    try:
        yield
    finally:
        _note(kept, tenant, -1)


def _note(secrets: tuple[str, ...], tenant: str | None, times: int) -> None:
    if not secrets:
        return
    with _lock:
        _everybody.add(secrets, times)
        if tenant is None:
            _process.add(secrets, times)
            return
        scope = _tenants.setdefault(tenant, _Known())
        scope.add(secrets, times)
        if not scope.texts:
            del _tenants[tenant]


def bind(*secrets: str | None) -> None:
    """What the call of this context came with; known until its context ends."""
    _call.set(tuple(secret for secret in secrets if secret and len(secret) >= MIN_CHARS))


def mask_known(text: str) -> str:
    """`text` with the mask for each secret that anybody holds: for what the operator reads."""
    for secret in _everybody.texts:
        if secret in text:
            text = text.replace(secret, MASK)
    for secret in _call.get():
        if secret in text:
            text = text.replace(secret, MASK)
    return text


def mask_held(text: str, tenant: str = NOBODY) -> str:
    """`text` with the mask for each secret of the process, the tenant and its call: for what it keeps."""
    for secret in _held_by(tenant):
        if secret in text:
            text = text.replace(secret, MASK)
    return text


def mask_held_in_json(body: bytes, tenant: str = NOBODY) -> bytes:
    """The same for each text in encoded JSON; names stay. The very object when nothing is in it."""
    raws = _process.raws
    if _tenants and tenant in _tenants:
        raws += _tenants[tenant].raws
    if _call.get():
        raws += tuple(_raws_of_the_call())
    for raw in raws:
        if raw in body:
            break
    else:
        return body
    seen = json.loads(body)
    masked = _masked(seen, tenant)
    if masked == seen:
        return body
    return json.dumps(masked, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def unfinished_secret(text: str, tenant: str) -> int:
    """How many characters at the end of `text` may be the beginning of a held secret that goes on later."""
    longest = 0
    for secret in _held_by(tenant):
        for length in range(min(len(secret) - 1, len(text)), longest, -1):
            if text.endswith(secret[:length]):
                longest = length
                break
    return longest


def _held_by(tenant: str) -> Iterator[str]:
    yield from _process.held
    yield from _tenants.get(tenant, _NOTHING).held
    yield from filter(_is_distinctive, _call.get())


def _raws_of_the_call() -> Iterator[bytes]:
    for secret in _call.get():
        if _is_distinctive(secret):
            yield secret.encode("utf-8", "surrogatepass")


def _masked(value: object, tenant: str) -> object:
    match value:
        case str():
            return mask_held(value, tenant)
        case list():
            return [_masked(item, tenant) for item in cast("list[Any]", value)]
        case dict():
            found = cast("dict[str, Any]", value)
            return {name: _masked(item, tenant) for name, item in found.items()}
        case _:
            return value


def _is_distinctive(secret: str) -> bool:
    return len(secret) >= MIN_WORDS_CHARS or _WORDS.fullmatch(secret) is None


def _forms(secret: str) -> set[str]:
    """As it is, as JSON has it, and as a URL has it."""
    return {
        secret,
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        quote(secret, safe=""),
    }
