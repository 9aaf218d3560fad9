"""What the HTTP listener takes before a request is one: heads without end, bodies that break off."""

import asyncio
import logging
from pathlib import Path

import pytest

from rest_api.connections import HttpLimits
from tests.rest_api.workbench import Workbench, open_workbench

HEAD = b"GET /v1/server HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: desk-key\r\n"


async def _sent(port: int, *pieces: bytes, more: bytes = b"", times: int = 0) -> bytes:
    """What comes back before the server closes; `more` is sent `times` times or until it does."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(10):
            for piece in (*pieces, *[more] * times):
                writer.write(piece)
                await writer.drain()
            return await reader.read()
    except ConnectionError:
        return await reader.read() if not reader.exception() else b""
    finally:
        writer.close()


@pytest.mark.parametrize(
    ("first", "more"),
    [
        (HEAD, b"X-A: " + b"a" * 8_000 + b"\r\n"),  # many headers
        (HEAD + b"X-A: ", b"a" * 8_000),  # one that does not end
        (b"GET /", b"a" * 8_000),  # a target that does not end
        (b"", b"\r\n" * 4_000),  # nothing at all
    ],
)
async def test_a_head_without_end_is_cut(bench: Workbench, first: bytes, more: bytes) -> None:
    answer = await _sent(bench.port, first, more=more, times=1_000)

    assert answer == b"" or answer.startswith((b"HTTP/1.1 431 ", b"HTTP/1.1 400 ")), answer[:200]
    assert (await bench.client.get("/v1/server")).status_code == 200


async def test_a_long_head_is_served_and_a_longer_one_refused(bench: Workbench) -> None:
    fits = await bench.client.get("/v1/server", headers={"x-a": "a" * (HttpLimits().max_head_bytes // 2)})
    refused = await bench.client.get("/v1/server", headers={"x-a": "a" * HttpLimits().max_head_bytes})

    assert fits.status_code == 200
    assert refused.status_code == 431
    assert refused.headers["connection"] == "close"


async def test_each_request_of_a_connection_has_its_own_head(bench: Workbench) -> None:
    for _ in range(4):
        answer = await bench.client.get(
            "/v1/server", headers={"x-a": "a" * (HttpLimits().max_head_bytes // 2)}
        )

        assert answer.status_code == 200


@pytest.mark.parametrize("rest", [b"", b"fffffffffffffffffff\r\n"])
async def test_a_body_that_breaks_off_is_nobody_s_error(
    bench: Workbench, caplog: pytest.LogCaptureFixture, rest: bytes
) -> None:
    """Else any caller could fill the log with tracebacks."""
    head = (
        b"POST /v1/tasks HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: desk-key\r\n"
        b'Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"ins\r\n'
    )
    _, writer = await asyncio.open_connection("127.0.0.1", bench.port)
    with caplog.at_level(logging.INFO):
        writer.write(head + rest)
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        async with asyncio.timeout(5):
            while b"CLIENT_CLOSED" not in (await bench.client.get("/metrics")).content:
                await asyncio.sleep(0)

    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_a_body_that_does_not_come_is_not_waited_for(tmp_path: Path) -> None:
    head = HEAD.replace(b"GET /v1/server", b"POST /v1/tasks").replace(
        b"\r\n", b"\r\nContent-Length: 9\r\n", 1
    )

    async with open_workbench(tmp_path, body_timeout_s=0.05) as bench:
        answer = await _sent(
            bench.port, head + b"Content-Type: application/json\r\nConnection: close\r\n\r\n{"
        )

    assert answer.startswith(b"HTTP/1.1 408 "), answer[:200]
    assert b"BODY_TIMEOUT" in answer
