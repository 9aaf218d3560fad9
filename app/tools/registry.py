"""All tools by name, and the one way to call them."""

import asyncio
import difflib
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from types import MappingProxyType
from typing import Protocol

from app.domain.errors import (
    NotConfiguredError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitedError,
    StepTimeoutError,
)
from app.domain.quotas import Quota
from app.domain.rates import MICROSECONDS, Meter, Rate
from app.domain.tools import ToolInfo, ToolResult
from app.telemetry.outcomes import timed
from app.tools.arguments import ArgumentCheck
from app.tools.base import Tool, ToolContext
from app.tools.cache import ResultCache, canonical

MAX_NAME_CHARS = 128
MAX_METERED = 10_000
"""Tenants and tools whose rates are remembered."""


@dataclass(frozen=True, slots=True)
class _Entry:
    tool: Tool
    check: ArgumentCheck


class ToolObserver(Protocol):
    """Told of tool calls, on the event loop; must neither block nor raise."""

    def tool_called(self, tool: str, outcome: str, duration_s: float) -> None:
        """A call of a tool that exists is over: `ok`, `failed`, `CANCELLED` or the error's reason."""
        ...


class ToolRegistry:
    """Holds the tools and does for each call what no tool should have to do itself."""

    def __init__(
        self,
        tools: Iterable[Tool],
        *,
        clock: Callable[[], float] = time.monotonic,
        observer: ToolObserver | None = None,
    ) -> None:
        """Compile the tools' schemas. Raises ValueError for a name given twice or a bad schema."""
        entries: dict[str, _Entry] = {}
        for tool in sorted(tools, key=lambda tool: tool.info.name):
            if tool.info.name in entries:
                raise ValueError(f"two tools are named {tool.info.name!r}")
            entries[tool.info.name] = _Entry(tool, ArgumentCheck(tool.info))
        self._entries: Mapping[str, _Entry] = MappingProxyType(entries)
        self._clock = clock
        self._observer = observer
        self._meter = Meter(MAX_METERED)
        self._cache = ResultCache(clock)

    def list(self, category: str | None = None, tag: str | None = None) -> Sequence[ToolInfo]:
        """The tools, by name; only those of a category or with a tag, if given."""
        infos = (entry.tool.info for entry in self._entries.values())
        return [
            info
            for info in infos
            if (category is None or info.category == category) and (tag is None or tag in info.tags)
        ]

    def get(self, name: str) -> Tool:
        """Raises NotFoundError; its `closest` fact offers names."""
        return self._entry(name).tool

    def knows(self, name: str) -> bool:
        """Whether there is a tool of that name, available or not."""
        return name in self._entries

    def validate(self, name: str, arguments: dict[str, object]) -> None:
        """Raises NotFoundError, InvalidRequestError when the arguments do not fit the schema."""
        self._entry(name).check(arguments)

    async def execute(self, name: str, arguments: dict[str, object], context: ToolContext) -> ToolResult:
        """Call a tool, for the principal of `context.call`.

        A cached answer costs nothing of the rate limit. `duration_s` is measured here.

        Raises:
            NotFoundError: no such tool; the fact `closest` offers names.
            PermissionDeniedError: a scope is missing.
            NotConfiguredError: the tool is not available here.
            InvalidRequestError: the arguments do not fit the schema.
            RateLimitedError: the tenant's calls of this minute are used up.
            StepTimeoutError: `info.timeout_s` passed; the call was cancelled.
            DomainError: whatever else the tool raises.

        Cancelling cancels the tool.
        """
        entry = self._entry(name)
        if self._observer is None:
            return await self._executed(entry, arguments, context)
        with timed(partial(self._observer.tool_called, entry.tool.info.name), clock=self._clock) as outcome:
            result = await self._executed(entry, arguments, context)
            outcome.word = "ok" if result.ok else "failed"
        return result

    async def _executed(
        self, entry: _Entry, arguments: dict[str, object], context: ToolContext
    ) -> ToolResult:
        info = entry.tool.info
        _admit(info, context)
        entry.check(arguments)
        started = self._clock()
        tenant = context.call.tenant
        # What runs in a sandbox depends on the sandbox, not on the arguments alone.
        cacheable = info.cache_ttl_s > 0 and not info.needs_sandbox
        key = (tenant, info.name, canonical(arguments)) if cacheable else None
        if key is not None and (known := self._cache.find(key)) is not None:
            return replace(known, cached=True, duration_s=self._clock() - started)
        self._take(info, tenant)
        result = await _within(info, entry.tool.run(arguments, context))
        result = replace(result, duration_s=self._clock() - started)
        if key is not None:
            self._cache.keep(key, result, info.cache_ttl_s)
        return result

    def _entry(self, name: str) -> _Entry:
        entry = self._entries.get(name)
        if entry is None:
            asked = name[:MAX_NAME_CHARS]
            closest = difflib.get_close_matches(asked, self._entries, n=3, cutoff=0.5)
            raise NotFoundError("tool", asked, closest=closest)
        return entry

    def _take(self, info: ToolInfo, tenant: str) -> None:
        limit = info.rate_limit_per_minute
        if limit is None:
            return
        rate = Rate(limit, 60)
        now_us = int(self._clock() * MICROSECONDS)
        taken, [level_us] = self._meter.take([((tenant, info.name), rate)], now_us)
        if not taken:
            wait_s = rate.wait_us(level_us) / MICROSECONDS
            raise RateLimitedError(
                f"{info.name} may be called {limit} times a minute",
                quotas=(
                    Quota(
                        policy="tool",
                        limit=limit,
                        remaining=0,
                        window_s=60.0,
                        reset_s=level_us / MICROSECONDS,
                        retry_s=wait_s,
                        subject="tenant",
                    ),
                ),
                retry_after=timedelta(seconds=wait_s),
                limit=limit,
                tool=info.name,
            )


def _admit(info: ToolInfo, context: ToolContext) -> None:
    principal = context.call.principal
    for scope in info.permissions:
        if not principal.may(scope):
            raise PermissionDeniedError(f"{info.name} needs the scope {scope!r}", scope=scope, tool=info.name)
    if not info.available:
        raise NotConfiguredError(
            f"{info.name} is not available: {info.unavailable_reason or 'it is not configured'}",
            tool=info.name,
        )


async def _within(info: ToolInfo, running: Awaitable[ToolResult]) -> ToolResult:
    limit = asyncio.timeout(info.timeout_s)
    try:
        async with limit:
            return await running
    except TimeoutError:
        if not limit.expired():
            raise  # the tool's own
        raise StepTimeoutError(
            f"{info.name} did not finish within {info.timeout_s:g} s", tool=info.name
        ) from None
