"""A page in a browser: a session behind a cookie, an EventSource with a ticket; over real sockets."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import httpx
import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from app.bootstrap.gateway import Gateway, open_gateway
from app.settings import Settings
from grpc_service.gen.agentgateway.v1 import access_service_pb2
from grpc_service.gen.agentgateway.v1.access_service_pb2_grpc import AccessServiceStub
from tests.conftest import postgres_database

KEY = "planted-key-of-the-page"
WITH_KEY = {"x-api-key": KEY}
STREAM = {"accept": "text/event-stream"}
COOKIE = "agentgateway"


@dataclass
class Site:
    """A gateway, a browser (a client that keeps cookies) and what was traced."""

    gateway: Gateway
    browser: httpx.AsyncClient
    spans: InMemorySpanExporter

    @property
    def own(self) -> dict[str, str]:
        """What a browser adds to requests of our own page."""
        return {"origin": str(self.browser.base_url).rstrip("/"), "sec-fetch-site": "same-origin"}

    async def ended(self) -> str:
        """The events' path of a task that has ended."""
        task = {"instruction": "hi", "agent_id": "echo"}
        answer = await self.browser.post("/v1/tasks", json=task, headers={**WITH_KEY, "prefer": "wait=20"})
        assert answer.status_code == 201, answer.text
        return f"/v1/tasks/{answer.json()['id']}/events"

    async def ticket(self, path: str, headers: dict[str, str] | None = None) -> str:
        answer = await self.browser.post(
            "/v1/stream-tickets", json={"path": path}, headers=WITH_KEY if headers is None else headers
        )
        assert answer.status_code == 201, answer.text
        assert answer.headers["cache-control"] == "no-store"
        return answer.json()["ticket"]

    async def logged_in(self) -> None:
        answer = await self.browser.post("/v1/browser-sessions", headers=WITH_KEY)
        assert answer.status_code == 201, answer.text

    async def caller(self, **headers: str) -> dict[str, Any]:
        answer = await self.browser.get("/v1/caller", headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.json()


@asynccontextmanager
async def open_site(path: Path, **more: Any) -> AsyncGenerator[Site]:
    settings: dict[str, Any] = {
        "rest": {"port": 0, "cors_origins": ["https://app.example"]},
        "grpc": {"port": 0},
        "storage": {"data_dir": path},
        "auth": {"keys": [{"key": KEY, "subject": "zoe", "tenant": "acme"}]},
    }
    spans = InMemorySpanExporter()
    async with AsyncExitStack() as stack:
        gateway = await stack.enter_async_context(
            open_gateway(
                Settings.model_validate(settings | more), span_processors=[SimpleSpanProcessor(spans)]
            )
        )
        browser = await stack.enter_async_context(
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{gateway.rest_port}", timeout=20, trust_env=False)
        )
        yield Site(gateway, browser, spans)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncGenerator[Site]:
    async with open_site(tmp_path) as site:
        yield site


def said(answer: httpx.Response) -> dict[str, Any]:
    """A problem but for the id of its request."""
    assert answer.headers["content-type"] == "application/problem+json"
    return {**answer.json(), "request_id": ""}


async def test_an_event_source_opens_once_with_a_ticket(site: Site) -> None:
    path = await site.ended()
    ticket = await site.ticket(path)

    first = await site.browser.get(f"{path}?ticket={ticket}", headers=STREAM)
    again = await site.browser.get(f"{path}?ticket={ticket}", headers=STREAM)
    without = await site.browser.get(path, headers=STREAM)

    assert first.status_code == 200
    assert "event: task.succeeded" in first.text
    assert again.status_code == 401
    assert said(again) == said(without)


async def test_a_ticket_stands_beside_other_parameters_and_for_any_reading(site: Site) -> None:
    path = await site.ended()
    for query in ("after=2&ticket={}", "ticket={}&after=2", "%74icket={}", "&ticket={}&"):
        answer = await site.browser.get(f"{path}?{query.format(await site.ticket(path))}")
        assert answer.status_code == 200, query
    caller = await site.browser.get(f"/v1/caller?ticket={await site.ticket('/v1/caller')}")
    assert (caller.json()["subject"], caller.json()["credential"]) == ("zoe", "ticket")


@pytest.mark.parametrize("query", ["ticket={0}&ticket={0}", "ticket=", "ticket", "ticket={0}x", "Ticket={0}"])
async def test_what_is_not_one_good_ticket_is_none(site: Site, query: str) -> None:
    path = await site.ended()

    answer = await site.browser.get(f"{path}?{query.format(await site.ticket(path))}")

    assert answer.status_code == 401


async def test_a_ticket_is_for_its_path_and_changes_nothing(site: Site) -> None:
    path = await site.ended()
    task = path.removesuffix("/events")

    elsewhere = await site.browser.get(f"{task}?ticket={await site.ticket(path)}")
    deleted = await site.browser.delete(f"{task}?ticket={await site.ticket(task)}")

    assert (elsewhere.status_code, deleted.status_code) == (401, 401)
    assert (await site.browser.get(task, headers=WITH_KEY)).status_code == 200


async def test_a_ticket_made_over_grpc_opens_a_stream(site: Site) -> None:
    path = await site.ended()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{site.gateway.grpc_port}") as channel:
        stub: Any = AccessServiceStub(channel)
        made = await stub.CreateStreamTicket(
            access_service_pb2.CreateStreamTicketRequest(path=path),
            metadata=tuple(WITH_KEY.items()),
            timeout=20,
        )

    answer = await site.browser.get(f"{path}?ticket={made.ticket}", headers=STREAM)

    assert "event: task.succeeded" in answer.text


@pytest.mark.postgres
async def test_of_replicas_that_are_shown_one_ticket_at_once_one_lets_in(tmp_path: Path) -> None:
    from cryptography.fernet import Fernet

    with postgres_database() as url:
        more: dict[str, Any] = {
            "secrets": {"keys": [Fernet.generate_key().decode()]},
            "storage": {"backend": "postgres", "postgres_url": url, "data_dir": tmp_path},
        }
        async with open_site(tmp_path, **more) as one, open_site(tmp_path, **more) as other:
            path = await one.ended()
            for _ in range(5):
                query = f"{path}?ticket={await one.ticket(path)}"
                answers = await asyncio.gather(*(site.browser.get(query) for site in (one, other) * 4))

                assert sorted(answer.status_code for answer in answers) == [200] + [401] * 7


async def test_a_session_is_a_cookie_that_no_script_can_read(site: Site) -> None:
    answer = await site.browser.post("/v1/browser-sessions", headers=WITH_KEY)

    name, *attributes = answer.headers["set-cookie"].split("; ")
    assert answer.status_code == 201
    assert name.startswith(f"{COOKIE}=")
    assert attributes == ["Path=/", "Max-Age=43200", "HttpOnly", "SameSite=Strict"]
    assert set(answer.json()) == {"id", "expire_time"}
    assert name.partition("=")[2] not in answer.text


async def test_with_the_cookie_a_page_reads_watches_and_changes(site: Site) -> None:
    await site.logged_in()

    path = await site.ended()
    watched = await site.browser.get(path, headers=STREAM)
    made = await site.browser.post(
        "/v1/tasks", json={"instruction": "hi", "agent_id": "echo"}, headers=site.own
    )
    caller = await site.caller()

    assert "event: task.succeeded" in watched.text
    assert made.status_code == 201
    assert (caller["subject"], caller["tenant"], caller["credential"]) == ("zoe", "acme", "session")


async def test_a_page_of_another_site_can_change_nothing_with_the_cookie(site: Site) -> None:
    await site.logged_in()
    task = {"instruction": "hi", "agent_id": "echo"}

    for headers in ({}, {"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}):
        answer = await site.browser.post("/v1/tasks", json=task, headers=headers)
        assert (answer.status_code, answer.json()["reason"]) == (403, "PERMISSION_DENIED"), headers
    listed = await site.browser.post("/v1/tasks", json=task, headers={"origin": "https://app.example"})
    assert listed.status_code == 201
    # Without a body it needs the header that no form can send.
    bare = await site.browser.delete("/v1/browser-sessions/current", headers=site.own)
    assert bare.status_code == 403


async def test_a_session_that_was_ended_is_over_and_its_cookie_gone(site: Site) -> None:
    await site.logged_in()
    cookie = site.browser.cookies[COOKIE]

    ended = await site.browser.delete(
        "/v1/browser-sessions/current", headers={**site.own, "x-requested-with": "fetch"}
    )

    assert ended.status_code == 204
    assert COOKIE not in site.browser.cookies
    replayed = await site.browser.get("/v1/caller", headers={"cookie": f"{COOKIE}={cookie}"})
    assert said(replayed) == said(await site.browser.get("/v1/caller"))
    assert replayed.status_code == 401
    by_key = await site.browser.delete("/v1/browser-sessions/current", headers=WITH_KEY)
    assert (by_key.status_code, by_key.json()["reason"]) == (404, "NOT_FOUND")


async def test_a_key_beside_a_dead_cookie_counts(site: Site) -> None:
    caller = await site.caller(cookie=f"other=1; {COOKIE}=dead", **WITH_KEY)

    assert caller["credential"] == "key"


async def test_a_cookie_is_nothing_over_grpc(site: Site) -> None:
    await site.logged_in()
    cookie = f"{COOKIE}={site.browser.cookies[COOKIE]}"
    async with grpc.aio.insecure_channel(f"127.0.0.1:{site.gateway.grpc_port}") as channel:
        stub: Any = AccessServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.GetCaller(
                access_service_pb2.GetCallerRequest(), metadata=(("cookie", cookie),), timeout=20
            )

    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_with_the_key_its_sessions_and_tickets_are_revoked(site: Site) -> None:
    made = await site.browser.post(
        "/v1/keys", json={"name": "page", "scopes": ["access:*", "tasks:read"]}, headers=WITH_KEY
    )
    key, secret = made.json()["key"]["id"], {"x-api-key": made.json()["secret"]}
    ticket = await site.ticket("/v1/caller", secret)
    assert (await site.browser.post("/v1/browser-sessions", headers=secret)).status_code == 201
    assert (await site.caller())["scopes"] == ["access:*", "tasks:read"]

    await site.browser.delete(f"/v1/keys/{key}", headers=WITH_KEY)

    assert (await site.browser.get("/v1/caller")).status_code == 401
    assert (await site.browser.get(f"/v1/caller?ticket={ticket}")).status_code == 401


async def test_scopes_hold_whatever_one_comes_with(site: Site) -> None:
    made = await site.browser.post(
        "/v1/keys", json={"name": "page", "scopes": ["access:*", "tasks:read"]}, headers=WITH_KEY
    )
    secret = {"x-api-key": made.json()["secret"]}
    ticket = await site.ticket("/v1/sessions", secret)
    await site.browser.post("/v1/browser-sessions", headers=secret)

    by_cookie = await site.browser.get("/v1/sessions")
    by_ticket = await site.browser.get(f"/v1/sessions?ticket={ticket}")

    assert [answer.status_code for answer in (by_cookie, by_ticket)] == [403, 403]


async def test_no_ticket_and_no_cookie_is_ever_told(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        path = await site.ended()
        await site.logged_in()
        cookie = site.browser.cookies[COOKIE]
        tickets = [await site.ticket(path) for _ in range(6)]
        trace = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
        answers = [
            await site.browser.get(f"{path}?ticket={tickets[0]}", headers=trace),
            await site.browser.get(f"{path}?ticket={tickets[0]}", headers=trace),  # used
            await site.browser.get(f"/v1/caller?ticket={tickets[1]}", headers=trace),  # elsewhere
            await site.browser.get(f"/v1/nothing?ticket={tickets[2]}", headers=trace),  # no route
            await site.browser.put(f"{path}?ticket={tickets[3]}", headers=trace),  # no method
            await site.browser.get(f"{path}?ticket={tickets[4]}&bad=1", headers=trace),  # a bad query
            await site.browser.get(f"{path}?after=x&ticket={tickets[5]}", headers=trace),
            await site.browser.get("/metrics"),
        ]

    assert [answer.status_code for answer in answers] == [200, 401, 401, 404, 405, 400, 400, 200]
    spans = "".join(span.to_json() for span in site.spans.get_finished_spans())
    assert path in spans
    ours = "".join(
        f"{record.getMessage()} {vars(record)}"
        for record in caplog.records
        if not record.name.startswith(("httpx", "httpcore", "hpack"))  # the test's own client
    )
    told = "".join(answer.text + str(answer.headers) for answer in answers) + spans + ours
    for secret in (*tickets, cookie, KEY):
        assert secret not in told


async def test_over_https_the_cookie_is_of_this_host_alone(tmp_path: Path) -> None:
    auth = {"keys": [{"key": KEY, "subject": "zoe"}], "browser": {"secure_cookie": True, "same_site": "lax"}}
    async with open_site(tmp_path, auth=auth) as site:
        answer = await site.browser.post("/v1/browser-sessions", headers=WITH_KEY)
        value = answer.headers["set-cookie"].partition(";")[0].partition("=")[2]
        plain = await site.browser.get("/v1/caller", headers={"cookie": f"agentgateway={value}"})
        hidden = await site.browser.get("/v1/caller", headers={"cookie": f"a=x, __Host-agentgateway={value}"})
        good = await site.browser.get("/v1/caller", headers={"cookie": f"a=x; __Host-agentgateway={value}"})

    assert answer.headers["set-cookie"].startswith("__Host-agentgateway=")
    assert answer.headers["set-cookie"].endswith("; Path=/; Max-Age=43200; HttpOnly; SameSite=Lax; Secure")
    assert [plain.status_code, hidden.status_code, good.status_code] == [401, 401, 200]


async def test_while_everybody_may_call_tickets_and_sessions_do_no_harm(tmp_path: Path) -> None:
    async with open_site(tmp_path, auth={}) as site:
        ticket = await site.ticket("/v1/events", {})
        opened = await site.browser.post("/v1/browser-sessions")
        caller = await site.browser.get(f"/v1/caller?ticket={ticket}")

    assert opened.status_code == 201
    assert caller.json()["credential"] == "none"
