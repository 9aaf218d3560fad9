"""What the registry does for every call."""

import asyncio
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from app.domain.errors import (
    InvalidRequestError,
    NotConfiguredError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitedError,
    StepTimeoutError,
)
from app.domain.tools import ToolInfo, ToolResult
from app.tools.base import ToolContext
from app.tools.builtin.all import built_in_tools
from app.tools.cache import MAX_OUTPUT_CHARS, ResultCache
from app.tools.egress import Egress
from app.tools.registry import ToolRegistry
from tests.unit.tools.context import FakeContext, a_call

SCHEMA: dict[str, object] = {
    "type": "object",
    "properties": {
        "word": {"type": "string", "maxLength": 5},
        "times": {"type": "array", "items": {"type": "integer"}},
    },
    "required": ["word"],
    "additionalProperties": False,
}


@dataclass(slots=True)
class Clock:
    now: float = 1_000.0

    def __call__(self) -> float:
        return self.now


@dataclass(slots=True)
class Echo:
    info: ToolInfo
    clock: Clock = field(default_factory=Clock)
    result: ToolResult | None = None
    runs: int = 0
    hang: bool = False
    cancelled: bool = False

    async def run(self, arguments: dict[str, object], context: ToolContext) -> ToolResult:
        self.runs += 1
        self.clock.now += 0.25
        if self.hang:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cancelled = True
                raise
        return self.result or ToolResult(output=str(arguments["word"]))


def an_echo(**changes: Any) -> Echo:
    info = ToolInfo(name="echo", title="Echo", description="Again.", parameters=SCHEMA, category="test")
    return Echo(replace(info, **changes))


def registry_of(*tools: Echo) -> ToolRegistry:
    return ToolRegistry(tools, clock=tools[0].clock)


async def test_a_call_returns_the_result_and_how_long_it_took() -> None:
    result = await registry_of(an_echo()).execute("echo", {"word": "hi"}, FakeContext())

    assert (result.output, result.ok, result.cached, result.duration_s) == ("hi", True, False, 0.25)


async def test_an_unknown_tool_is_not_found_and_close_names_are_offered() -> None:
    registry = registry_of(an_echo())

    with pytest.raises(NotFoundError) as caught:
        await registry.execute("ecko", {}, FakeContext())

    assert caught.value.facts["closest"] == "echo"
    assert not registry.knows("ecko")
    with pytest.raises(NotFoundError) as long:
        registry.get("x" * 1_000_000)
    assert len(long.value.message) < 300


@pytest.mark.parametrize(
    ("arguments", "field", "reason"),
    [
        ({}, "arguments.word", "REQUIRED"),
        ({"word": 1}, "arguments.word", "INVALID"),
        ({"word": "too long"}, "arguments.word", "INVALID"),
        ({"word": "a", "times": [1, "x"]}, "arguments.times.1", "INVALID"),
        ({"word": "a", "more": 1}, "arguments.more", "UNKNOWN_FIELD"),
    ],
)
async def test_wrong_arguments_are_named(arguments: dict[str, object], field: str, reason: str) -> None:
    tool = an_echo()

    with pytest.raises(InvalidRequestError) as caught:
        await registry_of(tool).execute("echo", arguments, FakeContext())

    assert [(one.field, one.reason) for one in caught.value.violations] == [(field, reason)]
    assert tool.runs == 0


async def test_a_violation_does_not_repeat_the_value() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        await registry_of(an_echo()).execute("echo", {"word": "hunter2-secret" * 1000}, FakeContext())

    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in caught.value.violations[0].description


@pytest.mark.parametrize("word", ["\ud800", float("nan"), 10**400])
async def test_what_is_not_json_is_refused(word: object) -> None:
    deep: object = []
    for _ in range(5_000):
        deep = [deep]

    for arguments in ({"word": word}, {"word": "a", "times": deep}):
        with pytest.raises(InvalidRequestError):
            await registry_of(an_echo()).execute("echo", arguments, FakeContext())


async def test_an_unavailable_tool_says_why() -> None:
    tool = an_echo(available=False, unavailable_reason="set ECHO_URL")

    with pytest.raises(NotConfiguredError, match="set ECHO_URL"):
        await registry_of(tool).execute("echo", {"word": "hi"}, FakeContext())


async def test_a_missing_scope_is_refused_and_a_granted_one_is_not() -> None:
    registry = registry_of(an_echo(permissions=("tools:echo",)))

    with pytest.raises(PermissionDeniedError):
        await registry.execute("echo", {"word": "hi"}, FakeContext(a_call(scopes=frozenset({"other"}))))
    granted = FakeContext(a_call(scopes=frozenset({"tools:echo"})))
    assert (await registry.execute("echo", {"word": "hi"}, granted)).ok


async def test_the_rate_limit_is_per_tenant_and_says_when_to_come_back() -> None:
    tool = an_echo(rate_limit_per_minute=2)
    registry = registry_of(tool)
    for _ in range(2):
        await registry.execute("echo", {"word": "hi"}, FakeContext(a_call("a")))
    tool.clock.now = 1_000.5

    with pytest.raises(RateLimitedError) as caught:
        await registry.execute("echo", {"word": "hi"}, FakeContext(a_call("a")))

    assert caught.value.retry_after is not None
    assert caught.value.retry_after.total_seconds() == pytest.approx(29.5)
    assert (await registry.execute("echo", {"word": "hi"}, FakeContext(a_call("b")))).ok
    tool.clock.now = 1_030.0
    assert (await registry.execute("echo", {"word": "hi"}, FakeContext(a_call("a")))).ok
    with pytest.raises(RateLimitedError):
        await registry.execute("echo", {"word": "hi"}, FakeContext(a_call("a")))


async def test_a_cached_answer_is_marked_and_free_until_its_time_is_over() -> None:
    tool = an_echo(cache_ttl_s=60.0, rate_limit_per_minute=1)
    registry = registry_of(tool)
    await registry.execute("echo", {"word": "hi", "times": [1]}, FakeContext())

    again = await registry.execute("echo", {"times": [1], "word": "hi"}, FakeContext())

    assert (again.output, again.cached, tool.runs) == ("hi", True, 1)
    tool.clock.now += 61.0
    assert not (await registry.execute("echo", {"word": "hi", "times": [1]}, FakeContext())).cached


async def test_tenants_and_sandboxes_do_not_share_answers() -> None:
    tool = an_echo(cache_ttl_s=60.0)
    registry = registry_of(tool)
    for tenant in ("a", "b"):
        assert not (await registry.execute("echo", {"word": "hi"}, FakeContext(a_call(tenant)))).cached

    sandboxed = an_echo(cache_ttl_s=60.0, needs_sandbox=True)
    registry = registry_of(sandboxed)
    for _ in range(2):
        assert not (await registry.execute("echo", {"word": "hi"}, FakeContext())).cached


async def test_failures_are_not_remembered() -> None:
    tool = an_echo(cache_ttl_s=60.0)
    tool.result = ToolResult(output="no", ok=False, error_reason="TOOL_FAILED")
    registry = registry_of(tool)

    for _ in range(2):
        assert not (await registry.execute("echo", {"word": "hi"}, FakeContext())).ok

    assert tool.runs == 2


async def test_a_tool_that_hangs_is_cancelled_when_its_time_is_over() -> None:
    tool = an_echo(timeout_s=0.02)
    tool.hang = True

    with pytest.raises(StepTimeoutError):
        await registry_of(tool).execute("echo", {"word": "hi"}, FakeContext())

    assert tool.cancelled


async def test_cancelling_the_call_cancels_the_tool() -> None:
    tool = an_echo()
    tool.hang = True

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await registry_of(tool).execute("echo", {"word": "hi"}, FakeContext())

    assert tool.cancelled


def test_listing_is_by_name_and_filters() -> None:
    registry = ToolRegistry(built_in_tools(Egress()))

    names = [info.name for info in registry.list()]

    assert names == sorted(names)
    assert set(names) == {
        "calculator", "write_file", "read_file", "list_files", "delete_file", "python", "sqlite_query",
        "http_fetch", "web_search", "ask_user", "current_time", "wait",
    }  # fmt: skip
    assert [info.name for info in registry.list(category="files", tag="read")] == ["list_files", "read_file"]
    for info in registry.list():
        assert info.parameters["additionalProperties"] is False
        assert info.parameters["type"] == "object"


def test_two_tools_of_one_name_and_bad_schemas_are_refused() -> None:
    with pytest.raises(ValueError, match="echo"):
        registry_of(an_echo(), an_echo())
    with pytest.raises(ValueError, match=r"."):
        registry_of(an_echo(parameters={"type": 5}))


def test_the_cache_stays_small() -> None:
    clock = Clock()
    cache = ResultCache(clock, max_entries=3)
    for number in range(10):
        cache.keep(("t", "tool", b"%d" % number), ToolResult(output="x"), 60.0)
    cache.keep(("t", "tool", b"big"), ToolResult(output="x" * (MAX_OUTPUT_CHARS + 1)), 60.0)

    assert len(cache) == 3
    assert cache.find(("t", "tool", b"9")) is not None
