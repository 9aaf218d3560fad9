"""The layer around all routes, and the listener under it."""

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from opentelemetry.trace import SpanKind

from rest_api.uvicorn_server import UvicornServer
from tests.rest_api.sse_reading import blocks
from tests.rest_api.workbench import AUTH, STREAM, Workbench, open_workbench

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize(
    ("given", "kept"), [("my-id_1", True), ("x" * 129, False), ("a b", False), ("", False)]
)
async def test_a_decent_request_id_is_kept_and_another_one_is_replaced(
    bench: Workbench, given: str, kept: bool
) -> None:
    answer = await bench.client.get("/v1/server", headers={"x-request-id": given})

    seen = answer.headers["x-request-id"]
    assert (seen == given) is kept
    assert re.fullmatch(r"[A-Za-z0-9._:-]{1,128}", seen)


async def test_a_request_is_a_span_of_its_caller_s_trace(bench: Workbench) -> None:
    await bench.client.get("/v1/tasks/nope", headers={"traceparent": TRACE, "x-request-id": "r1"})

    span = next(span for span in bench.spans.get_finished_spans() if span.kind is SpanKind.SERVER)
    assert span.name == "GET /v1/tasks/{task_id}"
    assert span.context is not None
    assert span.parent is not None
    assert f"{span.context.trace_id:032x}" == TRACE.split("-")[1]
    assert f"{span.parent.span_id:016x}" == TRACE.split("-")[2]
    assert span.attributes is not None
    assert span.attributes["http.route"] == "/v1/tasks/{task_id}"
    assert span.attributes["http.request.method"] == "GET"
    assert span.attributes["http.response.status_code"] == 404
    assert span.attributes["agentgateway.request.id"] == "r1"
    assert "error.type" not in span.attributes


async def test_a_task_keeps_the_trace_of_the_call_that_submitted_it(bench: Workbench) -> None:
    await bench.client.post("/v1/tasks", json={"instruction": "x"}, headers={"traceparent": TRACE})

    page = await bench.stores.tasks.unfinished()
    task = await bench.stores.tasks.find(page[0].task_id)
    assert task is not None
    assert task.traceparent is not None
    assert task.traceparent.split("-")[1] == TRACE.split("-")[1]
    assert task.traceparent != TRACE


async def test_calls_are_counted_by_route_and_reason(bench: Workbench) -> None:
    await bench.client.get("/v1/tasks/a")
    await bench.client.get("/v1/tasks/b")
    await bench.client.get("/v1/server")
    await bench.client.get("/wp-admin.php")

    text = (await bench.client.get("/metrics")).text

    def count(method: str, code: int, outcome: str) -> str:
        labels = f'code="{code}",method="{method}",outcome="{outcome}",protocol="rest"'
        return f"agentgateway_requests_total{{{labels}}} "

    assert count("GET /v1/tasks/{task_id}", 404, "NOT_FOUND") + "2.0" in text
    assert count("GET /v1/server", 200, "ok") + "1.0" in text
    assert count("unmatched", 404, "ROUTE_NOT_FOUND") + "1.0" in text
    assert "wp-admin" not in text


async def test_an_unexpected_error_tells_the_caller_nothing_and_the_log_everything(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("the secret is 42")

    monkeypatch.setattr(bench.stores.tasks, "get", broken)

    with caplog.at_level(logging.ERROR):
        answer = await bench.client.get("/v1/tasks/x")

    assert (answer.status_code, answer.json()["reason"]) == (500, "INTERNAL")
    assert "42" not in answer.text
    assert "the secret is 42" in caplog.text
    assert caplog.text.count("Traceback") == 1
    assert (await bench.client.get("/v1/server")).status_code == 200


async def test_a_body_that_says_it_is_too_long_is_not_read(tmp_path: Path) -> None:
    async with open_workbench(tmp_path, max_body_bytes=1_000) as bench:
        fits = await bench.client.post("/v1/tasks", json={"instruction": "x" * 900})
        refused = await bench.client.post("/v1/tasks", json={"instruction": "x" * 1_000})

    assert fits.status_code == 201
    assert (refused.status_code, refused.json()["reason"]) == (413, "PAYLOAD_TOO_LARGE")


async def test_a_body_that_does_not_say_how_long_it_is_is_counted(tmp_path: Path) -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield b'{"instruction": "'
        for _ in range(100):
            yield b"x" * 100

    async with open_workbench(tmp_path, max_body_bytes=1_000) as bench:
        refused = await bench.client.post(
            "/v1/tasks", content=endless(), headers={"content-type": "application/json"}
        )

    assert (refused.status_code, refused.json()["reason"]) == (413, "PAYLOAD_TOO_LARGE")


async def test_the_probes_need_no_credential_and_the_docs_are_served(bench: Workbench) -> None:
    del bench.client.headers["authorization"]

    answers = [
        await bench.client.get(path)
        for path in ("/healthz/live", "/healthz/ready", "/metrics", "/openapi.json", "/docs")
    ]

    assert [answer.status_code for answer in answers] == [200] * 5
    assert answers[3].json()["openapi"] == "3.1.0"


async def test_docs_and_metrics_can_be_left_out(tmp_path: Path) -> None:
    async with open_workbench(tmp_path, docs=False, prometheus=False, ready=lambda: False) as bench:
        for path in ("/openapi.json", "/docs", "/metrics"):
            assert (await bench.client.get(path)).status_code == 404
        assert (await bench.client.get("/healthz/ready")).json() == {"status": "starting"}


async def test_other_origins_are_let_in_only_where_they_are_named(tmp_path: Path) -> None:
    preflight = {
        "access-control-request-method": "GET",
        "access-control-request-headers": "last-event-id, authorization",
    }
    async with open_workbench(tmp_path, cors_origins=("https://app.example",)) as bench:
        named = await bench.client.options(
            "/v1/events", headers=preflight | {"origin": "https://app.example"}
        )
        other = await bench.client.options(
            "/v1/events", headers=preflight | {"origin": "https://evil.example"}
        )
        failed = await bench.client.get("/v1/tasks/nope", headers={"origin": "https://app.example"})

    assert named.headers["access-control-allow-origin"] == "https://app.example"
    assert "Last-Event-ID" in named.headers["access-control-allow-headers"]
    assert "access-control-allow-origin" not in other.headers
    assert failed.status_code == 404
    assert failed.headers["access-control-allow-origin"] == "https://app.example"
    assert "ETag" in failed.headers["access-control-expose-headers"]


async def test_without_named_origins_nothing_is_said_to_browsers(bench: Workbench) -> None:
    answer = await bench.client.get("/v1/server", headers={"origin": "https://evil.example"})

    assert "access-control-allow-origin" not in answer.headers


async def test_a_port_that_is_taken_stops_the_start_and_is_named(bench: Workbench) -> None:
    second = UvicornServer(bench.app, host="127.0.0.1", port=bench.port)

    with pytest.raises(OSError, match=f"127.0.0.1:{bench.port}"):
        await second.start()


async def test_a_host_that_does_not_exist_stops_the_start_and_is_named(bench: Workbench) -> None:
    with pytest.raises(OSError, match=r"no\.such\.host\.invalid"):
        await UvicornServer(bench.app, host="no.such.host.invalid", port=0).start()


async def test_a_drain_closes_each_connection_after_its_next_answer(bench: Workbench) -> None:
    before = await bench.client.get("/v1/server")
    bench.server.enter_drain()
    after = await bench.client.get("/v1/server")

    assert "connection" not in before.headers
    assert (after.status_code, after.headers["connection"]) == (200, "close")


async def test_a_stop_lets_an_open_stream_say_goodbye(bench: Workbench) -> None:
    task_id = await bench.submitted()
    async with bench.client.stream("GET", f"/v1/tasks/{task_id}/events", headers=STREAM) as response:
        stream = blocks(response)
        await anext(stream)
        bench.server.enter_drain()
        bench.feeds.drain()
        async with asyncio.TaskGroup() as group:
            group.create_task(bench.server.stop(5.0))
            last = [block async for block in stream][-1]

    assert last.event == "drain"
    with pytest.raises(httpx.ConnectError):
        async with httpx.AsyncClient(trust_env=False) as client:
            await client.get(f"http://127.0.0.1:{bench.port}/healthz/live")


async def test_a_stop_cuts_a_stream_that_does_not_end_within_the_grace(
    bench: Workbench, caplog: pytest.LogCaptureFixture
) -> None:
    task_id = await bench.submitted()
    async with bench.client.stream("GET", f"/v1/tasks/{task_id}/events", headers=STREAM) as response:
        stream = blocks(response)
        await anext(stream)
        await anext(stream)
        await bench.server.stop(0.1)
        with pytest.raises(httpx.RemoteProtocolError):
            await anext(stream)

    assert bench.feeds.readers == 0
    assert "Traceback" not in caplog.text


async def test_many_calls_on_one_connection_are_answered_in_order(bench: Workbench) -> None:
    """Pipelined: the second request is there before the first is answered."""
    reader, writer = await asyncio.open_connection("127.0.0.1", bench.port)
    request = f"GET /v1/server HTTP/1.1\r\nhost: x\r\nauthorization: {AUTH['authorization']}\r\n"
    for number in range(3):
        writer.write(f"{request}x-request-id: r{number}\r\n\r\n".encode())

    ids: list[str] = []
    async with asyncio.timeout(5):
        for _ in range(3):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = re.search(r"content-length: (\d+)", head)
            assert length is not None
            json.loads(await reader.readexactly(int(length[1])))
            found = re.search(r"x-request-id: (\S+)", head)
            assert found is not None
            ids.append(found[1])
    writer.close()
    await writer.wait_closed()

    assert ids == ["r0", "r1", "r2"]
