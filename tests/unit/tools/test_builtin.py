"""The tools that act in a sandbox, ask a person or know the time."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from app.domain.artifacts import ArtifactRef
from app.domain.errors import InvalidRequestError, UnsupportedError
from app.domain.ids import Digest
from app.domain.sandboxes import ACTION_TYPES, Action, StepResult
from app.tools.builtin.all import built_in_tools
from app.tools.builtin.clock import CurrentTime
from app.tools.egress import Egress
from app.tools.registry import ToolRegistry
from tests.unit.tools.context import FakeContext, a_step

REGISTRY = ToolRegistry(built_in_tools(Egress()))


@pytest.mark.parametrize(
    ("tool", "arguments", "action", "sent"),
    [
        ("write_file", {"path": "a.txt", "content": "hi"}, "write_file", {"append": False}),
        ("write_file", {"path": "a.txt", "content": "hi", "append": True}, "write_file", {}),
        ("read_file", {"path": "a.txt"}, "read_file", {}),
        ("list_files", {}, "list_files", {"path": "."}),
        ("list_files", {"path": "notes"}, "list_files", {}),
        ("delete_file", {"path": "a.txt"}, "delete_file", {}),
        ("python", {"code": "print(1)"}, "run_code", {}),
        ("sqlite_query", {"path": "a.db", "sql": "select 1"}, "query_database", {"parameters": []}),
        ("sqlite_query", {"path": "a.db", "sql": "select ?", "parameters": [1, "x", None, 0.5, True]},
         "query_database", {}),
    ],
)  # fmt: skip
async def test_a_sandbox_tool_is_one_action(
    tool: str, arguments: dict[str, object], action: str, sent: dict[str, object]
) -> None:
    context = FakeContext()

    result = await REGISTRY.execute(tool, arguments, context)

    [(acted, timeout_s)] = context.actions
    assert (acted.type, acted.arguments) == (action, arguments | sent)
    assert action in ACTION_TYPES
    assert 0 < timeout_s < REGISTRY.get(tool).info.timeout_s
    assert (result.ok, result.output, REGISTRY.get(tool).info.needs_sandbox) == (True, "done", True)


async def test_a_failed_step_is_a_failed_call_with_everything_it_left() -> None:
    file, screen = (
        ArtifactRef(digest=Digest(f"sha256:{name}"), name=name, media_type="image/png", size_bytes=1)
        for name in ("file", "screen")
    )

    def failing(action: Action) -> StepResult:
        return replace(
            a_step(action),
            status="failed",
            output="Traceback",
            data={"exit_code": 1},
            artifacts=(file,),
            screenshot=screen,
            error_reason="CODE_FAILED",
        )

    result = await REGISTRY.execute("python", {"code": "1/0"}, FakeContext(answer=failing))

    assert (result.ok, result.output, result.error_reason) == (False, "Traceback", "CODE_FAILED")
    assert (result.data, result.artifacts) == ({"exit_code": 1}, (file, screen))


async def test_a_question_needs_a_person() -> None:
    info = REGISTRY.get("ask_user").info

    assert (info.category, "equires a person" in info.description) == ("human", True)
    with pytest.raises(UnsupportedError, match="requires a person"):
        await REGISTRY.execute("ask_user", {"question": "Which one?"}, FakeContext())


async def test_the_time_is_told_in_the_zone_asked_for() -> None:
    registry = ToolRegistry([CurrentTime(lambda: datetime(2026, 7, 1, 22, 30, tzinfo=UTC))])

    utc = await registry.execute("current_time", {}, FakeContext())
    berlin = await registry.execute("current_time", {"timezone": "Europe/Berlin"}, FakeContext())

    assert utc.output == "2026-07-01T22:30:00+00:00 (Wednesday, UTC)"
    assert berlin.output == "2026-07-02T00:30:00+02:00 (Thursday, Europe/Berlin)"
    for zone in ("Mars/Olympus", "../../etc/passwd", "/etc/localtime", "\0"):
        with pytest.raises(InvalidRequestError) as caught:
            await registry.execute("current_time", {"timezone": zone}, FakeContext())
        assert caught.value.violations[0].field == "arguments.timezone"


async def test_waiting_is_bounded_and_cancellable() -> None:
    assert (await REGISTRY.execute("wait", {"seconds": 0.01}, FakeContext())).output == "waited 0.01 s"

    for seconds in (-1, 61, "1"):
        with pytest.raises(InvalidRequestError):
            await REGISTRY.execute("wait", {"seconds": seconds}, FakeContext())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await REGISTRY.execute("wait", {"seconds": 60}, FakeContext())
