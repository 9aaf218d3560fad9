"""Which instruction becomes which steps, and which is refused before anything is done."""

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.errors import DomainError, NotConfiguredError, NotUnderstoodError
from app.models.interpreter.grammar import plan_of
from app.models.interpreter.plan import Call, Earlier, Observed, Plan, Text


def told(value: object) -> Any:
    """An argument with references as `{2}` (what call 2, from 1, shows)."""
    if not isinstance(value, Text):
        return value
    return "".join(
        piece
        if isinstance(piece, str)
        else f"{{{piece.call + 1}{'.' + piece.part if piece.part in ('date', 'time') else ''}}}"
        for piece in value.pieces
    )


def steps(plan: Plan) -> list[Any]:
    """`(tool, argument, ...)` per call, in the order of the tool's arguments; `("say", text)`."""
    return [
        (step.tool, *(told(value) for value in step.arguments.values()))
        if isinstance(step, Call)
        else ("say", told(step.text))
        for step in plan.steps
    ]


CALC, WRITE, READ, LIST = "calculator", "write_file", "read_file", "list_files"

UNDERSTOOD: list[tuple[str, list[Any]]] = [
    # the example everybody tries first
    (
        "Compute (42 + 58) * 3, save the result to total.txt and read it back",
        [(CALC, "(42 + 58) * 3"), (WRITE, "total.txt", "{1}"), (READ, "total.txt")],
    ),
    # arithmetic
    ("What is 12 times 12?", [(CALC, "12 * 12")]),
    ("how much is 15% of 80?", [(CALC, "15 * 80 / 100")]),
    ("calculate the sum of 42 and 58", [(CALC, "42 + 58")]),
    ("Please evaluate (3+4)*5.", [(CALC, "(3 + 4) * 5")]),
    ("what's 7/2", [(CALC, "7 / 2")]),
    ("what is 3.5 * 2", [(CALC, "3.5 * 2")]),
    ("multiply seven by eight", [(CALC, "7 * 8")]),
    ("work out twenty plus two", [(CALC, "20 + 2")]),
    ("can you tell me the square root of 81?", [(CALC, "sqrt(81)")]),
    ("double 21", [(CALC, "2 * 21")]),
    ("add 3 to 4", [(CALC, "4 + 3")]),
    ("Use the calculator to compute 2+2", [(CALC, "2 + 2")]),
    ("What is the result of 3 * 4", [(CALC, "3 * 4")]),
    ("Calculate 2+2. Save to x.txt", [(CALC, "2 + 2"), (WRITE, "x.txt", "{1}")]),
    ('print "hello"', [("say", "hello")]),
    ("write x to a.txt and tell me its contents", [(WRITE, "a.txt", "x"), (READ, "a.txt")]),
    ("2 ^ 10", [(CALC, "2 ** 10")]),
    ("compute 2+2 and 3+3", [(CALC, "2 + 2"), (CALC, "3 + 3")]),
    ('compute "2 + 2"', [(CALC, "2 + 2")]),
    (
        "compute 2+2, multiply it by 3 and save the result to a.txt",
        [(CALC, "2 + 2"), (CALC, "{1} * 3"), (WRITE, "a.txt", "{2}")],
    ),
    (
        "compute 2^10, then subtract 24, then divide by 10",
        [(CALC, "2 ** 10"), (CALC, "{1} - 24"), (CALC, "{2} / 10")],
    ),
    ("compute 2 + 2 and show it", [(CALC, "2 + 2"), ("say", "{1}")]),
    ("compute 5 + 5 and tell me the result", [(CALC, "5 + 5"), ("say", "{1}")]),
    ("what is two plus two, times three?", [(CALC, "(2 + 2) * 3")]),
    # writing
    (
        'write "hello, world. and then; save" to hello.txt',
        [(WRITE, "hello.txt", "hello, world. and then; save")],
    ),
    (
        "write hello world to hello.txt and show it",
        [(WRITE, "hello.txt", "hello world"), (READ, "hello.txt")],
    ),
    ("write the text 'it's fine' into notes.txt", [(WRITE, "notes.txt", "it's fine")]),
    ("store “Grüße” in the file greetings", [(WRITE, "greetings", "Grüße")]),
    ("put ```a\nb``` into ab.txt", [(WRITE, "ab.txt", "a\nb")]),
    ("write 42 to n.txt", [(WRITE, "n.txt", "42")]),
    ('write "x" to "my notes.txt"', [(WRITE, "my notes.txt", "x")]),
    ("Save today's date to date.txt", [("current_time",), (WRITE, "date.txt", "{1.date}")]),
    ("write today’s date into date.txt", [("current_time",), (WRITE, "date.txt", "{1.date}")]),
    ("save the square root of 81 to r.txt", [(CALC, "sqrt(81)"), (WRITE, "r.txt", "{1}")]),
    ('append "more" to log.txt', [(WRITE, "log.txt", "more", True)]),
    ('append the line "more" to log.txt', [(WRITE, "log.txt", "more\n", True)]),
    (
        'write "a" to a.txt, append "b" to it and read it back',
        [(WRITE, "a.txt", "a"), (WRITE, "a.txt", "b", True), (READ, "a.txt")],
    ),
    ("create a file notes.txt containing “Buy milk”", [(WRITE, "notes.txt", "Buy milk")]),
    (
        'create a file called n.txt with the text "x" and tell me what it contains',
        [(WRITE, "n.txt", "x"), (READ, "n.txt")],
    ),
    ("create an empty file called e.txt", [(WRITE, "e.txt", "")]),
    ('write "" to e.txt', [(WRITE, "e.txt", "")]),
    ("copy a.txt to b.txt", [(READ, "a.txt"), (WRITE, "b.txt", "{1}")]),
    # reading
    ("read notes.txt", [(READ, "notes.txt")]),
    ("show me notes.txt", [(READ, "notes.txt")]),
    ("tell me what notes.txt contains", [(READ, "notes.txt")]),
    ("what does notes.txt contain?", [(READ, "notes.txt")]),
    ("what is in the file notes?", [(READ, "notes")]),
    ("show me the contents of docs/a.md", [(READ, "docs/a.md")]),
    ("open notes.txt", [(READ, "notes.txt")]),
    ("read numbers.txt and multiply it by 2", [(READ, "numbers.txt"), (CALC, "{1} * 2")]),
    ("list the files", [(LIST,)]),
    ("show all files in docs", [(LIST, "docs")]),
    ("which files are there?", [(LIST,)]),
    ("list files in the workspace", [(LIST,)]),
    ("delete old.txt", [("delete_file", "old.txt")]),
    ("remove the file old", [("delete_file", "old")]),
    ("delete a.txt, b.txt and c.txt", [("delete_file", name) for name in ("a.txt", "b.txt", "c.txt")]),
    # code and data
    ("run python: ```print(1)```", [("python", "print(1)")]),
    ("Run python: print(2 + 2)", [("python", "print(2 + 2)")]),
    (
        "run this code:\n```python\nfor i in range(3):\n    print(i)\n```",
        [("python", "for i in range(3):\n    print(i)")],
    ),
    (
        'run the python code "print(6*7)" and save the output to out.txt',
        [("python", "print(6*7)"), (WRITE, "out.txt", "{1}")],
    ),
    (
        "query shop.db: SELECT a, b FROM t WHERE a > 3 and b LIKE 'x; y%'; then save the result to r.txt",
        [
            ("sqlite_query", "shop.db", "SELECT a, b FROM t WHERE a > 3 and b LIKE 'x; y%'"),
            (WRITE, "r.txt", "{1}"),
        ],
    ),
    ('run the query "SELECT 1" on shop.db', [("sqlite_query", "shop.db", "SELECT 1")]),
    # the network
    (
        "fetch http://example.com/a;b?c=d. and save it to page.html",
        [("http_fetch", "http://example.com/a;b?c=d"), (WRITE, "page.html", "{1}")],
    ),
    (
        "download https://example.com/x.txt to x.txt",
        [("http_fetch", "https://example.com/x.txt"), (WRITE, "x.txt", "{1}")],
    ),
    ("get the page http://127.0.0.1:8080/", [("http_fetch", "http://127.0.0.1:8080/")]),
    ("search the web for cats and dogs", [("web_search", "cats and dogs")]),
    ('search the web for "read and write; save"', [("web_search", "read and write; save")]),
    # people and time
    (
        "ask me for my name and write it to name.txt",
        [("ask_user", "Please tell me your name."), (WRITE, "name.txt", "{1}")],
    ),
    ('ask me "What colour?" and then say the answer', [("ask_user", "What colour?"), ("say", "{1}")]),
    ("what time is it?", [("current_time",)]),
    ("what is today's date?", [("current_time",)]),
    ("wait 2 seconds", [("wait", 2)]),
    ('wait for 500 ms, then say "done"', [("wait", 0.5), ("say", "done")]),
    ("sleep two minutes", [("wait", 120)]),
    ("wait one second", [("wait", 1)]),
    ('say "a" and say "b"', [("say", "a"), ("say", "b")]),
    ("reply with “ok”", [("say", "ok")]),
    # lists and politeness
    (
        "1. compute 2+2\n2. save it to a.txt\n3. read it back",
        [(CALC, "2 + 2"), (WRITE, "a.txt", "{1}"), (READ, "a.txt")],
    ),
    (
        "1. Compute (3+4)*5 2. save it to x.txt 3. read it back",
        [(CALC, "(3 + 4) * 5"), (WRITE, "x.txt", "{1}"), (READ, "x.txt")],
    ),
    ("Do the following steps:\n- wait 1 second\n* say x", [("wait", 1), ("say", "x")]),
    ("Compute 5 + 2. Save it to x.txt.", [(CALC, "5 + 2"), (WRITE, "x.txt", "{1}")]),
    (
        "Please first calculate the sum of 42 and 58; then can you store it in s.txt?",
        [(CALC, "42 + 58"), (WRITE, "s.txt", "{1}")],
    ),
    ("Hello! Compute 2 + 2 for me. Thanks!", [(CALC, "2 + 2")]),
    # action scripts
    ('[{"tool": "calculator", "arguments": {"expression": "1+1"}}]', [(CALC, "1+1")]),
    (
        '{"actions": [{"tool": "list_files"}, {"tool": "x", "arguments": {"n": [1, null]}}]}',
        [(LIST,), ("x", [1, None])],
    ),
    ('```json\n[{"tool": "wait", "arguments": {"seconds": 1}}]\n```', [("wait", 1)]),
    ("- tool: calculator\n  arguments:\n    expression: 1+1\n- tool: list_files", [(CALC, "1+1"), (LIST,)]),
    ("actions:\n  - tool: list_files", [(LIST,)]),
]

REFUSED: list[tuple[str, type[DomainError], str]] = [
    (
        "Summarise the quarterly report and email it to Bob",
        NotUnderstoodError,
        "Summarise the quarterly report",
    ),
    ("compute 2 + 2 and frobnicate it", NotUnderstoodError, "compute 2 + 2 and frobnicate it"),
    ("compute 2 + 2. Then write a poem about it", NotUnderstoodError, "write a poem about it"),
    ("write a poem about spring to poem.txt", NotUnderstoodError, "write a poem about spring to poem.txt"),
    ("write summary to a.txt", NotUnderstoodError, "write summary to a.txt"),
    ("compute the meaning of life", NotUnderstoodError, "compute the meaning of life"),
    ("what is the capital of France?", NotUnderstoodError, "what is the capital of France"),
    ("tell me a joke", NotUnderstoodError, "tell me a joke"),
    ("save it to x.txt", NotUnderstoodError, "save it to x.txt"),
    ("multiply it by 3", NotUnderstoodError, "multiply it by 3"),
    ("read it back", NotUnderstoodError, "read it back"),
    ("delete everything", NotUnderstoodError, "delete everything"),
    ("execute ls -la", NotUnderstoodError, "execute ls -la"),
    ('translate "x" to French', NotUnderstoodError, 'translate "x" to French'),
    ('check that a.txt contains "x"', NotUnderstoodError, 'check that a.txt contains "x"'),
    ('write "unclosed to a.txt', NotUnderstoodError, 'write "unclosed to a.txt'),
    ("", NotUnderstoodError, ""),
    ("please", NotUnderstoodError, "please"),
    ("compute " + "1 + " * 600 + "1", NotUnderstoodError, ""),
    ("say x\n" * 101, NotUnderstoodError, ""),
    ("Open a calculator and compute 1 + 1", NotConfiguredError, "Open a calculator"),
    ("click 'OK'", NotConfiguredError, "click 'OK'"),
    ("press enter", NotConfiguredError, "press enter"),
    ("go to http://example.com/ and take a screenshot", NotConfiguredError, "go to http://example.com/"),
    ('type "Hello" and save it as hello.txt', NotConfiguredError, 'type "Hello"'),
    ('[{"tool": "calculator"', NotUnderstoodError, '[{"tool": "calculator"'),
    ('{"actions": [{"tool": 5}]}', NotUnderstoodError, "action 1"),
    ('{"actions": [{"tool": "x", "arguments": []}]}', NotUnderstoodError, "action 1: x"),
    ('[{"tool": "x", "argumnets": {}}]', NotUnderstoodError, "action 1"),
    ('[{"tool": "x", "arguments": {"n": NaN}}]', NotUnderstoodError, ""),
    ("- tool: x\n  arguments: &a [1]\n- tool: *a", NotUnderstoodError, ""),
    ("- tool: x\n  arguments: {when: 2026-01-01}", NotUnderstoodError, ""),
    ("[" * 50_000 + '"tool"', NotUnderstoodError, ""),
]


@pytest.mark.parametrize(("instruction", "expected"), UNDERSTOOD, ids=[row[0][:60] for row in UNDERSTOOD])
def test_an_instruction_becomes_steps(instruction: str, expected: list[Any]) -> None:
    assert steps(plan_of(instruction)) == expected


@pytest.mark.parametrize(("instruction", "error", "clause"), REFUSED, ids=[row[0][:60] for row in REFUSED])
def test_what_cannot_be_done_is_refused_naming_the_clause(
    instruction: str, error: type[DomainError], clause: str
) -> None:
    with pytest.raises(error) as refused:
        plan_of(instruction)

    assert type(refused.value) is error
    if clause:
        assert refused.value.facts["clause"] == clause
    if error is NotUnderstoodError:
        assert "GATEWAY_MODEL__DEFAULT or configuration.model" in refused.value.message
    else:
        assert refused.value.facts["tool"] == "act"


def test_it_may_mean_what_an_earlier_task_left() -> None:
    earlier = Earlier(value="300", path="total.txt")

    assert steps(plan_of("read it back", earlier=earlier)) == [(READ, "total.txt")]
    assert steps(plan_of("multiply it by 2", earlier=earlier)) == [(CALC, "300 * 2")]
    assert steps(plan_of("save the result to b.txt", earlier=earlier)) == [(WRITE, "b.txt", "300")]
    assert steps(plan_of("compute 1 + 1 and show it", earlier=earlier)) == [(CALC, "1 + 1"), ("say", "{1}")]


def test_an_earlier_negative_number_keeps_its_sign_in_an_expression() -> None:
    assert steps(plan_of("square it", earlier=Earlier(value="-3"))) == [(CALC, "(-3) ** 2")]


def test_an_earlier_text_is_no_number() -> None:
    with pytest.raises(NotUnderstoodError, match="not a number"):
        plan_of("multiply it by 2", earlier=Earlier(value="abc"))


QUOTES = [('"', '"'), ("“", "”"), ("«", "»"), ("`", "`"), ("```\n", "\n```")]


@pytest.mark.parametrize(("opening", "closing"), QUOTES)
@given(text=st.text(min_size=1))
@settings(max_examples=150, deadline=None)
def test_a_quoted_text_arrives_unchanged(opening: str, closing: str, text: str) -> None:
    for sign in {*opening, *closing} - {"\n"}:
        text = text.replace(sign, "")
    if closing.startswith("\n"):
        text = text.rstrip("\r")  # a Windows line end before a fence is not the text's

    plan = plan_of(f"compute 1 + 1, write {opening}{text}{closing} to a.txt and read it back")

    assert steps(plan) == [(CALC, "1 + 1"), (WRITE, "a.txt", text), (READ, "a.txt")]


@given(text=st.text(alphabet=st.characters(exclude_characters="'’‘"), min_size=1))
@settings(max_examples=150, deadline=None)
def test_a_text_in_single_quotes_arrives_unchanged(text: str) -> None:
    assert steps(plan_of(f"write '{text}' to a.txt")) == [(WRITE, "a.txt", text)]


@given(arguments=st.dictionaries(st.text(), st.text() | st.integers() | st.lists(st.text() | st.none())))
@settings(max_examples=100, deadline=None)
def test_the_arguments_of_a_script_arrive_unchanged(arguments: dict[str, object]) -> None:
    plan = plan_of(json.dumps([{"tool": "x", "arguments": arguments}]))

    assert plan.calls[0].arguments == arguments


WORDS = st.sampled_from([
    "compute", "save", "the", "result", "to", "a.txt", "and", "then", ",", ".", ";", ":", "'", '"', "```",
    "`", "“", "”", "it", "read", "back", "query", "shop.db:", "SELECT", "run", "python:", "http://a.b/",
    "1", "2.", "3)", "*", "+", "(", ")", "%", "of", "sum", "-", "\n", "add", "write", "list", "files", "in",
    "ask", "me", "for", "wait", "five", "hundred", "seconds", "[", "{", "tool",
])  # fmt: skip


@given(
    text=st.text() | st.lists(WORDS, max_size=40).map(" ".join) | st.lists(WORDS, max_size=40).map("".join)
)
@settings(max_examples=500, deadline=None)
def test_any_text_is_a_plan_or_a_domain_error(text: str) -> None:
    try:
        plan = plan_of(text)
    except DomainError:
        return
    assert plan.steps
    for index, call in enumerate(plan.calls):
        for argument in call.arguments.values():
            pieces = argument.pieces if isinstance(argument, Text) else ()
            assert all(piece.call < index for piece in pieces if isinstance(piece, Observed))


HOSTILE = [
    "a", "'", " '", "'a ", '"', "“", "„”", "‘", "```", "`", " and", " and please", ", then", "please ",
    "now ", "write a to ", "to new ", "compute ", "1+", "(", "-", "1. ", "\n", " \n", ":\n", ": select '",
    "python: '", ": ", "http://", 'query x: select "', "\ue000", "\ue0001\ue001", ";", ".", ". ", ", ",
    "and and ", "the ", "read x back ", "add 1 to ", "five hundred and ", "fetch http://a to ",
    "list of files ", "say the text ", "[", "{", "- tool: a\n", "step 1: ", "1) a ", "what is ",
    "run the following ",
]  # fmt: skip


@pytest.mark.parametrize("piece", HOSTILE, ids=repr)
def test_a_hostile_text_is_read_in_linear_time(piece: str) -> None:
    def seconds(length: int) -> float:
        text = (piece * (length // len(piece) + 1))[:length]
        began = time.process_time()
        try:
            plan_of(text)
        except DomainError:
            pass
        return time.process_time() - began

    assert seconds(100_000) < max(2.0, 40 * seconds(10_000))  # quadratic would be minutes


@pytest.mark.parametrize("piece", HOSTILE, ids=repr)
def test_a_hostile_clause_does_not_stall(piece: str) -> None:
    """Each line as long as a clause may be: what is quadratic in a clause shows here."""
    line = (piece.replace("\n", " ") * 2_000)[:1_990]
    began = time.process_time()
    try:
        plan_of("\n".join(["say x", *[line + " zz"] * 49]))
    except DomainError:
        pass

    assert time.process_time() - began < 2.0
