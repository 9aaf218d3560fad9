"""The agent loop over each provider's real HTTP protocol: text, tools, streams, images."""

import base64

from pydantic_ai import Agent
from pydantic_ai.messages import (
    BinaryContent,
    PartDeltaEvent,
    PartStartEvent,
    TextPart,
    TextPartDelta,
    ToolReturn,
)

from tests.llm.script import ToolCall, Turn, calls, says
from tests.llm.server import scripted_llm
from tests.models.conftest import KEY, Bench

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
)


async def test_text_is_answered_and_tokens_are_counted(bench: Bench) -> None:
    async with scripted_llm([says("forty-two", input_tokens=90, output_tokens=3)], api_key=KEY) as llm:
        result = await Agent(await bench.model(llm)).run("what is six by seven?")

    assert result.output == "forty-two"
    assert (result.usage.input_tokens, result.usage.output_tokens) == (90, 3)
    [exchange] = llm.requests
    assert (exchange.protocol, exchange.credential, exchange.turn) == (bench.protocol, KEY, 0)


async def test_a_tool_loop_takes_one_turn_per_speech(bench: Bench) -> None:
    """Text beside a call is one speech, on Responses too, where it is two items."""
    script = [
        Turn(text="Let me add.", tool_calls=(ToolCall(name="add", arguments={"a": 42, "b": 58}),)),
        calls("add", a=100, b=200),
        says("300"),
    ]
    seen: list[tuple[int, int]] = []
    async with scripted_llm(script) as llm:
        agent = Agent(await bench.model(llm))

        @agent.tool_plain
        def add(a: int, b: int) -> int:
            seen.append((a, b))
            return a + b

        result = await agent.run("add")

    assert result.output == "300"
    assert seen == [(42, 58), (100, 200)]
    assert [exchange.turn for exchange in llm.requests] == [0, 1, 2]
    assert llm.requests[0].tools == ("add",)


async def test_two_tools_in_one_turn_are_both_called(bench: Bench) -> None:
    both = Turn(
        tool_calls=(ToolCall(name="note", arguments={"n": 1}), ToolCall(name="note", arguments={"n": 2}))
    )
    seen: set[int] = set()
    async with scripted_llm([both, says("done")]) as llm:
        agent = Agent(await bench.model(llm))

        @agent.tool_plain
        def note(n: int) -> str:
            seen.add(n)
            return "ok"

        async with agent.iter("note both") as run:
            async for node in run:
                if Agent.is_model_request_node(node):
                    async with node.stream(run.ctx) as stream:
                        async for _ in stream:
                            pass

    assert seen == {1, 2}
    assert [exchange.turn for exchange in llm.requests] == [0, 1]


async def test_streamed_text_arrives_in_pieces_and_whole(bench: Bench) -> None:
    text = "The quick brown fox jumps over the lazy dog."
    pieces: list[str] = []
    async with scripted_llm([says(text, chunk_chars=5)]) as llm:
        agent = Agent(await bench.model(llm))

        async with agent.run_stream_events("tell me") as events:
            async for event in events:
                match event:
                    case PartStartEvent(part=TextPart(content=content)):
                        pieces.append(content)
                    case PartDeltaEvent(delta=TextPartDelta(content_delta=delta)):
                        pieces.append(delta)
                    case _:
                        pass

    assert "".join(pieces) == text
    assert len(pieces) > 4
    assert llm.requests[0].asked is not None
    assert llm.requests[0].asked.streamed


async def test_a_screenshot_from_a_tool_reaches_the_model(bench: Bench) -> None:
    async with scripted_llm([calls("screenshot"), calls("screenshot"), says("a dot")]) as llm:
        agent = Agent(await bench.model(llm))

        @agent.tool_plain
        def screenshot() -> ToolReturn:
            return ToolReturn(return_value="taken", content=[BinaryContent(PNG, media_type="image/png")])

        result = await agent.run("what is on the screen?")

    assert result.output == "a dot"
    assert [(exchange.turn, exchange.images) for exchange in llm.requests] == [(0, 0), (1, 1), (2, 2)]


async def test_a_session_goes_on_with_its_next_task(bench: Bench) -> None:
    """The history of an earlier task does not count as turns of the next one."""
    script = {
        "first job": [calls("work"), says("first done")],
        "second job": [calls("work"), says("second done")],
    }
    async with scripted_llm(script) as llm:
        agent = Agent(await bench.model(llm))

        @agent.tool_plain
        def work() -> str:
            return "worked"

        first = await agent.run("do the first job")
        second = await agent.run("do the second job", message_history=first.all_messages())

    assert (first.output, second.output) == ("first done", "second done")
    assert [exchange.turn for exchange in llm.requests] == [0, 1, 0, 1]
