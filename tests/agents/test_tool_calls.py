"""What becomes of tool calls, above all of wrong and failing ones: the model is told and goes on."""

from app.domain.events import MAX_EVENT_TEXT_CHARS, StepFinished, ToolCalled, ToolReturned
from app.domain.tasks import TaskState
from tests.agents.world import World
from tests.llm.script import ToolCall, Turn, calls, says
from tests.llm.server import scripted_llm
from tests.llm.wire import Ids


class SameIds(Ids):
    """Every id is the first one."""

    def next(self, prefix: str) -> str:
        return f"{prefix}0"


async def test_wrong_arguments_are_corrected_by_the_model(world: World) -> None:
    async with scripted_llm([calls("add", a="x", b=1), calls("add", a=2, b=1), says("3")]) as llm:
        task = await world.finish("add", llm=llm)

    first, second = await world.events(task, ToolReturned)
    assert (first.outcome, first.error_reason) == ("failed", "INVALID_REQUEST")
    assert "not of type" in first.output
    assert (second.outcome, second.output) == ("ok", "3")
    assert world.tools.named("add") == [{"a": 2, "b": 1}]
    assert task.state is TaskState.SUCCEEDED


async def test_an_unknown_tool_is_named_to_the_model(world: World) -> None:
    async with scripted_llm([calls("teleport"), says("I cannot teleport.")]) as llm:
        task = await world.finish("go", llm=llm)

    [returned] = await world.events(task, ToolReturned)
    assert (returned.outcome, returned.error_reason) == ("failed", "NOT_FOUND")
    assert "teleport" in returned.output
    assert "add" in returned.output
    assert task.state is TaskState.SUCCEEDED


async def test_a_tool_the_task_may_not_use_is_neither_offered_nor_carried_out(world: World) -> None:
    async with scripted_llm([calls("add", a=1, b=1), says("no")]) as llm:
        task = await world.finish("add", llm=llm, tools=("look",))

    assert llm.requests[0].tools == ("look",)
    assert world.tools.calls == []
    [returned] = await world.events(task, ToolReturned)
    assert returned.error_reason == "NOT_FOUND"


async def test_a_failing_tool_is_told_to_the_model(world: World) -> None:
    async with scripted_llm([calls("fail"), says("the printer burns")]) as llm:
        task = await world.finish("print", llm=llm)

    [returned] = await world.events(task, ToolReturned)
    assert (returned.outcome, returned.error_reason) == ("failed", "TOOL_FAILED")
    assert returned.output == "the printer is on fire"
    assert task.result is not None
    assert task.result.output == "the printer burns"


async def test_a_bug_in_a_tool_tells_nobody_its_secrets(world: World) -> None:
    async with scripted_llm([calls("bug"), says("it broke")]) as llm:
        task = await world.finish("try", llm=llm)

    [returned] = await world.events(task, ToolReturned)
    assert (returned.outcome, returned.error_reason) == ("failed", "INTERNAL")
    assert "sk-test" not in repr(await world.journal(task))
    assert "sk-test" not in repr(llm.requests[1].body)
    assert task.state is TaskState.SUCCEEDED


async def test_a_model_that_only_calls_wrongly_is_given_up(world: World) -> None:
    async with scripted_llm([calls("teleport") for _ in range(20)]) as llm:
        task = await world.finish("go", llm=llm)

    assert (task.state, task.failure and task.failure.reason) == (
        TaskState.FAILED,
        "MODEL_MALFORMED_ANSWER",
    )
    assert len(llm.requests) == 8


async def test_a_step_is_journaled_between_its_call_and_its_return(world: World) -> None:
    two = Turn(tool_calls=(ToolCall(name="step"), ToolCall(name="look")))
    async with scripted_llm([two, says("done")]) as llm:
        task = await world.finish("step", llm=llm)

    journaled = await world.events(task, ToolCalled, StepFinished, ToolReturned)
    for call in (event for event in journaled if isinstance(event, ToolCalled)):
        own = [type(event) for event in journaled if event.call_id == call.call_id]
        assert own == [ToolCalled, StepFinished, ToolReturned]
    assert [event.seq for event in await world.journal(task)] == list(range(1, task.last_seq + 1))


async def test_long_arguments_and_results_are_shortened_in_events_only(world: World) -> None:
    question = "x" * 40_000
    async with scripted_llm([calls("echo", note=question), says("done")]) as llm:
        task = await world.finish("long", llm=llm)

    [called] = await world.events(task, ToolCalled)
    assert len(called.arguments_json) <= MAX_EVENT_TEXT_CHARS
    assert called.arguments_json.startswith('{"note":"xxx')
    assert question in repr(llm.requests[1].body)


async def test_calls_that_share_an_id_get_ids_of_their_own(world: World) -> None:
    """Some servers number calls from 0 in every answer."""
    twice = Turn(
        tool_calls=(ToolCall(name="add", arguments={"a": 1, "b": 1}), ToolCall(name="look", arguments={}))
    )
    async with scripted_llm([twice, calls("add", a=2, b=2), says("done")]) as llm:
        for wire_format in llm._formats:
            wire_format._ids = SameIds()  # type: ignore[attr-defined]
        task = await world.finish("add", llm=llm)

    ids = [event.call_id for event in await world.events(task, ToolCalled)]
    assert len(set(ids)) == 3
    assert [event.call_id for event in await world.events(task, ToolReturned)][-1] == ids[-1]
    assert task.state is TaskState.SUCCEEDED
