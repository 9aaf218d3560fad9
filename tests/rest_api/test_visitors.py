"""Without keys, a page in the operator's browser is a stranger: DNS rebinding and cross-site requests."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.rest_api.workbench import Workbench, open_workbench


@pytest.fixture
async def open_bench(tmp_path: Path) -> AsyncIterator[Workbench]:
    async with open_workbench(
        tmp_path, allowed_hosts=("gateway.test",), cors_origins=("https://app.example",)
    ) as bench:
        yield bench


HOSTS: list[tuple[str, bool]] = [
    ("localhost", True),
    ("LOCALHOST:8080", True),
    ("localhost.", True),
    ("127.0.0.1", True),
    ("127.8.9.10:1", True),
    ("[::1]", True),
    ("[::1]:8080", True),
    ("gateway.test", True),
    ("Gateway.Test:8443", True),
    ("evil.example", False),
    ("evil.example:8080", False),
    ("localhost.evil.example", False),
    ("127.0.0.1.evil.example", False),
    ("evil.gateway.test", False),
    ("10.0.0.1", False),
    ("0.0.0.0", False),  # noqa: S104 - refused here
    ("2130706433", False),
    ("[::]", False),
    ("[::1", False),
    ("::1", False),
    ("localhost:port", False),
    ("localhost@evil.example", False),
    ("user@localhost", False),
    ("localhost, evil.example", False),
    ("", False),
]


@pytest.mark.parametrize(("host", "welcome"), HOSTS)
async def test_a_name_that_is_not_this_machine_s_is_refused(
    open_bench: Workbench, host: str, welcome: bool
) -> None:
    for path in ("/v1/server", "/metrics", "/healthz/live", "/docs", "/nowhere"):
        answer = await open_bench.client.get(path, headers={"host": host})

        refused = answer.status_code == 421
        assert refused is not welcome, answer.text
        if refused:
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["reason"] == "MISDIRECTED_REQUEST"


@pytest.mark.parametrize(
    "head",
    [
        b"GET /v1/server HTTP/1.1\r\nConnection: close\r\n",
        b"GET /v1/server HTTP/1.1\r\nConnection: close\r\nHost: localhost\r\nHost: evil.example\r\n",
        b"GET http://evil.example/v1/server HTTP/1.1\r\nConnection: close\r\nHost: evil.example\r\n",
    ],
)
async def test_a_request_for_nobody_or_for_two_is_refused(open_bench: Workbench, head: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", open_bench.port)
    writer.write(head + b"\r\n")

    answer = await asyncio.wait_for(reader.read(), 5)

    assert answer.startswith(b"HTTP/1.1 421 ")
    writer.close()
    await writer.wait_closed()


ORIGINS: list[tuple[str | None, bool]] = [
    (None, True),
    ("http://localhost:{port}", True),
    ("https://app.example", True),
    ("https://evil.example", False),
    ("http://localhost:{other}", False),
    ("http://localhost", False),
    ("null", False),
    ("https://app.example.evil.example", False),
]


@pytest.mark.parametrize(("origin", "welcome"), ORIGINS)
@pytest.mark.parametrize("method", ["POST", "DELETE"])
async def test_a_page_from_elsewhere_may_change_nothing(
    open_bench: Workbench, origin: str | None, welcome: bool, method: str
) -> None:
    """Also by the requests that a browser sends without asking first: those without a body."""
    task_id = (await open_bench.client.post("/v1/tasks", json={"instruction": "x"})).json()["id"]
    headers = {"host": f"localhost:{open_bench.port}"}
    if origin is not None:
        headers["origin"] = origin.format(port=open_bench.port, other=open_bench.port - 1)
    path = f"/v1/tasks/{task_id}" + (":cancel" if method == "POST" else "")

    answer = await open_bench.client.request(method, path, headers=headers)

    state = (await open_bench.client.get(f"/v1/tasks/{task_id}")).json()["state"]
    if welcome:
        assert answer.status_code in {200, 409}
    else:
        assert (answer.status_code, answer.json()["reason"]) == (403, "CROSS_ORIGIN")
        assert state == "queued"


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("text/plain", b'{"instruction": "x"}'),
        ("application/x-www-form-urlencoded", b'{"instruction": "x", "a": "="}'),
        ("multipart/form-data; boundary=b", b'--b\r\n\r\n{"instruction": "x"}\r\n--b--\r\n'),
        (None, b'{"instruction": "x"}'),
    ],
)
async def test_a_form_is_no_way_to_submit(
    open_bench: Workbench, content_type: str | None, body: bytes
) -> None:
    headers = {"content-type": content_type} if content_type else {}

    for path in ("/v1/tasks", "/v1/sessions", "/v1/sandboxes", "/v1/agents", "/v1/tools/calculator:execute"):
        answer = await open_bench.client.post(path, content=body, headers=headers)

        assert (answer.status_code, answer.json()["reason"]) == (415, "UNSUPPORTED_MEDIA_TYPE"), path


async def test_a_page_from_elsewhere_may_look_but_reads_nothing(open_bench: Workbench) -> None:
    answer = await open_bench.client.get("/v1/server", headers={"origin": "https://evil.example"})

    assert answer.status_code == 200
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("options", [{}, {"allowed_hosts": None}])
async def test_with_keys_every_name_will_do(tmp_path: Path, options: dict[str, Any]) -> None:
    """A page cannot guess the key, and a proxy may use any name."""
    async with open_workbench(tmp_path, **options) as bench:
        answer = await bench.client.get("/v1/server", headers={"host": "gateway.example"})
        posted = await bench.client.post(
            "/v1/tasks", json={"instruction": "x"}, headers={"origin": "https://evil.example"}
        )

    assert (answer.status_code, posted.status_code) == (200, 201)
