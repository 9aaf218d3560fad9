"""Approvals and questions: the task parks, a person answers, the task goes on where it was."""

from app.domain.events import InputRequested, ToolCalled, ToolReturned
from app.domain.tasks import InputAnswer, TaskState
from tests.agents.world import World
from tests.llm.script import ToolCall, Turn, calls, says
from tests.llm.server import scripted_llm

LAUNCH = calls("launch", a=40, b=2)


async def test_an_approved_call_is_carried_out_once(world: World) -> None:
    async with scripted_llm([LAUNCH, says("launched")]) as llm:
        parked = await world.finish("launch it", llm=llm)

        [request] = parked.pending
        assert (parked.state, request.kind, request.tool) == (TaskState.WAITING, "approval", "launch")
        assert request.arguments_json == '{"a":40,"b":2}'
        assert world.tools.calls == []
        await world.answer(parked, InputAnswer(request_id=request.id, approved=True, by="ada"))
        task = await world.run(parked)

    assert world.tools.named("launch") == [{"a": 40, "b": 2}]
    assert task.result is not None
    assert task.result.output == "launched"
    [returned] = await world.events(task, ToolReturned)
    assert (returned.outcome, returned.output, returned.turn) == ("ok", "42", 1)
    assert len(await world.events(task, ToolCalled)) == 1
    assert [exchange.turn for exchange in llm.requests] == [0, 1]


async def test_a_denied_call_is_not_carried_out_and_the_model_is_told(world: World) -> None:
    async with scripted_llm([LAUNCH, says("then not")]) as llm:
        parked = await world.finish("launch it", llm=llm)
        await world.answer(
            parked, InputAnswer(request_id=parked.pending[0].id, approved=False, text="not on a Friday")
        )
        task = await world.run(parked)

    assert world.tools.calls == []
    [returned] = await world.events(task, ToolReturned)
    assert (returned.outcome, returned.error_reason) == ("denied", "DENIED")
    assert "denied" in repr(llm.requests[1].body)
    assert "not on a Friday" in repr(llm.requests[1].body)
    assert task.state is TaskState.SUCCEEDED


async def test_a_question_is_answered_with_a_persons_words(world: World) -> None:
    async with scripted_llm([calls("ask_user", question="Which colour?"), says("Green it is.")]) as llm:
        parked = await world.finish("paint", llm=llm)
        [request] = parked.pending
        assert (request.kind, request.prompt) == ("text", "Which colour?")

        await world.answer(parked, InputAnswer(request_id=request.id, text="green"))
        task = await world.run(parked)

    [returned] = await world.events(task, ToolReturned)
    assert (returned.outcome, returned.output, returned.tool) == ("ok", "green", "ask_user")
    assert "green" in repr(llm.requests[1].body)
    assert task.state is TaskState.SUCCEEDED


async def test_the_other_calls_of_the_turn_run_before_it_parks(world: World) -> None:
    mixed = Turn(
        tool_calls=(
            ToolCall(name="ask_user", arguments={"question": "How many?"}),
            ToolCall(name="add", arguments={"a": 1, "b": 2}),
            ToolCall(name="launch", arguments={"a": 3, "b": 4}),
        )
    )
    async with scripted_llm([mixed, says("all done")]) as llm:
        parked = await world.finish("mix", llm=llm)
        assert world.tools.calls == [("add", {"a": 1, "b": 2})]
        assert [request.kind for request in parked.pending] == ["text", "approval"]

        await world.answer(parked, InputAnswer(request_id=parked.pending[1].id, approved=True))
        waiting = await world.task(parked)
        assert waiting.state is TaskState.WAITING
        await world.answer(parked, InputAnswer(request_id=parked.pending[0].id, text="seven"))
        task = await world.run(parked)

    assert [name for name, _ in world.tools.calls] == ["add", "launch"]
    returned = {event.tool: event.output for event in await world.events(task, ToolReturned)}
    assert returned == {"add": "3", "ask_user": "seven", "launch": "7"}
    results = [m for m in llm.requests[1].body["messages"] if m["role"] == "tool"]
    assert [result["content"] for result in results] == ["seven", "3", "7"]  # in the order of the calls
    assert task.state is TaskState.SUCCEEDED


async def test_an_approval_is_for_one_call_only(world: World) -> None:
    async with scripted_llm([LAUNCH, LAUNCH, says("twice")]) as llm:
        parked = await world.finish("launch it twice", llm=llm)
        await world.answer(parked, InputAnswer(request_id=parked.pending[0].id, approved=True))
        again = await world.run(parked)

        assert again.state is TaskState.WAITING
        assert len(world.tools.calls) == 1
        await world.answer(again, InputAnswer(request_id=again.pending[0].id, approved=True))
        task = await world.run(again)

    assert len(world.tools.calls) == 2
    assert len(await world.events(task, InputRequested)) == 2
    assert task.state is TaskState.SUCCEEDED


async def test_a_question_without_words_is_not_asked(world: World) -> None:
    async with scripted_llm([calls("ask_user", question=" "), says("never mind")]) as llm:
        task = await world.finish("ask", llm=llm)

    [returned] = await world.events(task, ToolReturned)
    assert (returned.outcome, returned.error_reason) == ("failed", "INVALID_REQUEST")
    assert task.state is TaskState.SUCCEEDED


async def test_nobody_is_asked_to_approve_a_call_that_cannot_be_made(world: World) -> None:
    async with scripted_llm([calls("launch", a="x"), says("never mind")]) as llm:
        task = await world.finish("launch it", llm=llm)

    [returned] = await world.events(task, ToolReturned)
    assert (returned.outcome, returned.error_reason) == ("failed", "INVALID_REQUEST")
    assert not await world.events(task, InputRequested)
    assert (task.state, world.tools.calls) == (TaskState.SUCCEEDED, [])
