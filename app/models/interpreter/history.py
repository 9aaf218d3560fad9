"""Reading a conversation: the task at hand, what its calls returned, and what earlier tasks left."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pydantic_ai.messages import (
    ModelMessage,
    ModelRequestPart,
    ModelResponsePart,
    TextContent,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)

from app.models.interpreter.draft import SHOWS_NOTHING
from app.models.interpreter.observation import Return, body_of, return_of
from app.models.interpreter.plan import Earlier

Part = ModelRequestPart | ModelResponsePart
MAX_EARLIER_CHARS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Now:
    """Where the conversation stands."""

    instruction: str
    returns: tuple[Return, ...]
    earlier: Earlier


def now_of(messages: Sequence[ModelMessage]) -> Now:
    """The last instruction counts; what came before it is only what "it" may mean.

    A task begins with a text of the user. Pictures that follow a tool's return are a user message
    too, but a list.
    """
    parts: list[Part] = [part for message in messages for part in message.parts]
    begins = max((index for index, part in enumerate(parts) if _is_instruction(part)), default=None)
    if begins is None:
        lists = [index for index, part in enumerate(parts) if isinstance(part, UserPromptPart)]
        begins = lists[0] if lists else -1
    return Now(
        instruction=_instruction(parts[begins]) if begins >= 0 else "",
        returns=tuple(return_of(part) for part in parts[begins + 1 :] if isinstance(part, ToolReturnPart)),
        earlier=_earlier(parts[: max(0, begins)]),
    )


def _is_instruction(part: Part) -> bool:
    return isinstance(part, UserPromptPart) and isinstance(part.content, str)


def _instruction(part: Part) -> str:
    if not isinstance(part, UserPromptPart):
        return ""
    if isinstance(part.content, str):
        return part.content
    texts = [
        item if isinstance(item, str) else item.content
        for item in part.content
        if isinstance(item, str | TextContent)
    ]
    return "\n".join(texts)


def _earlier(parts: Iterable[Part]) -> Earlier:
    value: str | None = None
    path: str | None = None
    paths: dict[str, str] = {}
    for part in parts:
        if isinstance(part, ToolCallPart):
            paths[part.tool_call_id] = _path_of(part)
        elif isinstance(part, ToolReturnPart):
            returned = return_of(part)
            if returned.failure is not None:
                continue
            if returned.tool not in SHOWS_NOTHING and len(returned.output) <= MAX_EARLIER_CHARS:
                value = body_of(returned.output) if returned.tool == "http_fetch" else returned.output
            if returned.tool in {"write_file", "read_file"}:
                path = paths.get(part.tool_call_id) or path
    return Earlier(value=value, path=path)


def _path_of(call: ToolCallPart) -> str:
    path = call.args_as_dict().get("path")
    return path if isinstance(path, str) else ""
