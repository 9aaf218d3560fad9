"""The planner in a real agent loop with small tools of its own: from the instruction to the answer."""

import json
import operator
import re
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from pydantic_ai import Agent
from pydantic_ai.exceptions import ToolFailed
from pydantic_ai.messages import (
    ModelMessage,
    ModelMessagesTypeAdapter,
    ModelRequest,
    ModelResponse,
    PartDeltaEvent,
    PartStartEvent,
    TextPart,
    TextPartDelta,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.usage import RequestUsage

from app.domain.errors import (
    DomainError,
    NotConfiguredError,
    NotUnderstoodError,
    PostconditionError,
    ToolFailedError,
)
from app.models.base import ModelSpec
from app.models.catalog import ModelCatalog
from app.models.interpreter.planner import decide, interpreter_model

OPERATORS: dict[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
}
PAGE = "HTTP 200 text/plain\nhttp://example.com/\n\nHello from the page"


class World:
    """Files in a dict, and what was called."""

    def __init__(self) -> None:
        self.files: dict[str, str] = {}
        self.called: list[str] = []
        self.reads_wrongly = False

    def calculator(self, expression: str) -> str:
        """Python's arithmetic."""
        self._note("calculator")
        if not re.fullmatch(r"[-\d+*/(). ]+", expression):
            raise ToolFailed(f"not arithmetic: {expression}")
        try:
            return str(eval(expression))  # noqa: S307 - digits and signs only
        except ZeroDivisionError:
            raise ToolFailed("division by zero") from None

    def write_file(self, path: str, content: str, append: bool = False) -> str:
        """Write."""
        self._note("write_file")
        self.files[path] = (self.files.get(path, "") if append else "") + content
        return f"wrote {len(content.encode())} bytes to {path} ({len(self.files[path].encode())} in all)"

    def read_file(self, path: str) -> str:
        """Read."""
        self._note("read_file")
        if path not in self.files:
            raise ToolFailed(f"no such file: {path}")
        return "something else" if self.reads_wrongly else self.files[path]

    def list_files(self, path: str = ".") -> dict[str, Any]:
        """List; an object, as some tools return."""
        self._note("list_files")
        return {"output": "\n".join(sorted(self.files)), "ok": True}

    def delete_file(self, path: str) -> str:
        """Delete."""
        self._note("delete_file")
        del self.files[path]
        return f"deleted {path}"

    def http_fetch(self, url: str) -> str:
        """Always the same page."""
        self._note("http_fetch")
        return PAGE

    def ask_user(self, question: str) -> str:
        """A person called Ada."""
        self._note("ask_user")
        return "Ada"

    def current_time(self) -> str:
        """A day of its own."""
        self._note("current_time")
        return "2026-11-21T05:00:00+00:00 (Saturday, UTC)"

    def _note(self, tool: str) -> None:
        self.called.append(tool)

    def agent(self, *, without: str = "") -> Agent[None, str]:
        """The planner with these tools."""
        tools: Sequence[Callable[..., Any]] = (
            self.calculator, self.write_file, self.read_file, self.list_files, self.delete_file,
            self.http_fetch, self.ask_user, self.current_time,
        )  # fmt: skip
        return Agent(interpreter_model(), tools=[tool for tool in tools if tool.__name__ != without])


TO_THE_END = [
    (
        "Compute (42 + 58) * 3, save the result to total.txt and read it back",
        "(42 + 58) * 3 = 300. Saved 3 bytes to total.txt. total.txt contains: 300",
        {"total.txt": "300"},
    ),
    ("What is 12 times 12?", "12 * 12 = 144.", {}),
    (
        "compute 2 - 5, multiply it by 3 and save the result to a.txt",
        "2 - 5 = -3. (-3) * 3 = -9. Saved 2 bytes to a.txt.",
        {"a.txt": "-9"},
    ),
    (
        'write "a" to a.txt, append "b" to it and read it back',
        "Saved 1 byte to a.txt. Appended 1 byte to a.txt. a.txt contains: ab",
        {"a.txt": "ab"},
    ),
    (
        'create a file n.txt with "x\ny", read it back and delete it',
        "Saved 3 bytes to n.txt.\nn.txt contains:\nx\ny\nDeleted n.txt.",
        {},
    ),
    (
        "write x to a.txt, write y to b.txt and list the files",
        "Saved 1 byte to a.txt. Saved 1 byte to b.txt.\nFiles:\na.txt\nb.txt",
        {"a.txt": "x", "b.txt": "y"},
    ),
    (
        "fetch http://example.com/ and save it to page.txt",
        "http://example.com/ returned: Hello from the page\nSaved 19 bytes to page.txt.",
        {"page.txt": "Hello from the page"},
    ),
    (
        "ask me for my name, write it to name.txt and read it back",
        "You answered: Ada\nSaved 3 bytes to name.txt. name.txt contains: Ada",
        {"name.txt": "Ada"},
    ),
    (
        "Save today's date to date.txt",
        "The time is 2026-11-21T05:00:00+00:00 (Saturday, UTC). Saved 10 bytes to date.txt.",
        {"date.txt": "2026-11-21"},
    ),
    ('say "done"', "done", {}),
    ("compute 6 * 7 and say the result", "6 * 7 = 42. 42", {}),
    ("write 5 to n.txt, read n.txt and double it", None, {"n.txt": "5"}),
    (
        '[{"tool": "write_file", "arguments": {"path": "s.txt", "content": "x"}}, '
        '{"tool": "read_file", "arguments": {"path": "s.txt"}}]',
        None,
        {"s.txt": "x"},
    ),
    ("copy a.txt to b.txt", ToolFailedError, {}),
    ("compute 1 / 0 and save it to a.txt", ToolFailedError, {}),
    ("write hello to a.txt, read it back and multiply it by 2", ToolFailedError, {"a.txt": "hello"}),
]


@pytest.mark.parametrize(
    ("instruction", "answer", "files"), TO_THE_END, ids=[row[0][:50] for row in TO_THE_END]
)
@pytest.mark.parametrize("streaming", [False, True], ids=["whole", "streamed"])
async def test_an_instruction_is_carried_out_to_its_answer(
    instruction: str, answer: str | type[DomainError] | None, files: dict[str, str], streaming: bool
) -> None:
    world = World()
    agent = world.agent()

    async def run() -> str:
        if not streaming:
            return (await agent.run(instruction)).output
        async with agent.iter(instruction) as run:
            async for node in run:
                if Agent.is_model_request_node(node):
                    async with node.stream(run.ctx) as stream:
                        async for _ in stream:
                            pass
        assert run.result is not None
        return run.result.output

    if isinstance(answer, type):
        with pytest.raises(answer):
            await run()
    elif answer is None:
        assert await run()
    else:
        assert await run() == answer
    assert world.files == files


async def test_one_call_a_turn_each_with_a_word_beside_it_and_no_tokens_used() -> None:
    result = await World().agent().run("compute 1 + 1, save it to a.txt and read it back")

    responses = [message for message in result.new_messages() if isinstance(message, ModelResponse)]
    texts = [part.content for answer in responses for part in answer.parts if isinstance(part, TextPart)]
    assert [[part.part_kind for part in answer.parts] for answer in responses] == [
        ["text", "tool-call"]
    ] * 3 + [["text"]]
    assert texts[:3] == ["Computing 1 + 1.", "Writing a.txt.", "Reading a.txt."]
    assert all(answer.usage == RequestUsage() for answer in responses)
    assert all(answer.model_name == "interpreter" for answer in responses)
    assert result.usage.total_tokens == 0


async def test_the_text_of_a_stream_comes_in_pieces_and_uses_no_tokens() -> None:
    model = interpreter_model()
    messages: list[ModelMessage] = [ModelRequest(parts=[UserPromptPart(content=f'say "{"word " * 50}"')])]
    pieces: list[str] = []

    async with model.request_stream(messages, None, ModelRequestParameters()) as stream:
        async for event in stream:
            match event:
                case (
                    PartStartEvent(part=TextPart(content=text))
                    | PartDeltaEvent(delta=TextPartDelta(content_delta=text))
                ):
                    pieces.append(text)
                case _:
                    pass

    assert "".join(pieces) == "word " * 50
    assert len(pieces) > 5
    assert stream.usage == RequestUsage()


@pytest.mark.parametrize("streaming", [False, True], ids=["whole", "streamed"])
async def test_a_refusal_comes_before_any_tool_is_called(streaming: bool) -> None:
    world = World()
    agent = world.agent()
    instruction = 'write "x" to a.txt and email it to Bob'

    async def ask() -> None:
        if not streaming:
            await agent.run(instruction)
            return
        async with agent.run_stream(instruction) as run:
            await run.get_output()

    with pytest.raises(NotUnderstoodError, match="email it to Bob"):
        await ask()

    assert world.called == []


@pytest.mark.parametrize(
    "instruction",
    ["compute 1 + 1 and search the web for cats", 'write "x" to a.txt and run python: print(1)',
     '[{"tool": "list_files"}, {"tool": "launch_rocket"}]', "compute 1 + 1 and press enter"],
)  # fmt: skip
async def test_a_missing_tool_is_named_before_any_tool_is_called(instruction: str) -> None:
    world = World()

    with pytest.raises(NotConfiguredError) as refused:
        await world.agent().run(instruction)

    assert refused.value.facts["tool"] in {"web_search", "python", "launch_rocket", "act"}
    assert refused.value.facts["tool"] in refused.value.message
    assert refused.value.facts["clause"] in refused.value.message
    assert world.called == []


async def test_a_file_that_shows_something_else_than_was_written_fails_the_task() -> None:
    world = World()
    world.reads_wrongly = True

    with pytest.raises(PostconditionError) as failed:
        await world.agent().run("compute 6 * 50, save it to total.txt and read it back")

    assert failed.value.facts == {"path": "total.txt", "expected": "300", "seen": "something else"}


async def test_a_failed_tool_ends_the_task_naming_the_step() -> None:
    with pytest.raises(ToolFailedError, match=r"step 2 .*no such file") as failed:
        await World().agent().run("compute 1 + 1 and read missing.txt")

    assert failed.value.facts["step"] == "2"
    assert failed.value.facts["tool"] == "read_file"


async def test_tasks_of_one_session_share_what_it_means() -> None:
    world = World()
    first = await world.agent().run("compute 6 * 7 and save it to a.txt")

    second = await world.agent().run("read it back", message_history=first.all_messages())
    third = await world.agent().run("double it and save it to b.txt", message_history=second.all_messages())

    assert second.output == "a.txt contains: 42"
    assert third.output == "2 * 42 = 84. Saved 2 bytes to b.txt."


async def test_a_conversation_goes_on_after_being_stored() -> None:
    world = World()
    history: list[ModelMessage] = [
        ModelRequest(parts=[UserPromptPart(content="compute 1 + 1 and save it to a.txt")])
    ]
    tools = ["calculator", "write_file"]
    for _ in range(2):
        call = decide(history, tools).call
        assert call is not None
        output = getattr(world, call.tool_name)(**call.args_as_dict())
        part = ToolReturnPart(tool_name=call.tool_name, content=output, tool_call_id=call.tool_call_id)
        history += [ModelResponse(parts=[call]), ModelRequest(parts=[part])]
        history = ModelMessagesTypeAdapter.validate_json(ModelMessagesTypeAdapter.dump_json(history))

    assert decide(history, tools).text == "1 + 1 = 2. Saved 1 byte to a.txt."


def a_history(instruction: str, *returns: ToolReturnPart) -> list[ModelMessage]:
    """The conversation after those returns."""
    calls = [
        ToolCallPart(tool_name=part.tool_name, args={}, tool_call_id=part.tool_call_id) for part in returns
    ]
    answered = [
        message
        for call, part in zip(calls, returns, strict=True)
        for message in (ModelResponse(parts=[call]), ModelRequest(parts=[part]))
    ]
    return [ModelRequest(parts=[UserPromptPart(content=instruction)]), *answered]


@pytest.mark.parametrize("outcome", ["failed", "denied", "interrupted", "retried"])
def test_a_call_that_did_not_succeed_is_never_taken_for_one_that_did(outcome: Any) -> None:
    returned = ToolReturnPart(tool_name="calculator", content="2", tool_call_id="c", outcome=outcome)

    with pytest.raises(ToolFailedError):
        decide(a_history("compute 1 + 1", returned), ["calculator"])


def test_a_result_of_another_tool_is_not_taken_for_the_one_asked_for() -> None:
    returned = ToolReturnPart(tool_name="read_file", content="2", tool_call_id="c")

    with pytest.raises(ToolFailedError, match="read_file"):
        decide(a_history("compute 1 + 1", returned), ["calculator", "read_file"])


def test_a_file_too_long_for_the_conversation_is_still_compared() -> None:
    long = "x" * 5_000
    script = json.dumps([
        {"tool": "write_file", "arguments": {"path": "a", "content": long}},
        {"tool": "read_file", "arguments": {"path": "a"}},
    ])  # fmt: skip
    note = "\n[1000 more characters]"
    wrote = ToolReturnPart(tool_name="write_file", content="wrote 5000 bytes to a", tool_call_id="w")
    same = ToolReturnPart(tool_name="read_file", content=long[: 4_000 - len(note)] + note, tool_call_id="r")
    other = ToolReturnPart(tool_name="read_file", content="y" * (4_000 - len(note)) + note, tool_call_id="r")
    tools = ["write_file", "read_file"]

    assert decide(a_history(script, wrote, same), tools).call is None
    with pytest.raises(PostconditionError):
        decide(a_history(script, wrote, other), tools)


def test_a_write_that_reports_another_size_fails_the_task() -> None:
    wrote = ToolReturnPart(tool_name="write_file", content="wrote 3 bytes to a.txt", tool_call_id="w")

    with pytest.raises(PostconditionError):
        decide(a_history('write "hello" to a.txt', wrote), ["write_file"])


@pytest.mark.parametrize(
    "page", [PAGE + "\n[cut here]", "HTTP 200 image/png\nhttp://e.x/a\n\n70 bytes, kept as artifact a.png",
             PAGE + "x" * 2_000 + "\n[9 more characters]"],
)  # fmt: skip
def test_a_page_that_is_not_whole_or_not_text_is_not_saved(page: str) -> None:
    fetched = ToolReturnPart(tool_name="http_fetch", content=page, tool_call_id="f")

    with pytest.raises(ToolFailedError):
        decide(a_history("fetch http://e.x/a and save it to a.txt", fetched), ["http_fetch", "write_file"])


def test_pictures_after_a_result_are_no_new_instruction() -> None:
    history = a_history(
        "compute 1 + 1", ToolReturnPart(tool_name="calculator", content="2", tool_call_id="c")
    )
    history.append(ModelRequest(parts=[UserPromptPart(content=["a picture of calculator"])]))

    assert decide(history, ["calculator"]).text == "1 + 1 = 2."


async def test_the_catalog_offers_it_as_the_deterministic_planner() -> None:
    catalog = ModelCatalog(interpreter=interpreter_model)

    resolved = await catalog.resolve(ModelSpec(provider="interpreter", name=""))

    assert resolved.planner == "deterministic"
    assert resolved.model.model_name == "interpreter"
