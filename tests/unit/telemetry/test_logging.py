"""What a log line carries, and what it never does."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from app.domain.secrets import Secret
from app.telemetry.context import bind, bound, current
from app.telemetry.known_secrets import MASK
from app.telemetry.logging import configure_logging
from app.telemetry.redaction import is_secret_name, redact
from app.telemetry.spans import task
from app.telemetry.tracing import Tracing

CALLER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
log = logging.getLogger("gateway.test")


@pytest.fixture
def out() -> Iterator[io.StringIO]:
    """Where all logs of the process go for the time of a test."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield io.StringIO()
    root.handlers[:] = handlers
    root.setLevel(level)


def last(out: io.StringIO) -> dict[str, Any]:
    return json.loads(out.getvalue().splitlines()[-1])


def test_a_line_is_json_with_its_context_and_extras(out: io.StringIO) -> None:
    configure_logging("info", stream=out)

    with (
        bound(request_id="req_1", tenant="acme", task_id=None),
        Tracing().span(task("t", tenant="acme", epoch=1), parent=CALLER),
    ):
        log.warning("task %s is slow", "t", extra={"waited_s": 1.5, "who": object})

    line = last(out)
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "warning",
        "logger": "gateway.test",
        "message": "task t is slow",
        "request_id": "req_1",
        "tenant": "acme",
        "trace_id": CALLER[3:35],
        "span_id": CALLER[36:52],
        "waited_s": 1.5,
        "who": "<class 'object'>",
    }


def test_records_below_the_level_are_dropped(out: io.StringIO) -> None:
    configure_logging("warning", stream=out)

    log.info("not this")

    assert out.getvalue() == ""


def test_a_traceback_is_told_without_the_secrets_in_it(out: io.StringIO) -> None:
    configure_logging("info", stream=out)

    try:
        raise ValueError("refused: Authorization: Bearer abcdefghijkl")
    except ValueError:
        log.exception("failed")

    assert "ValueError" in last(out)["exception"]
    assert "abcdefghijkl" not in out.getvalue()


def test_the_plain_style_is_one_readable_line(out: io.StringIO) -> None:
    configure_logging("info", style="plain", stream=out)

    with bound(request_id="req_1"):
        log.info("ready")

    assert out.getvalue().endswith("INFO    gateway.test: ready request_id=req_1\n")


def test_extras_with_the_name_of_a_secret_are_masked(out: io.StringIO) -> None:
    configure_logging("info", stream=out)

    log.info("calling", extra={"api_key": "hunter2-hunter2", "input_tokens": 7, "key": Secret("hunter2")})

    assert last(out)["api_key"] == MASK
    assert last(out)["input_tokens"] == 7
    assert "hunter2" not in out.getvalue()


def test_an_unknown_level_is_refused(out: io.StringIO) -> None:
    with pytest.raises(ValueError, match="LOUD"):
        configure_logging("loud", stream=out)


def test_bound_fields_end_with_their_block() -> None:
    with bound(tenant="acme"):
        with bound(task_id="t"):
            assert current() == {"tenant": "acme", "task_id": "t"}
        assert current() == {"tenant": "acme"}

    assert current() == {}


async def test_bound_fields_of_one_coroutine_are_not_seen_by_another() -> None:
    import asyncio

    async def work(name: str) -> str:
        bind(task_id=name)
        await asyncio.sleep(0)
        return current()["task_id"]

    async with asyncio.TaskGroup() as group:
        works = [group.create_task(work(name)) for name in "abc"]

    assert [work.result() for work in works] == ["a", "b", "c"]
    assert "task_id" not in current()


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("authorization: Bearer abc.def-ghi", "abc.def-ghi"),
        ("{'authorization': 'Bearer abcdefgh'}", "abcdefgh"),
        ("metadata (('authorization', 'Bearer abcdefgh'), ('x', 'y'))", "abcdefgh"),
        ("[(b'x-api-key', b'abcdefgh')]", "abcdefgh"),
        ("X-API-Key=abcdefgh&x=1", "abcdefgh"),
        ('{"api_key": "abcdefgh"}', "abcdefgh"),
        ("GATEWAY_MODEL__API_KEY=abcdefgh", "abcdefgh"),
        ("Incorrect API key provided: sk-proj-abcdefgh1234", "sk-proj-abcdefgh1234"),
        ("key sk-ant-api03-abcdefgh_-1234 refused", "abcdefgh"),
        ("postgresql://gateway:hunter2@db:5432/x", "hunter2"),
        ("GET /v1/events?ticket=abcdefgh HTTP/1.1", "abcdefgh"),
        ("password='hunter2 '", "hunter2"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abcdef-ghi", "eyJzdWIiOiIxMjM0In0"),
    ],
)
def test_secrets_are_redacted(text: str, secret: str) -> None:
    redacted = redact(text)

    assert secret not in redacted
    assert MASK in redacted


@pytest.mark.parametrize(
    "text",
    [
        "task task_01 used 12 tokens: 5 in, 7 out",
        "GET http://127.0.0.1:8080/v1/tasks 200",
        "wrote total.txt (3 bytes) at risk-free-location",
        "max_tokens=4096",
    ],
)
def test_ordinary_lines_stay_as_they_are(text: str) -> None:
    assert redact(text) == text


def test_names_that_tell_of_a_secret() -> None:
    assert all(
        map(is_secret_name, ["authorization", "X-API-Key", "OPENAI_API_KEY", "set-cookie", "password"])
    )
    assert not any(map(is_secret_name, ["input_tokens", "task_id", "key", "author", "tokenizer"]))
