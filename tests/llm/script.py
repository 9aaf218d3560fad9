"""What the scripted LLM says: turns, faults, and which turn a conversation has reached."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

ANY = ""
"""The instruction that matches every conversation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """The model asks for a tool."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One answer of the model, or one way to fail to give it.

    In the order they apply: `gate` is awaited, `delay_s` passes, then `status` (400 and up) answers
    with the protocol's error body; else the answer is given, whole or streamed in chunks with
    `chunk_delay_s` between them. `hold_after` waits at `gate` before that chunk instead of before
    the answer. `cut_after` resets the connection after so many chunks (0: after the headers; a
    whole answer is cut in the middle). `malformed` sends JSON that ends too early.
    """

    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    status: int | None = None
    retry_after: str | None = None
    """Seconds or an HTTP-date. Gemini, which knows no such header, gets seconds as RetryInfo."""
    error_code: str | None = None
    """The provider's own code for the fault, such as `context_length_exceeded`."""
    error_message: str = "scripted fault"
    gate: asyncio.Event | None = None
    hold_after: int | None = None
    delay_s: float = 0.0
    chunk_delay_s: float = 0.0
    chunk_chars: int = 8
    cut_after: int | None = None
    malformed: bool = False
    input_tokens: int = 11
    output_tokens: int = 7


def says(text: str, **options: Any) -> Turn:
    """A turn of plain text."""
    return Turn(text=text, **options)


def calls(name: str, /, **arguments: Any) -> Turn:
    """A turn that asks for one tool."""
    return Turn(tool_calls=(ToolCall(name=name, arguments=arguments),))


def fails(status: int, **options: Any) -> Turn:
    """A turn that is refused with an HTTP status."""
    return Turn(status=status, **options)


Attempts = Turn | Sequence[Turn]
"""A turn, or what each attempt at it gets in order; the last one repeats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One entry of a conversation, as far as the script cares: who speaks, and what text."""

    by_model: bool
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Where a conversation stands in the script."""

    instruction: str
    turn: int


class ScriptEndedError(Exception):
    """The conversation went on for longer than the script."""


class Script:
    """Turns per instruction.

    An instruction is a piece of text that a message of the user contains; the latest message that
    contains one decides, so a session may hold several tasks. The turn is the number of the model's
    speeches after it; consecutive items of the model (text, reasoning, calls) are one speech, and
    what comes between (tool results, images) is not counted at all.
    """

    def __init__(self, turns: Sequence[Attempts] | Mapping[str, Sequence[Attempts]]) -> None:
        by_instruction = turns if isinstance(turns, Mapping) else {ANY: turns}
        self._turns = {instruction: tuple(listed) for instruction, listed in by_instruction.items()}
        self._attempts: dict[Position, int] = {}

    def position_of(self, conversation: Sequence[Item]) -> Position:
        """Which instruction the conversation is about, and how many speeches followed it."""
        instruction, start = ANY, 0
        for index, item in enumerate(conversation):
            if not item.by_model and (named := self._instruction_in(item.text)) is not None:
                instruction, start = named, index
        return Position(instruction=instruction, turn=_speeches(conversation[start:]))

    def next(self, position: Position) -> tuple[Turn, int]:
        """The turn to give now, and which attempt at it this is (from 1).

        Raises ScriptEndedError when the script says nothing (more) for that instruction.
        """
        turns = self._turns.get(position.instruction, ())
        if position.turn >= len(turns):
            raise ScriptEndedError(
                f"no turn {position.turn} for {position.instruction!r}: there are {len(turns)}"
            )
        attempt = self._attempts[position] = self._attempts.get(position, 0) + 1
        scripted = turns[position.turn]
        if isinstance(scripted, Turn):
            return scripted, attempt
        return scripted[min(attempt, len(scripted)) - 1], attempt

    def _instruction_in(self, text: str) -> str | None:
        named = (instruction for instruction in self._turns if instruction != ANY and instruction in text)
        return max(named, key=len, default=None)


def _speeches(items: Sequence[Item]) -> int:
    before = (False, *(item.by_model for item in items))
    return sum(item.by_model and not previous for item, previous in zip(items, before, strict=False))
