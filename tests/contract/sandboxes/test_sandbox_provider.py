"""What every kind of sandbox promises, whatever it is made of.

A kind that lacks a capability says so in `probe()`; only then may a test pass it by.
"""

import asyncio
from time import monotonic

import pytest

from app.domain.errors import (
    ActionNotSupportedError,
    DomainError,
    InvalidRequestError,
    SandboxCrashedError,
    SandboxViolationError,
    StepTimeoutError,
    TargetNotFoundError,
)
from app.domain.ids import SandboxId
from app.domain.sandboxes import ACTION_TYPES, Action, Availability
from app.sandboxes.base import SandboxProvider

FOREVER = "while True: pass"


def write(path: str, content: str, **more: object) -> Action:
    return Action(type="write_file", arguments={"path": path, "content": content, **more})


def read(path: str) -> Action:
    return Action(type="read_file", arguments={"path": path})


def code(text: str) -> Action:
    return Action(type="run_code", arguments={"code": text})


async def test_a_probe_tells_what_can_be_done_here(provider: SandboxProvider) -> None:
    kind = await provider.probe()

    assert kind.kind == provider.kind
    assert set(kind.actions) <= set(ACTION_TYPES)
    assert kind.availability is Availability.OK or kind.reasons


async def test_a_file_written_is_read_back_and_kept(provider: SandboxProvider, kept) -> None:
    sandbox = await provider.create(kept.spec("a"))

    wrote = await sandbox.act(write("notes/a.txt", "héllo\n"), timeout_s=5)
    seen = await sandbox.act(read("notes/a.txt"), timeout_s=5)
    listed = await sandbox.act(Action(type="list_files"), timeout_s=5)

    assert wrote.status == "ok"
    assert wrote.verified is not None
    assert wrote.verified.ok
    assert kept.saved["notes/a.txt"] == "héllo\n".encode()
    assert seen.output == "héllo\n"
    assert listed.data == {"files": [{"path": "notes/a.txt", "size_bytes": 7}]}


async def test_a_file_can_be_appended_to_and_deleted(provider: SandboxProvider, kept) -> None:
    sandbox = await provider.create(kept.spec("a"))

    await sandbox.act(write("a.txt", "one"), timeout_s=5)
    await sandbox.act(write("a.txt", " two", append=True), timeout_s=5)
    seen = await sandbox.act(read("a.txt"), timeout_s=5)
    await sandbox.act(Action(type="delete_file", arguments={"path": "a.txt"}), timeout_s=5)
    gone = await sandbox.act(read("a.txt"), timeout_s=5)

    assert seen.output == "one two"
    assert (gone.status, gone.error_reason) == ("failed", "TARGET_NOT_FOUND")


async def test_a_missing_file_is_a_failed_step_that_offers_names(provider: SandboxProvider, kept) -> None:
    sandbox = await provider.create(kept.spec("a"))
    await sandbox.act(write("total.txt", "1"), timeout_s=5)

    missing = await sandbox.act(read("totl.txt"), timeout_s=5)

    assert missing.status == "failed"
    assert "closest: total.txt" in missing.output


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({}, "arguments.path"),
        ({"path": 1, "content": "x"}, "arguments.path"),
        ({"path": "a", "content": "x", "mode": "0777"}, "arguments.mode"),
        ({"path": "a", "content": "\ud800"}, "arguments.content"),
        ({"path": "a\x00b", "content": "x"}, "arguments.path"),
        ({"path": "x" * 300, "content": "x"}, "arguments.path"),
        ({"path": "a", "content": "!", "encoding": "base64"}, "arguments.content"),
        ({"path": "d/" * 40 + "a", "content": "x"}, "arguments.path"),
        ({"path": ".", "content": "x"}, "arguments.path"),
    ],
)
async def test_a_wrong_argument_is_named(
    provider: SandboxProvider, kept, arguments: dict[str, object], field: str
) -> None:
    sandbox = await provider.create(kept.spec("a"))

    with pytest.raises(InvalidRequestError) as refused:
        await sandbox.act(Action(type="write_file", arguments=arguments), timeout_s=5)

    assert field in [violation.field for violation in refused.value.violations]


async def test_an_action_of_another_kind_is_not_supported_and_an_unknown_one_is_wrong(
    provider: SandboxProvider, kept
) -> None:
    sandbox = await provider.create(kept.spec("a"))
    lacking = sorted(set(ACTION_TYPES) - set((await provider.probe()).actions))

    for name in lacking:
        with pytest.raises(ActionNotSupportedError):
            await sandbox.act(Action(type=name), timeout_s=5)
    with pytest.raises(InvalidRequestError):
        await sandbox.act(Action(type="fly"), timeout_s=5)


@pytest.mark.parametrize(
    "path", ["../x", "/etc/passwd", "a/../../x", "~/x", "/workspace/../x", "/workspacex/y", "a\\..\\x"]
)
async def test_no_path_leads_out(provider: SandboxProvider, kept, path: str) -> None:
    sandbox = await provider.create(kept.spec("a"))

    for action in (write(path, "x"), read(path), Action(type="delete_file", arguments={"path": path})):
        with pytest.raises(SandboxViolationError):
            await sandbox.act(action, timeout_s=5)


async def test_code_says_what_it_printed_returned_and_made(provider: SandboxProvider, kept) -> None:
    sandbox = await provider.create(kept.spec("a"))

    ran = await sandbox.act(code("open('made.txt', 'w').write('1')\nprint('hello')\n6 * 7"), timeout_s=5)

    assert (ran.status, ran.output) == ("ok", "hello\n42")
    assert ran.data is not None
    assert ran.data["files"] == ["made.txt"]
    assert ran.data["value"] == 42
    assert kept.saved["made.txt"] == b"1"


async def test_code_that_raises_is_a_failed_step_with_its_traceback(provider: SandboxProvider, kept) -> None:
    sandbox = await provider.create(kept.spec("a"))

    ran = await sandbox.act(code("def f():\n    raise ValueError('boom')\nf()"), timeout_s=5)
    again = await sandbox.act(code("1 + 1"), timeout_s=5)

    assert (ran.status, ran.error_reason) == ("failed", "CODE_FAILED")
    assert "ValueError: boom" in ran.output
    assert "line 2" in ran.output
    assert again.output == "2"


async def test_code_beyond_its_time_is_ended_and_the_sandbox_goes_on(provider: SandboxProvider, kept) -> None:
    sandbox = await provider.create(kept.spec("a"))
    began = monotonic()

    with pytest.raises(StepTimeoutError):
        await sandbox.act(code(FOREVER), timeout_s=0.5)

    assert monotonic() - began < 2.5
    assert (await sandbox.act(code("1 + 1"), timeout_s=5)).output == "2"


@pytest.mark.parametrize(
    "endless",
    [
        code(FOREVER),
        Action(type="wait", arguments={"ms": 300_000}),
        Action(
            type="query_database",
            arguments={
                "path": "a.db",
                "sql": "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x FROM c) SELECT count(*) FROM c",
            },
        ),
    ],
    ids=["code", "wait", "sql"],
)
async def test_a_cancel_ends_what_runs_within_a_second(
    provider: SandboxProvider, kept, endless: Action
) -> None:
    sandbox = await provider.create(kept.spec("a"))
    if endless.type not in (await provider.probe()).actions:
        return
    running = asyncio.Event()

    async def act() -> None:
        running.set()
        await sandbox.act(endless, timeout_s=60)

    async with asyncio.TaskGroup() as group:
        acting = group.create_task(act())
        await running.wait()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(acting), 0.3)  # it runs by then
        began = monotonic()
        acting.cancel()
    assert monotonic() - began < 1.0
    assert acting.cancelled()
    assert (await sandbox.act(code("1 + 1"), timeout_s=5)).output == "2"


async def test_closing_ends_what_runs_and_can_be_repeated(provider: SandboxProvider, kept) -> None:
    """Whoever acted is told so; their own task is not cancelled."""
    sandbox = await provider.create(kept.spec("a"))
    running = asyncio.Event()

    async def act() -> None:
        running.set()
        with pytest.raises(SandboxCrashedError):
            await sandbox.act(code(FOREVER), timeout_s=60)

    async with asyncio.timeout(3), asyncio.TaskGroup() as group:
        acting = group.create_task(act())
        await running.wait()
        await sandbox.close()
        await sandbox.close()
    assert not acting.cancelled()
    with pytest.raises(DomainError):
        await sandbox.act(read("a.txt"), timeout_s=5)


async def test_files_outlive_close_until_destroyed(provider: SandboxProvider, kept) -> None:
    sandbox = await provider.create(kept.spec("a"))
    await sandbox.act(write("a.txt", "kept"), timeout_s=5)
    await sandbox.close()

    again = await provider.attach(kept.spec("a"))
    seen = await again.act(read("a.txt"), timeout_s=5)
    await again.close()
    await provider.destroy(SandboxId("a"))
    await provider.destroy(SandboxId("a"))

    assert seen.output == "kept"
    with pytest.raises(TargetNotFoundError):
        await provider.attach(kept.spec("a"))


async def test_reaping_removes_what_no_record_knows(provider: SandboxProvider, kept) -> None:
    for name in ("known", "stray"):
        await (await provider.create(kept.spec(name))).close()

    await provider.reap([SandboxId("known")])

    await (await provider.attach(kept.spec("known"))).close()
    with pytest.raises(TargetNotFoundError):
        await provider.attach(kept.spec("stray"))


async def test_two_sandboxes_do_not_see_each_other(provider: SandboxProvider, kept) -> None:
    first, second = await provider.create(kept.spec("a")), await provider.create(kept.spec("b"))

    await first.act(write("mine.txt", "secret"), timeout_s=5)
    seen = await second.act(code("import os\nos.listdir('.')"), timeout_s=5)

    assert seen.output == "[]"
