"""What tools showed: reading their returns, and checking them against what was written."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from pydantic_ai.messages import ToolReturnPart

from app.domain.errors import DomainError, PostconditionError, ToolFailedError
from app.models.interpreter.draft import NUMBER, in_expression, same_path
from app.models.interpreter.plan import Call, Observed, Piece, Text
from app.models.interpreter.refusals import shown

FIXED_OUTCOMES = frozenset(
    {"write_file", "read_file", "list_files", "calculator", "http_fetch", "web_search", "wait"}
)
"""Tools that change no file behind our back, except for the one they are told to write."""

_SHORTENED = re.compile(r"\n\[(\d+) more characters\]$")
_PAGE_HEAD = re.compile(r"HTTP \d{3}[^\n]*\n\S+\n\n")
_PAGE_CUT = "\n[cut here]"
_NO_TEXT = re.compile(r"\d+ bytes, kept as artifact [^\n]+")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_TIME = re.compile(r"(?<=[T ])\d{2}:\d{2}(?::\d{2})?")
_BYTES = re.compile(r"(\d+) bytes?\b")
MIN_SHORTENED_CHARS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Return:
    """What came back from one call. `failure` says how it failed, None when it did not."""

    tool: str
    output: str
    failure: str | None = None


def return_of(part: ToolReturnPart) -> Return:
    """A tool's return, be it a text, or an object with `output` and perhaps `ok`."""
    content: object = part.content
    failed = part.outcome if part.outcome != "success" else None
    if isinstance(content, dict):
        table = cast("dict[str, object]", content)
        if table.get("ok") is False:
            failed = failed or "failed"
        content = table.get("output", table)
    if content is None:
        text = ""
    else:
        text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False, default=str)
    return Return(tool=part.tool_name, output=text, failure=failed)


def is_shortened(output: str) -> bool:
    """Whether the loop cut it: it says so at the end, and cuts nothing short."""
    return len(output) >= MIN_SHORTENED_CHARS and _SHORTENED.search(output[-40:]) is not None


def body_of(output: str) -> str:
    """A fetched page without the lines about it."""
    head = _PAGE_HEAD.match(output)
    return output[head.end() :] if head else output


class Observations:
    """The calls that came back, in order, each checked as it is added."""

    def __init__(self) -> None:
        self._returns: list[Return] = []
        self._arguments: list[dict[str, object]] = []
        self._written: dict[str, str] = {}
        self._ends: dict[str, str] = {}

    @property
    def done(self) -> list[tuple[dict[str, object], Return]]:
        """Arguments and return of each call."""
        return list(zip(self._arguments, self._returns, strict=True))

    def add(self, call: Call, returned: Return) -> None:
        """Take a return as that of `call`.

        Raises ToolFailedError when it failed and PostconditionError when it shows something else
        than what was written before.
        """
        step = len(self._returns) + 1
        if returned.tool != call.tool:
            raise _failed(step, call, f"the conversation has a result of {returned.tool} in its place")
        if returned.failure is not None:
            what = "was denied" if returned.failure == "denied" else f"{call.tool} {returned.failure}"
            raise _failed(step, call, f"{what}: {shown(returned.output, 1_000)}")
        arguments = self.arguments_of(call)
        self._check(call, arguments, returned)
        self._returns.append(returned)
        self._arguments.append(arguments)

    def arguments_of(self, call: Call) -> dict[str, object]:
        """The call's arguments with what was observed put in. Raises ToolFailedError when it does not fit."""
        return {
            name: self.text_of(argument, call) if isinstance(argument, Text) else argument
            for name, argument in call.arguments.items()
        }

    def text_of(self, text: Text, call: Call | None = None) -> str:
        """The text, put together."""
        return "".join(self._piece(piece, call) for piece in text.pieces)

    def _piece(self, piece: Piece, call: Call | None) -> str:
        if isinstance(piece, str):
            return piece
        returned = self._returns[piece.call]
        output = returned.output
        if call is not None and is_shortened(output):
            raise self._unfit(piece, call, "was too long to be passed on whole")
        match piece.part:
            case "number":
                if NUMBER.fullmatch(output.strip()) is None:
                    raise self._unfit(piece, call, f"is not a number: {shown(output)!r}")
                return in_expression(output)
            case "date" | "time":
                found = (_DATE if piece.part == "date" else _TIME).search(output)
                if found is None:
                    raise self._unfit(piece, call, f"shows no {piece.part}: {shown(output)!r}")
                return found[0]
            case "body" if returned.tool == "http_fetch":
                return self._page(piece, call, output)
            case _:
                return output

    def _page(self, piece: Observed, call: Call | None, output: str) -> str:
        body = body_of(output)
        if call is not None and output.endswith(_PAGE_CUT):
            raise self._unfit(piece, call, "was too long to be passed on whole")
        if call is not None and body is not output and _NO_TEXT.fullmatch(body):
            raise self._unfit(piece, call, "is not text")
        return body

    def _unfit(self, piece: Observed, call: Call | None, why: str) -> DomainError:
        step = len(self._returns) + 1
        told = f"what step {piece.call + 1} ({self._returns[piece.call].tool}) returned {why}"
        return ToolFailedError(
            f"step {step} cannot be done: {told}", step=step, tool=call.tool if call else ""
        )

    def _check(self, call: Call, arguments: Mapping[str, object], returned: Return) -> None:
        path, content = arguments.get("path"), arguments.get("content")
        if call.tool not in FIXED_OUTCOMES:
            self._written.clear()
            self._ends.clear()
        if not isinstance(path, str):
            return
        path = same_path(path)
        if call.tool == "write_file" and isinstance(content, str):
            self._note(path, content, append=arguments.get("append") is True)
            _check_size(path, content, returned.output)
        elif call.tool == "read_file":
            self._compare(path, returned.output)

    def _note(self, path: str, content: str, *, append: bool) -> None:
        if not append:
            self._written[path] = content
            self._ends.pop(path, None)
        elif path in self._written:
            self._written[path] += content
        else:
            self._ends[path] = self._ends.get(path, "") + content

    def _compare(self, path: str, seen: str) -> None:
        expected, end = self._written.get(path), self._ends.get(path)
        if expected is not None and seen not in {expected, _as_shortened(expected, seen)}:
            raise _not_as_written(path, shown(expected), shown(seen))
        if end is not None and not is_shortened(seen) and not seen.endswith(end):
            raise _not_as_written(path, f"…{shown(end)}", shown(seen))


def _as_shortened(expected: str, seen: str) -> str:
    """What the loop would have made of `expected` if it cut `seen`."""
    found = _SHORTENED.search(seen[-40:])
    if found is None or int(found[1]) >= len(expected):
        return expected
    kept = len(expected) - int(found[1]) - len(found[0])
    return expected[: max(0, kept)] + found[0]


def _check_size(path: str, content: str, output: str) -> None:
    size = len(content.encode("utf-8", errors="replace"))
    sizes = [int(found) for found in _BYTES.findall(output[:500])]
    if sizes and size not in sizes:
        raise _not_as_written(path, f"{size} bytes", f"{sizes[0]} bytes")


def _not_as_written(path: str, expected: str, seen: str) -> PostconditionError:
    return PostconditionError(
        f"{path} does not show what was written to it: expected {expected!r}, seen {seen!r}",
        path=path,
        expected=expected,
        seen=seen,
    )


def _failed(step: int, call: Call, why: str) -> ToolFailedError:
    return ToolFailedError(
        f'step {step} ("{shown(call.clause)}") failed: {why}',
        step=step,
        tool=call.tool,
        clause=shown(call.clause),
    )
