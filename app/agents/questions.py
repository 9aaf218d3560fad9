"""Calls that wait for a person: approvals and questions, asked and answered."""

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic_ai.messages import ToolCallPart

from app.agents.calls import failed, not_as_described
from app.agents.toolset import ASK_USER, Toolset
from app.domain.errors import InvalidRequestError
from app.domain.events import MAX_EVENT_TEXT_CHARS
from app.domain.tasks import InputAnswer, InputRequest
from app.domain.tools import ToolInfo, ToolResult
from app.tools.arguments import ArgumentCheck

DENIED = "The person denied this call. Do not try it again; go on without it or explain why you cannot."
NO_QUESTION = "Say what to ask: `question` must be a text that is not empty."


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """A call that needs no tool to be run; `denied` when a person refused it."""

    call: ToolCallPart
    result: ToolResult
    denied: bool = False
    usable: bool = True


@dataclass(slots=True)
class Sorted:
    """The calls of a turn by what is to be done with them."""

    run: list[ToolCallPart]
    settled: list[Settled]
    asked: list[InputRequest]


def sort_calls(
    calls: Sequence[ToolCallPart], toolset: Toolset, answers: Sequence[InputAnswer] = ()
) -> Sorted:
    """What can run now, what an answer or a mistake settles, and what must be asked first.

    `answers` are those given to these very calls: an answer never counts for another turn.
    """
    by_id = {answer.request_id: answer for answer in answers}
    turn = Sorted([], [], [])
    for call in calls:
        info = toolset.find(call.tool_name)
        if info is None:
            turn.run.append(call)  # running it tells the model that there is no such tool
        elif call.tool_name == ASK_USER:
            _sort_question(call, info, by_id.get(call.tool_call_id), turn)
        elif info.requires_approval:
            _sort_approval(call, info, by_id.get(call.tool_call_id), turn)
        else:
            turn.run.append(call)
    return turn


def _sort_question(call: ToolCallPart, info: ToolInfo, answer: InputAnswer | None, turn: Sorted) -> None:
    question = call.args_as_dict().get("question")
    if (wrong := _mistake(call, info)) is not None:
        turn.settled.append(Settled(call=call, result=wrong, usable=False))
    elif not isinstance(question, str) or not question.strip():
        turn.settled.append(Settled(call=call, result=failed("INVALID_REQUEST", NO_QUESTION), usable=False))
    elif answer is not None and answer.text is not None:
        turn.settled.append(Settled(call=call, result=ToolResult(output=answer.text)))
    else:
        prompt = question[:MAX_EVENT_TEXT_CHARS]
        turn.asked.append(InputRequest(id=call.tool_call_id, kind="text", prompt=prompt, tool=call.tool_name))


def _sort_approval(call: ToolCallPart, info: ToolInfo, answer: InputAnswer | None, turn: Sorted) -> None:
    arguments = call.args_as_json_str()
    if answer is not None and answer.approved is not None:
        if answer.approved:
            turn.run.append(call)
        else:
            words = f"{DENIED} They said: {answer.text}" if answer.text else DENIED
            turn.settled.append(Settled(call=call, result=failed("DENIED", words), denied=True))
    elif wrong := _mistake(call, info):
        turn.settled.append(Settled(call=call, result=wrong, usable=False))  # a person need not see it
    elif len(arguments) > MAX_EVENT_TEXT_CHARS:
        # Nobody can approve what they are not shown in full.
        too_long = f"The arguments are too long to be approved (over {MAX_EVENT_TEXT_CHARS} characters)."
        turn.settled.append(Settled(call=call, result=failed("INVALID_REQUEST", too_long), usable=False))
    else:
        turn.asked.append(
            InputRequest(
                id=call.tool_call_id,
                kind="approval",
                prompt=f"May the agent call {call.tool_name}?",
                tool=call.tool_name,
                arguments_json=arguments,
            )
        )


def _mistake(call: ToolCallPart, info: ToolInfo) -> ToolResult | None:
    try:
        ArgumentCheck(info)(call.args_as_dict())
    except InvalidRequestError as error:
        return not_as_described(error)
    return None
