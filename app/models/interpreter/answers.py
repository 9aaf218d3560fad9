"""What the planner says beside a call, and in the end: only what was observed."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from app.models.interpreter.observation import Observations, Return, body_of
from app.models.interpreter.plan import Call, Plan
from app.models.interpreter.refusals import shown

MAX_ANSWER_CHARS = 8_000
"""Of one observation in the answer; the file or the event has the whole."""
MAX_BESIDE_CHARS = 120


class Sentence(NamedTuple):
    """`is_open` when it ends in somebody else's text, so that the next one needs a line of its own."""

    text: str
    is_open: bool = False


Arguments = Mapping[str, object]


def beside(call: Call, arguments: Arguments) -> str:
    """One line that says what the call is about to do."""
    shape = _BESIDE.get(call.tool, "Calling {tool}.")
    if call.tool == "write_file" and arguments.get("append") is True:
        shape = "Appending to {path}."
    values = {
        "tool": call.tool,
        "path": "",
        "expression": "",
        "url": "",
        "query": "",
        "question": "",
        "seconds": "",
    }
    values |= {
        name: shown(" ".join(str(value).split()), MAX_BESIDE_CHARS) for name, value in arguments.items()
    }
    if call.tool == "list_files" and "path" in arguments:
        shape = "Listing the files in {path}."
    return shape.format_map(values)


def answer(plan: Plan, seen: Observations) -> str:
    """The final answer, a sentence for each step."""
    done = iter(seen.done)
    whole = ""
    was_open = False
    for step in plan.steps:
        if isinstance(step, Call):
            arguments, returned = next(done)
            sentence = _SENTENCES.get(step.tool, _other)(arguments, returned)
        else:
            sentence = Sentence(shown(seen.text_of(step.text), MAX_ANSWER_CHARS), is_open=True)
        apart = was_open or "\n" in sentence.text
        whole += ("\n" if apart else " ") * bool(whole) + sentence.text
        was_open = sentence.is_open
    return whole


def _calculated(arguments: Arguments, returned: Return) -> Sentence:
    return Sentence(f"{arguments['expression']} = {returned.output.strip()}.")


def _wrote(arguments: Arguments, returned: Return) -> Sentence:
    del returned
    size = len(str(arguments["content"]).encode("utf-8", errors="replace"))
    done = "Appended {} to {}." if arguments.get("append") is True else "Saved {} to {}."
    return Sentence(done.format(f"{size} byte{'' if size == 1 else 's'}", arguments["path"]))


def _read(arguments: Arguments, returned: Return) -> Sentence:
    if not returned.output:
        return Sentence(f"{arguments['path']} is empty.")
    return _with_text(f"{arguments['path']} contains", returned.output)


def _listed(arguments: Arguments, returned: Return) -> Sentence:
    where = f" in {arguments['path']}" if "path" in arguments else ""
    return _with_text(f"Files{where}", returned.output or "none")


def _deleted(arguments: Arguments, returned: Return) -> Sentence:
    del returned
    return Sentence(f"Deleted {arguments['path']}.")


def _ran(arguments: Arguments, returned: Return) -> Sentence:
    del arguments
    return (
        _with_text("The code returned", returned.output)
        if returned.output
        else Sentence("The code ran; no output.")
    )


def _queried(arguments: Arguments, returned: Return) -> Sentence:
    return _with_text(f"The query on {arguments['path']} returned", returned.output or "nothing")


def _fetched(arguments: Arguments, returned: Return) -> Sentence:
    return _with_text(f"{arguments['url']} returned", body_of(returned.output) or "nothing")


def _searched(arguments: Arguments, returned: Return) -> Sentence:
    return _with_text(f"Search results for {arguments['query']!r}", returned.output or "none")


def _asked(arguments: Arguments, returned: Return) -> Sentence:
    del arguments
    return _with_text("You answered", returned.output)


def _told_time(arguments: Arguments, returned: Return) -> Sentence:
    del arguments
    return Sentence(f"The time is {returned.output.strip()}.")


def _waited(arguments: Arguments, returned: Return) -> Sentence:
    del returned
    return Sentence(f"Waited {arguments['seconds']} s.")


def _other(arguments: Arguments, returned: Return) -> Sentence:
    del arguments
    return _with_text(f"{returned.tool} returned", returned.output or "nothing")


def _with_text(head: str, text: str) -> Sentence:
    told = shown(text, MAX_ANSWER_CHARS)
    return Sentence(f"{head}:{chr(10) if chr(10) in told else ' '}{told}", is_open=True)


_BESIDE = {
    "calculator": "Computing {expression}.",
    "write_file": "Writing {path}.",
    "read_file": "Reading {path}.",
    "list_files": "Listing the files.",
    "delete_file": "Deleting {path}.",
    "python": "Running the Python code.",
    "sqlite_query": "Querying {path}.",
    "http_fetch": "Fetching {url}.",
    "web_search": "Searching the web for {query}.",
    "ask_user": "Asking: {question}",
    "current_time": "Looking at the clock.",
    "wait": "Waiting {seconds} s.",
}
_SENTENCES: dict[str, Callable[[Arguments, Return], Sentence]] = {
    "calculator": _calculated,
    "write_file": _wrote,
    "read_file": _read,
    "list_files": _listed,
    "delete_file": _deleted,
    "python": _ran,
    "sqlite_query": _queried,
    "http_fetch": _fetched,
    "web_search": _searched,
    "ask_user": _asked,
    "current_time": _told_time,
    "wait": _waited,
}
