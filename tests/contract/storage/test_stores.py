"""What the other stores promise; knows no make."""

import asyncio
from dataclasses import replace

import pytest

from app.domain.agents import AgentDefinition
from app.domain.configuration import GlobalConfiguration, TaskConfiguration, TaskLimits
from app.domain.errors import (
    AlreadyExistsError,
    InvalidCursorError,
    InvalidRequestError,
    NotFoundError,
    QuotaExceededError,
    StaleVersionError,
)
from app.domain.ids import AgentId, Digest, SandboxId, SessionId, TaskId
from app.domain.paging import encode_cursor
from app.domain.sandboxes import Sandbox, SandboxState
from app.domain.secrets import Secret
from app.domain.tasks import TaskState
from app.storage.base import Stores, TaskFilter
from tests.contract.storage.values import (
    ACME,
    OTHER,
    T0,
    a_session,
    ended,
    later,
    new_id,
    queued,
    running,
    said,
)


def an_agent(name: str = "writer", **fields: object) -> AgentDefinition:
    agent = AgentDefinition(id=AgentId(name), tenant=ACME, instructions="Grüße", created_at=T0, updated_at=T0)
    return replace(agent, **fields)  # type: ignore[arg-type]


def a_sandbox(at_s: float = 0, **fields: object) -> Sandbox:
    sandbox = Sandbox(
        id=SandboxId(new_id("sandbox", later(at_s))),
        tenant=ACME,
        kind="local",
        state=SandboxState.OPEN,
        created_at=later(at_s),
    )
    return replace(sandbox, **fields)  # type: ignore[arg-type]


async def test_of_sessions_everything_is_read_back(stores: Stores) -> None:
    session = await stores.sessions.add(replace(a_session(title="a\x00b 🙂"), metadata={"k": "v"}))

    await stores.sessions.keep_sandbox(session.id, SandboxId("sandbox_1"), later(5))

    kept = await stores.sessions.get(ACME, session.id)
    assert kept == replace(session, sandbox_id=SandboxId("sandbox_1"), updated_at=later(5))
    with pytest.raises(AlreadyExistsError):
        await stores.sessions.add(session)
    with pytest.raises(NotFoundError):
        await stores.sessions.get(OTHER, session.id)
    with pytest.raises(NotFoundError):
        await stores.sessions.delete(OTHER, session.id)
    await stores.sessions.delete(ACME, session.id)
    with pytest.raises(NotFoundError):
        await stores.sessions.get(ACME, session.id)


async def test_of_a_deleted_session_its_tasks_stay(stores: Stores) -> None:
    session = await stores.sessions.add(a_session())
    task = await ended(stores, session_id=session.id)

    await stores.sessions.delete(ACME, session.id)

    assert (await stores.tasks.get(ACME, task.id)).spec.session_id == session.id


async def test_of_agents_everything_is_read_back_but_the_key(stores: Stores) -> None:
    configuration = TaskConfiguration(
        model="openai:x", model_api_key=Secret("sk"), tools=("a", "b"), limits=TaskLimits(max_steps=3)
    )
    agent = await stores.agents.add(an_agent(configuration=configuration))

    kept = await stores.agents.get(ACME, agent.id)

    assert kept == replace(agent, configuration=replace(configuration, model_api_key=None))
    with pytest.raises(AlreadyExistsError):
        await stores.agents.add(agent)
    with pytest.raises(NotFoundError):
        await stores.agents.get(OTHER, agent.id)


async def test_of_agents_versions_guard_changes(stores: Stores) -> None:
    agent = await stores.agents.add(an_agent())

    changes = [
        stores.agents.replace(replace(agent, description=str(n)), expected_version=1) for n in range(4)
    ]
    outcomes = await asyncio.gather(*changes, return_exceptions=True)

    assert sorted(type(o).__name__ for o in outcomes) == ["AgentDefinition"] + ["StaleVersionError"] * 3
    assert (await stores.agents.get(ACME, agent.id)).version == 2
    with pytest.raises(NotFoundError):
        await stores.agents.replace(an_agent("none"), expected_version=1)
    with pytest.raises(StaleVersionError):
        await stores.agents.delete(ACME, agent.id, expected_version=1)
    await stores.agents.delete(ACME, agent.id, expected_version=2)
    with pytest.raises(NotFoundError):
        await stores.agents.delete(ACME, agent.id)


async def test_of_agents_pages_go_by_id(stores: Stores) -> None:
    for name in ("c", "a", "e", "b", "d"):
        await stores.agents.add(an_agent(name))

    first = await stores.agents.page(ACME, size=2, cursor=None)
    second = await stores.agents.page(ACME, size=3, cursor=first.next_cursor)

    assert [a.id for a in (*first.items, *second.items)] == list("abcde")
    assert second.next_cursor is None
    assert (await stores.agents.page(OTHER, size=2, cursor=None)).items == []


async def test_of_configurations_versions_guard_changes(stores: Stores) -> None:
    assert await stores.configuration.load(ACME) == (GlobalConfiguration(), None)
    values = TaskConfiguration(model="m", model_api_key=Secret("sk"), temperature=0.5)
    wanted = GlobalConfiguration(values=values, updated_at=T0)

    saved = await stores.configuration.save(ACME, wanted, b"sealed", expected_version=0)

    assert await stores.configuration.load(ACME) == (saved, b"sealed")
    assert saved.values.model_api_key is None
    assert saved.version == 1
    for stale in (0, 2):
        with pytest.raises(StaleVersionError):
            await stores.configuration.save(ACME, wanted, None, expected_version=stale)
    assert (await stores.configuration.save(ACME, wanted, None, expected_version=1)).version == 2
    assert (await stores.configuration.load(ACME))[1] is None
    assert (await stores.configuration.load(OTHER))[0].version == 0


async def test_of_sandboxes_the_open_ones_are_found(stores: Stores) -> None:
    first, second, third = (a_sandbox(n, expires_at=later(99)) for n in range(3))
    for sandbox in (first, second, third):
        await stores.sandboxes.add(sandbox)

    await stores.sandboxes.set_state(second.id, SandboxState.CLOSED)
    await stores.sandboxes.set_state(SandboxId("sandbox_none"), SandboxState.CLOSED)

    assert await stores.sandboxes.get(ACME, second.id) == replace(second, state=SandboxState.CLOSED)
    assert {s.id for s in await stores.sandboxes.open_sandboxes()} == {first.id, third.id}
    page = await stores.sandboxes.page(ACME, size=10, cursor=None, open_only=True)
    assert list(page.items) == [third, first]
    assert len((await stores.sandboxes.page(ACME, size=10, cursor=None)).items) == 3
    with pytest.raises(NotFoundError):
        await stores.sandboxes.get(OTHER, first.id)


async def test_of_pages_tasks_added_meanwhile_move_nothing(stores: Stores) -> None:
    tasks = [await queued(stores, at=later(n // 2)) for n in range(7)]  # equal times: the id decides
    expected = [task.id for task in sorted(tasks, key=lambda t: (t.created_at, t.id), reverse=True)]

    seen: list[str] = []
    cursor = None
    for round_number in range(4):
        page = await stores.tasks.page(ACME, TaskFilter(), size=2, cursor=cursor)
        seen += [task.id for task in page.items]
        cursor = page.next_cursor
        await queued(stores, at=later(100 + round_number))

    assert seen == expected
    assert cursor is None


async def test_of_filters_all_must_match(stores: Stores) -> None:
    session = await stores.sessions.add(a_session())
    plain = await queued(stores, at=later(1))
    busy = await running(stores, at=later(2), metadata={"a": "1", "b": "2"}, agent_id="writer")
    talk = await queued(stores, at=later(3), session_id=session.id, metadata={"a": "1"})
    await queued(stores, OTHER, at=later(2))

    async def found(**fields: object) -> list[TaskId]:
        where = TaskFilter(**fields)  # type: ignore[arg-type]
        return [task.id for task in (await stores.tasks.page(ACME, where, size=10, cursor=None)).items]

    assert await found() == [talk.id, busy.id, plain.id]
    assert await found(states=frozenset({TaskState.RUNNING})) == [busy.id]
    assert await found(session_id=session.id) == [talk.id]
    assert await found(agent_id=AgentId("writer")) == [busy.id]
    assert await found(metadata=(("a", "1"),)) == [talk.id, busy.id]
    assert await found(metadata=(("a", "1"), ("b", "2"))) == [busy.id]
    assert await found(metadata=(("a", "2"),)) == []
    assert await found(created_after=later(1), created_before=later(3)) == [busy.id]


@pytest.mark.parametrize("cursor", ["", "x", "WyJ0YXNrcyIsIngiLCJ5Il0", "\x00", "\ud800", "é", "=" * 9])
async def test_of_cursors_only_our_own_are_taken(stores: Stores, cursor: str) -> None:
    with pytest.raises(InvalidCursorError):
        await stores.tasks.page(ACME, TaskFilter(), size=2, cursor=cursor)
    with pytest.raises(InvalidCursorError):
        await stores.agents.page(ACME, size=2, cursor=cursor)


@pytest.mark.parametrize("odd", ["a\x00b", "\ud800", "x" * 10_000, "' OR 1=1 --"])
async def test_of_odd_ids_nothing_is_found(stores: Stores, odd: str) -> None:
    refused = (NotFoundError, InvalidRequestError)
    with pytest.raises(refused):
        await stores.tasks.get(ACME, TaskId(odd))
    with pytest.raises(refused):
        await stores.tasks.update(TaskId(odd), said("x"))
    with pytest.raises(refused):
        await stores.sessions.get(ACME, SessionId(odd))
    with pytest.raises(refused):
        await stores.agents.get(ACME, AgentId(odd))
    with pytest.raises(refused):
        await stores.artifacts.get(ACME, Digest(odd))


async def test_of_artifacts_bytes_are_read_by_ranges(stores: Stores) -> None:
    data = bytes(range(256)) * 3_000  # three chunks where bytes are chunked
    task = await running(stores)

    ref = await stores.artifacts.put(ACME, data, name="d.bin", media_type="x/y", task_id=task.id)

    assert ref.size_bytes == len(data)
    assert (await stores.artifacts.get(ACME, ref.digest)).ref == ref
    assert await stores.artifacts.read(ACME, ref.digest) == data
    for offset, length in ((0, 1), (262_143, 2), (262_144, 262_144), (767_990, 100), (768_000, 5), (9**9, 1)):
        expected = data[offset : offset + length]
        assert await stores.artifacts.read(ACME, ref.digest, offset=offset, length=length) == expected
    assert await stores.artifacts.read(ACME, ref.digest, offset=700_000) == data[700_000:]


async def test_of_artifacts_only_who_claimed_the_bytes_reads_them(stores: Stores) -> None:
    ref = await stores.artifacts.put(ACME, b"shared", name="a", media_type="t/p", task_id=None)

    with pytest.raises(NotFoundError):
        await stores.artifacts.read(OTHER, ref.digest)
    await stores.artifacts.put(OTHER, b"shared", name="b", media_type="t/p", task_id=None)

    assert await stores.artifacts.read(OTHER, ref.digest) == b"shared"
    assert (await stores.artifacts.get(OTHER, ref.digest)).ref.name == "b"


async def test_of_artifacts_a_task_lists_each_once_in_order(stores: Stores) -> None:
    task = await running(stores)
    names = ["b.txt", "a.txt", "b.txt", ""]

    for name in names:
        await stores.artifacts.put(ACME, name.encode(), name=name, media_type="t/p", task_id=task.id)

    made = await stores.artifacts.of_task(ACME, task.id)
    assert [artifact.ref.name for artifact in made] == ["b.txt", "a.txt", ""]
    assert await stores.artifacts.read(ACME, made[2].ref.digest) == b""
    assert await stores.artifacts.of_task(OTHER, task.id) == []


async def test_of_artifacts_beyond_the_limit_none_is_kept(stores: Stores) -> None:
    with pytest.raises(QuotaExceededError):
        await stores.artifacts.put(ACME, b"x" * 2_000_001, name="a", media_type="t/p", task_id=None)


async def test_of_equal_bytes_put_at_once_all_are_kept(stores: Stores) -> None:
    data = b"y" * 600_000
    puts = [stores.artifacts.put(ACME, data, name=f"n{n}", media_type="t/p", task_id=None) for n in range(8)]

    refs = await asyncio.gather(*puts)

    assert len({ref.digest for ref in refs}) == 1
    assert await stores.artifacts.read(ACME, refs[0].digest) == data


async def test_of_a_sweep_old_tasks_and_their_bytes_go(stores: Stores) -> None:
    old = [await ended(stores, at=later(n)) for n in range(3)]
    young = await ended(stores, at=later(1000))
    active = await running(stores)
    ref = await stores.artifacts.put(ACME, b"old", name="a", media_type="t/p", task_id=old[0].id)
    shared = await stores.artifacts.put(ACME, b"shared", name="a", media_type="t/p", task_id=old[0].id)
    await stores.artifacts.put(ACME, b"shared", name="a", media_type="t/p", task_id=active.id)

    first = await stores.retention.sweep(ended_before=later(500), events_per_task=100, limit=2)
    second = await stores.retention.sweep(ended_before=later(500), events_per_task=100, limit=2)
    third = await stores.retention.sweep(ended_before=later(500), events_per_task=100, limit=2)

    assert (first, second, third) == (2, 1, 0)
    for task in old:
        assert await stores.tasks.find(task.id) is None
    with pytest.raises(NotFoundError):
        await stores.artifacts.get(ACME, ref.digest)
    assert await stores.artifacts.read(ACME, shared.digest) == b"shared"
    assert await stores.tasks.find(young.id) == young
    again = await stores.artifacts.put(ACME, b"old", name="a", media_type="t/p", task_id=active.id)
    assert await stores.artifacts.read(ACME, again.digest) == b"old"


async def test_of_a_sweep_long_journals_keep_their_newest_events(stores: Stores) -> None:
    task = await running(stores)
    for n in range(10):
        await stores.tasks.update(task.id, said(str(n)))
    other = await queued(stores)

    swept = await stores.retention.sweep(ended_before=T0, events_per_task=4, limit=10)

    assert swept == 1
    kept = await stores.tasks.get(ACME, task.id)
    assert (kept.first_seq, kept.last_seq) == (10, 13)
    assert [e.seq for e in await stores.journal.read(task.id, 0)] == [10, 11, 12, 13]
    assert (await stores.tasks.update(task.id, said("more"))).first_seq == 10
    assert await stores.tasks.find(other.id) == other
    assert (await stores.journal.positions(ACME))[0] == 10


@pytest.mark.parametrize(
    "keys",
    [("--1", "a"), ("-", "a"), ("1-", "a"), ("9" * 19, "a"), ("²", "a"), ("1", "a\0"), ("1", "\ud800")],
)
async def test_a_cursor_made_up_by_a_caller_is_refused(stores: Stores, keys: tuple[str, str]) -> None:
    for name, page in (
        ("tasks", lambda cursor: stores.tasks.page(ACME, TaskFilter(), size=2, cursor=cursor)),
        ("sessions", lambda cursor: stores.sessions.page(ACME, size=2, cursor=cursor)),
        ("sandboxes", lambda cursor: stores.sandboxes.page(ACME, size=2, cursor=cursor)),
    ):
        with pytest.raises(InvalidCursorError):
            await page(encode_cursor(name, *keys))


@pytest.mark.parametrize("key", ["a\0", "\ud800", "a\nb"])
async def test_a_cursor_of_agents_made_up_by_a_caller_is_refused(stores: Stores, key: str) -> None:
    with pytest.raises(InvalidCursorError):
        await stores.agents.page(ACME, size=2, cursor=encode_cursor("agents", key))
