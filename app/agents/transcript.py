"""The conversation of a task: how its messages are stored, mended, and read by a person."""

from collections.abc import Sequence
from typing import Literal

from pydantic_ai.messages import (
    BinaryContent,
    ImageUrl,
    ModelMessage,
    ModelMessagesTypeAdapter,
    ModelRequest,
    ModelResponse,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserContent,
    UserPromptPart,
)

from app.agents.images import SCHEME, is_reference, tool_of
from app.domain.ids import TaskId
from app.domain.sessions import TranscriptEntry

INTERRUPTED = "This call was interrupted; nothing is known about its outcome."


def encode(message: ModelMessage) -> bytes:
    """One message as JSON. Images must be references already: bytes are not stored here."""
    return ModelMessagesTypeAdapter.dump_json([message])[1:-1]


def decode(stored: Sequence[bytes]) -> list[ModelMessage]:
    """The messages again, all in one pass."""
    return ModelMessagesTypeAdapter.validate_json(b"[" + b",".join(stored) + b"]") if stored else []


def prompt(instruction: str) -> ModelRequest:
    """A task's instruction, as the person's message."""
    return ModelRequest(parts=[UserPromptPart(content=instruction)])


def append(messages: list[ModelMessage], message: ModelMessage) -> None:
    """Add a message; a request after a request joins it, tool results first.

    The results of one turn may be stored in pieces: those before a person was asked, those after.
    Providers want all of them in one message.
    """
    last = messages[-1] if messages else None
    if isinstance(message, ModelRequest) and isinstance(last, ModelRequest):
        parts = [*last.parts, *message.parts]
        parts.sort(key=lambda part: not isinstance(part, ToolReturnPart))
        messages[-1] = ModelRequest(parts=parts, timestamp=last.timestamp)
    else:
        messages.append(message)


def mended(stored: Sequence[ModelMessage], *, goes_on: bool) -> list[ModelMessage]:
    """A conversation that can be sent: every call but the open ones of the last turn has a result.

    `goes_on` when the last turn is this task's own: what it left open will be carried out. An
    earlier task may have been stopped between a call and its result.
    """
    messages: list[ModelMessage] = []
    for index, message in enumerate(stored):
        append(messages, message)
        following = stored[index + 1] if index + 1 < len(stored) else None
        turn_over = isinstance(following, ModelResponse) or (following is None and not goes_on)
        starts_over = following is not None and _is_prompt(following)
        if (turn_over or starts_over) and (open_calls := unanswered(messages)):
            results = [_interrupted(call) for call in open_calls]
            append(messages, ModelRequest(parts=results))
    return messages


def unanswered(messages: Sequence[ModelMessage]) -> list[ToolCallPart]:
    """The calls of the last response that have no result yet, in the model's order."""
    answered: set[str] = set()
    for message in reversed(messages):
        if isinstance(message, ModelResponse):
            calls = [part for part in message.parts if isinstance(part, ToolCallPart)]
            return [call for call in calls if call.tool_call_id not in answered]
        answered |= {part.tool_call_id for part in message.parts if isinstance(part, ToolReturnPart)}
    return []


def read_transcript(messages: Sequence[tuple[TaskId, bytes]]) -> list[TranscriptEntry]:
    """Stored messages as a person reads them: what was said, called and returned, in order."""
    entries: list[TranscriptEntry] = []
    for (task_id, _), message in zip(messages, decode([raw for _, raw in messages]), strict=True):
        for part in message.parts:
            if (said := _said(part)) is not None:
                role, tool, text = said
                at = getattr(part, "timestamp", None) or message.timestamp
                entries.append(
                    TranscriptEntry(
                        task_id=task_id, index=len(entries), role=role, text=text, tool=tool, at=at
                    )
                )
    return entries


def _said(part: object) -> tuple[Literal["user", "assistant", "tool"], str | None, str] | None:
    """Who said it, with which tool, and what; None for what is not for people (thinking)."""
    match part:
        case UserPromptPart(content=str(text)):
            return "user", None, text
        case UserPromptPart() if tool := tool_of(part):
            return "tool", tool, _words(part.content[1:])
        case UserPromptPart():
            return "user", None, _words(part.content)
        case TextPart(content=text) if text:
            return "assistant", None, text
        case ToolCallPart():
            return "assistant", part.tool_name, part.args_as_json_str()
        case ToolReturnPart():
            return "tool", part.tool_name, part.model_response_str()
        case _:
            return None


def _is_prompt(message: ModelMessage) -> bool:
    """Whether a new task begins with it."""
    return isinstance(message, ModelRequest) and any(
        isinstance(part, UserPromptPart) and isinstance(part.content, str) for part in message.parts
    )


def _interrupted(call: ToolCallPart) -> ToolReturnPart:
    return ToolReturnPart(
        tool_name=call.tool_name, content=INTERRUPTED, tool_call_id=call.tool_call_id, outcome="interrupted"
    )


def _words(content: Sequence[UserContent]) -> str:
    return "\n".join(_word(item) for item in content)


def _word(item: UserContent) -> str:
    match item:
        case str():
            return item
        case ImageUrl() if is_reference(item):
            return f"[image {item.url.removeprefix(SCHEME)}]"
        case BinaryContent():
            return f"[{item.media_type}, {len(item.data)} bytes]"
        case _:
            return f"[{type(item).__name__}]"
