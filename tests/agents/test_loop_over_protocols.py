"""The loop on each provider's real HTTP protocol: tools, streams, pictures, faults, cancellation."""

import asyncio
from pathlib import Path

import pytest

from app.domain import lifecycle
from app.domain.events import ModelResponded, ModelRetried, TextProduced, ToolCalled, ToolReturned
from app.domain.tasks import TaskState
from tests.agents.world import DEADLINE_S, World, now, open_world
from tests.llm.script import ToolCall, Turn, calls, fails, says
from tests.llm.server import scripted_llm
from tests.models.conftest import KEY


async def test_a_task_uses_tools_until_it_has_its_answer(world: World, protocol: str) -> None:
    script = [
        Turn(text="Let me add.", tool_calls=(ToolCall(name="add", arguments={"a": 42, "b": 58}),)),
        calls("add", a=100, b=200),
        says("It is 300."),
    ]
    async with scripted_llm(script, api_key=KEY) as llm:
        task = await world.finish("add it up", llm=llm, protocol=protocol)

    assert (task.state, task.result and task.result.output) == (TaskState.SUCCEEDED, "It is 300.")
    assert world.tools.named("add") == [{"a": 42, "b": 58}, {"a": 100, "b": 200}]
    assert [exchange.turn for exchange in llm.requests] == [0, 1, 2]
    assert await world.story(task) == [
        *("turn.started", "text.produced", "model.responded", "tool.called", "tool.returned"),
        *("turn.started", "model.responded", "tool.called", "tool.returned"),
        *("turn.started", "text.produced", "model.responded", "task.succeeded"),
    ]
    statistics = task.statistics
    assert (statistics.turns, statistics.tool_calls) == (3, 2)
    assert (statistics.input_tokens, statistics.output_tokens) == (33, 21)
    assert task.turn == 2  # the last turn came with the end


async def test_the_pieces_of_a_turn_concatenate_to_its_answer(world: World, protocol: str) -> None:
    text = "The quick brown fox jumps over the lazy dog. " * 200
    async with scripted_llm([says(text, chunk_chars=50)]) as llm:
        task = await world.finish("tell me", llm=llm, protocol=protocol)

    pieces = await world.events(task, TextProduced)
    assert task.result is not None
    assert "".join(piece.text for piece in pieces) == text == task.result.output
    assert 4 <= len(pieces) < 90  # some 2,000 characters or 50 ms each, not one of the 180 chunks


async def test_a_screenshot_goes_back_to_the_model(world: World, protocol: str) -> None:
    async with scripted_llm([*(calls("look") for _ in range(4)), says("four looks")]) as llm:
        task = await world.finish("what is on the screen?", llm=llm, protocol=protocol)

    assert task.state is TaskState.SUCCEEDED
    assert [exchange.images for exchange in llm.requests] == [0, 1, 2, 3, 3]
    stored = await world.stores.tasks.transcript([task.id])
    assert not any(b"iVBOR" in raw for _, raw in stored)
    assert sum(raw.count(b"artifact:sha256:") for _, raw in stored) == 4


async def test_a_rate_limit_is_waited_out_and_told(world: World, protocol: str) -> None:
    async with scripted_llm([[fails(429, retry_after="7"), says("here I am")]]) as llm:
        task = await world.finish("hello", llm=llm, protocol=protocol)

    [retried] = await world.events(task, ModelRetried)
    assert task.state is TaskState.SUCCEEDED
    assert (retried.turn, retried.attempt, retried.reason) == (1, 1, "MODEL_RATE_LIMITED")
    assert retried.delay_s >= 7
    assert await world.story(task) == [
        *("turn.started", "model.retried", "text.produced", "model.responded", "task.succeeded")
    ]


async def test_a_provider_that_keeps_failing_fails_the_task(world: World, protocol: str) -> None:
    async with scripted_llm([fails(500, error_message=f"broken with {KEY}")]) as llm:
        task = await world.finish("hello", llm=llm, protocol=protocol)

    assert (task.state, task.failure and task.failure.reason) == (TaskState.FAILED, "MODEL_UNAVAILABLE")
    assert len(await world.events(task, ModelRetried)) == 2
    assert KEY not in repr(await world.journal(task))


async def test_a_provider_that_says_nothing_is_a_timeout(tmp_path: Path, protocol: str) -> None:
    gate = asyncio.Event()
    async with (
        open_world(tmp_path, timeouts={"read_s": 0.1}) as world,
        scripted_llm([says("late", gate=gate)]) as llm,
    ):
        task = await world.finish("hello", llm=llm, protocol=protocol)

    assert (task.state, task.failure and task.failure.reason) == (TaskState.FAILED, "MODEL_TIMEOUT")


async def test_an_answer_that_is_cut_off_is_no_answer(world: World, protocol: str) -> None:
    async with scripted_llm([says("a long answer that never ends " * 5, cut_after=4)]) as llm:
        task = await world.finish("hello", llm=llm, protocol=protocol)

    assert (task.state, task.failure and task.failure.reason) == (TaskState.FAILED, "MODEL_UNAVAILABLE")
    assert not await world.events(task, ModelResponded)


async def test_an_answer_that_is_no_json_fails_the_task(world: World, protocol: str) -> None:
    async with scripted_llm([says("x", malformed=True)]) as llm:
        task = await world.finish("hello", llm=llm, protocol=protocol)

    assert task.state is TaskState.FAILED
    assert task.failure is not None
    assert task.failure.reason in {"MODEL_MALFORMED_ANSWER", "MODEL_UNAVAILABLE"}


async def test_cancelling_hangs_up_on_the_provider(world: World, protocol: str) -> None:
    gate = asyncio.Event()
    async with (
        scripted_llm([says("word " * 40, gate=gate, hold_after=4)]) as llm,
        asyncio.timeout(DEADLINE_S),
        world.worker.opened(),
        asyncio.TaskGroup() as group,
    ):
        task = await world.submit("hello", llm=llm, protocol=protocol)
        running = group.create_task(world.worker.run(task.id, task.ticket))
        [exchange] = await llm.wait_for_requests(1)
        await world.stores.tasks.update(task.id, lifecycle.cancelled("enough", "local", now()))
        world.worker.stop(task.id)

        await exchange.disconnected.wait()
        await running

    assert (await world.task(task)).state is TaskState.CANCELLED
    assert (await world.story(task))[-1] == "task.cancelled"


async def test_two_calls_of_one_turn_run_together(world: World, protocol: str) -> None:
    both = Turn(
        tool_calls=(ToolCall(name="slow"), ToolCall(name="add", arguments={"a": 1, "b": 2})),
    )
    async with scripted_llm([both, says("done")]) as llm, asyncio.TaskGroup() as group:
        running = group.create_task(world.finish("both", llm=llm, protocol=protocol))
        await world.tools.entered.wait()
        await world.tools.added.wait()
        world.tools.gate.set()
        task = await running

    called = await world.events(task, ToolCalled)
    returned = await world.events(task, ToolReturned)
    assert [event.tool for event in called] == ["slow", "add"]
    assert [event.tool for event in returned] == ["add", "slow"]  # as they came back
    assert {event.call_id for event in called} == {event.call_id for event in returned}
    assert task.state is TaskState.SUCCEEDED


@pytest.mark.parametrize("text", ["", "   "])
async def test_an_empty_answer_is_no_result(world: World, protocol: str, text: str) -> None:
    async with scripted_llm([says(text)]) as llm:
        task = await world.finish("hello", llm=llm, protocol=protocol)

    assert (task.state, task.failure and task.failure.reason) == (
        TaskState.FAILED,
        "MODEL_MALFORMED_ANSWER",
    )
