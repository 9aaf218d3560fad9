"""What an instruction was understood to mean: steps in order, and where their texts come from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Part = Literal["text", "number", "date", "time", "body"]
"""What of an observation is meant: all of it, the number in it, the date, the time, a page's body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What call `call` (from 0, counted over the plan's calls) will have shown once it ran."""

    call: int
    part: Part = "text"


Piece = str | Observed


@dataclass(frozen=True, slots=True)
class Text:
    """A text whose pieces are known now or are observed later; put together just before it is used."""

    pieces: tuple[Piece, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One tool call. An argument that is a `Text` is put together when its turn comes.

    `clause` is the user's own words, for messages.
    """

    tool: str
    arguments: Mapping[str, object] = field(default_factory=dict[str, object])
    clause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Say:
    """Something to put into the answer; no tool is called."""

    text: Text
    clause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All of an instruction."""

    steps: tuple[Call | Say, ...]

    @property
    def calls(self) -> list[Call]:
        """The steps that call a tool."""
        return [step for step in self.steps if isinstance(step, Call)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """What "it" may mean before the instruction has said anything itself: an earlier task's leavings."""

    value: str | None = None
    path: str | None = None
