"""Results of tools that give the same answer to the same question, for a while."""

from collections import OrderedDict
from collections.abc import Callable

import orjson

from app.domain.tools import ToolResult

MAX_ENTRIES = 1_024
MAX_OUTPUT_CHARS = 16_384

Key = tuple[str, str, bytes]
"""Tenant, tool and canonical arguments: tenants never see each other's answers."""


def canonical(arguments: dict[str, object]) -> bytes:
    """The same bytes for the same arguments, whatever the order of their names."""
    return orjson.dumps(arguments, option=orjson.OPT_SORT_KEYS)


class ResultCache:
    """The most recently used answers, each until its time is over. `clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float], *, max_entries: int = MAX_ENTRIES) -> None:
        self._clock = clock
        self._max_entries = max_entries
        self._entries: OrderedDict[Key, tuple[float, ToolResult]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, key: Key) -> ToolResult | None:
        """The answer, if it is still fresh."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        expires, result = entry
        if expires <= self._clock():
            del self._entries[key]
            return None
        self._entries.move_to_end(key)
        return result

    def keep(self, key: Key, result: ToolResult, ttl_s: float) -> None:
        """Remember an answer, unless it failed, is large or refers to bytes that may be deleted."""
        if not result.ok or result.artifacts or len(result.output) > MAX_OUTPUT_CHARS:
            return
        self._entries[key] = (self._clock() + ttl_s, result)
        self._entries.move_to_end(key)
        while len(self._entries) > self._max_entries:
            self._entries.popitem(last=False)
