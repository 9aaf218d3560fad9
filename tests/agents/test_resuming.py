"""Going on: after a pause, after a crash, in the next task of a session. Nothing lost, nothing double."""

import asyncio
from dataclasses import replace

import pytest
from pydantic_ai.messages import ModelRequest, ModelResponse, ToolReturnPart, UserPromptPart

from app.agents.transcript import read_transcript
from app.domain import lifecycle
from app.domain.events import ModelResponded, ToolCalled, ToolReturned, TurnStarted
from app.domain.tasks import Task, TaskState
from tests.agents.world import DEADLINE_S, World, now
from tests.llm.script import calls, says
from tests.llm.server import ScriptedLLM, scripted_llm

SUM = [calls("add", a=1, b=2), calls("slow"), calls("add", a=3, b=4), says("finished")]


def shape(messages: list[ModelRequest | ModelResponse]) -> list[str]:
    """The conversation as part kinds."""
    return [f"{message.kind}:{'+'.join(part.part_kind for part in message.parts)}" for message in messages]


WHOLE = [
    *("request:user-prompt", "response:tool-call", "request:tool-return"),
    *("response:tool-call", "request:tool-return", "response:tool-call", "request:tool-return"),
    "response:text",
]


async def test_a_paused_task_goes_on_where_it_was(world: World) -> None:
    async with scripted_llm(SUM) as llm:
        parked = await paused_in_the_slow_call(world, llm)
        assert (parked.state, parked.turn) == (TaskState.PAUSED, 2)

        await world.stores.tasks.update(parked.id, lifecycle.resumed(now()))
        task = await world.run(parked)

    assert task.state is TaskState.SUCCEEDED
    assert shape(await world.messages(task)) == WHOLE
    assert [exchange.turn for exchange in llm.requests] == [0, 1, 2, 3]
    assert [event.turn for event in await world.events(task, TurnStarted)] == [1, 2, 3, 4]
    assert len(await world.events(task, ToolReturned)) == len(await world.events(task, ToolCalled)) == 3
    assert (task.statistics.turns, task.statistics.tool_calls) == (4, 3)


async def paused_in_the_slow_call(world: World, llm: ScriptedLLM) -> Task:
    async with asyncio.timeout(DEADLINE_S), world.worker.opened(), asyncio.TaskGroup() as group:
        task = await world.submit("sum", llm=llm)
        group.create_task(world.worker.run(task.id, task.ticket))
        await world.tools.entered.wait()
        await world.stores.tasks.update(task.id, lifecycle.pause_requested(now()))
        world.worker.pause(task.id)
        world.tools.gate.set()
    return await world.task(task)


async def test_a_call_cut_short_by_a_crash_is_carried_out_again(world: World) -> None:
    async with scripted_llm(SUM) as llm:
        task = await killed_in_the_slow_call(world, llm)
        assert shape(await world.messages(task)) == WHOLE[:4]

        world.tools.gate.set()
        await world.stores.tasks.update(task.id, lifecycle.released(now(), "recovered"))
        task = await world.run(task)

    assert task.state is TaskState.SUCCEEDED
    assert shape(await world.messages(task)) == WHOLE
    assert [name for name, _ in world.tools.calls] == ["add", "slow", "slow", "add"]
    called = [event.call_id for event in await world.events(task, ToolCalled)]
    assert called == [event.call_id for event in await world.events(task, ToolReturned)]
    assert [exchange.turn for exchange in llm.requests] == [0, 1, 2, 3]


async def killed_in_the_slow_call(world: World, llm: ScriptedLLM) -> Task:
    """As a kill -9 leaves it: the store has no word of an end."""
    worker = world.a_worker()

    async def nothing(*_: object) -> None:
        return

    async with asyncio.timeout(DEADLINE_S), worker.opened(), asyncio.TaskGroup() as group:
        task = await world.submit("sum", llm=llm)
        running = group.create_task(worker.run(task.id, task.ticket))
        await world.tools.entered.wait()
        worker._hand_back = nothing  # type: ignore[method-assign]
        running.cancel()
    task = await world.task(task)
    assert task.state is TaskState.RUNNING
    return task


@pytest.mark.parametrize("turn", [1, 2, 3])
async def test_a_crash_in_mid_answer_asks_for_that_answer_again(world: World, turn: int) -> None:
    gate = asyncio.Event()
    script = [calls("add", a=1, b=2), calls("add", a=3, b=4), says("the end of it", chunk_chars=2)]
    held = [*script[: turn - 1], [replace(script[turn - 1], gate=gate, hold_after=2), script[turn - 1]]]
    async with scripted_llm([*held, *script[turn:]]) as llm:
        worker = world.a_worker()
        async with asyncio.timeout(DEADLINE_S), worker.opened(), asyncio.TaskGroup() as group:
            task = await world.submit("sum", llm=llm)
            running = group.create_task(worker.run(task.id, task.ticket))
            await llm.wait_for_requests(turn)
            running.cancel()
        handed_back = await world.task(task)
        assert (handed_back.state, handed_back.turn) == (TaskState.QUEUED, turn - 1)

        task = await world.run(task)

    assert task.state is TaskState.SUCCEEDED
    assert shape(await world.messages(task)) == [*WHOLE[:5], "response:text"]
    assert [event.turn for event in await world.events(task, ModelResponded)] == [1, 2, 3]
    assert len(world.tools.calls) == 2
    assert task.statistics.turns == 3


async def test_the_next_task_of_a_session_knows_what_was_said(world: World) -> None:
    script = {
        "first job": [calls("add", a=1, b=2), says("three")],
        "second job": [calls("add", a=3, b=4), says("seven")],
    }
    session = await world.session()
    async with scripted_llm(script) as llm:
        first = await world.finish("the first job", llm=llm, session=session)
        second = await world.finish("the second job", llm=llm, session=session)

    assert second.state is TaskState.SUCCEEDED
    said = [message["content"] for message in llm.requests[2].body["messages"] if message["role"] != "system"]
    assert said[0] == "the first job"
    assert said[-2:] == ["three", "the second job"]
    assert shape(await world.messages(second)) == [*WHOLE[:3], "response:text"]
    entries = read_transcript(await world.stores.tasks.transcript([first.id, second.id]))
    assert [(entry.role, entry.text) for entry in entries if entry.tool is None] == [
        ("user", "the first job"),
        ("assistant", "three"),
        ("user", "the second job"),
        ("assistant", "seven"),
    ]
    assert [(entry.role, entry.text, entry.tool) for entry in entries[1:3]] == [
        ("assistant", '{"a":1,"b":2}', "add"),
        ("tool", "3", "add"),
    ]
    assert [entry.index for entry in entries] == list(range(8))
    assert {entry.task_id for entry in entries} == {first.id, second.id}


async def test_a_session_goes_on_after_a_task_that_was_stopped_in_mid_call(world: World) -> None:
    session = await world.session()
    script = {"first job": [calls("slow")], "second job": [says("fine")]}
    async with scripted_llm(script) as llm:
        async with asyncio.timeout(DEADLINE_S), world.worker.opened(), asyncio.TaskGroup() as group:
            first = await world.submit("the first job", llm=llm, session=session)
            group.create_task(world.worker.run(first.id, first.ticket))
            await world.tools.entered.wait()
            await world.stores.tasks.update(first.id, lifecycle.cancelled("enough", "local", now()))
            world.worker.stop(first.id)
        second = await world.finish("the second job", llm=llm, session=session)

    assert second.state is TaskState.SUCCEEDED
    sent = llm.requests[1].body["messages"]
    assert "interrupted" in next(message["content"] for message in sent if message["role"] == "tool")


async def test_a_draining_process_hands_the_task_over(world: World) -> None:
    world.worker.drain()
    async with scripted_llm([says("never asked")]) as llm:
        task = await world.run(await world.submit("hello", llm=llm), worker=world.worker)

    assert (task.state, task.turn, llm.requests) == (TaskState.QUEUED, 0, [])
    assert await world.messages(task) == []


async def test_what_a_failed_task_said_last_is_kept(world: World) -> None:
    async with scripted_llm([calls("add", a=1, b=2), says("")]) as llm:
        task = await world.finish("fail", llm=llm)

    assert task.state is TaskState.FAILED
    messages = await world.messages(task)
    first, results = messages[0].parts[0], messages[2].parts[0]
    assert isinstance(first, UserPromptPart)
    assert isinstance(results, ToolReturnPart)
