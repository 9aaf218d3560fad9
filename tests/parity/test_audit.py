"""Every use case that changes something leaves an entry, and every refusal at the door, on both protocols."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from app.bootstrap.gateway import Gateway, open_gateway
from app.policy.use_cases import SCOPES, USE_CASES
from app.settings import Settings
from rest_api.operations import OPERATIONS
from tests.parity.drivers import Driver, Plain
from tests.parity.test_walls import NAMELESS, NOWHERE, Callers, _drivers, _outcome, requests_for

KEYS = {"a": "key-of-tenant-a-0001", "b": "key-of-tenant-b-0001"}
LISTS_ONLY = "key-that-may-not-read-the-log"
LIST = "AuditService/ListAuditEntries"
CHANGING = sorted(rpc for rpc in OPERATIONS if USE_CASES[rpc].kind in {"write", "submit"})


@pytest.fixture(scope="module")
async def callers(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Callers]:
    data: Path = tmp_path_factory.mktemp("audit")
    keys = [{"key": key, "subject": f"robot-{name}", "tenant": name} for name, key in KEYS.items()]
    scopes = sorted(SCOPES - {"audit:read"})
    keys.append({"key": LISTS_ONLY, "subject": "clerk", "tenant": "a", "scopes": scopes})  # type: ignore[dict-item]
    settings = Settings.model_validate(
        {
            "rest": {"port": 0},
            "grpc": {"port": 0},
            "storage": {"data_dir": data},
            "auth": {"keys": keys},
            "audit": {"refusals_per_minute": 10_000},
        }
    )
    async with open_gateway(settings) as gateway, AsyncExitStack() as stack:
        a = await _drivers(stack, gateway, KEYS["a"])
        b = await _drivers(stack, gateway, KEYS["b"])
        yield Callers(gateway, a, b, stack)


async def newest(driver: Driver, **where: object) -> Plain:
    return (await driver.call(LIST, page_size=1, **where))["entries"][0]


def settled(entry: Plain, driver: Driver) -> Plain:
    """The entry without what differs from call to call, and the protocol's own name."""
    assert entry["protocol"] == driver.name
    made = entry["outcome"] == "ok" and entry["action"].rpartition("/")[2].startswith(
        ("Create", "Submit", "Run")
    )
    volatile = {"id", "time", "request_id", "protocol", "trace_id", *(("resource_id",) if made else ())}
    return {name: value for name, value in entry.items() if name not in volatile and value != ""}


@pytest.mark.parametrize("rpc", CHANGING)
async def test_what_changes_something_leaves_the_same_entry_on_both_protocols(
    rpc: str, callers: Callers
) -> None:
    found: list[Plain] = []
    for driver in callers.a:
        request = requests_for(NOWHERE)[rpc] or NAMELESS.get(rpc, {})
        outcome = await _outcome(driver, rpc, dict(request))
        if rpc == "AgentDefinitionService/CreateAgent" and outcome == "OK":
            await driver.call("AgentDefinitionService/DeleteAgent", agent_id=request["id"])

        entry = await newest(driver, action=rpc)
        assert (entry["outcome"], entry["reason"]) == (
            ("ok", "") if outcome == "OK" else ("refused", outcome)
        )
        assert (entry["subject"], entry["credential"], entry["peer"]) == ("robot-a", "key", "127.0.0.1")
        assert entry["resource"]
        found.append(settled(entry, driver))

    assert found[0] == found[1]


async def test_what_only_reads_leaves_none(callers: Callers) -> None:
    for driver in callers.b:
        for rpc in ("TaskService/ListTasks", "ServerService/GetServerInfo", "KeyService/ListKeys", LIST):
            await driver.call(rpc)

    assert (await callers.b[0].call(LIST))["entries"] == []


async def test_a_tenant_reads_its_own_entries_and_nobody_else_s(callers: Callers) -> None:
    session = await callers.a[0].call("SessionService/CreateSession")
    for driver in callers.b:
        entries = (await driver.call(LIST, resource_id=session["id"]))["entries"]
        assert entries == []
        page = await callers.a[0].call(LIST, page_size=1)
        assert (await driver.call(LIST, cursor=page["next_cursor"]))["entries"] == []


async def test_who_is_turned_away_at_the_door_is_noted(callers: Callers, tmp_path: Path) -> None:
    del tmp_path
    for driver in await callers.with_key(LISTS_ONLY):
        assert await _outcome(driver, LIST, {}) == "PERMISSION_DENIED"
        entry = await newest(callers.a[0], subject="clerk", action=LIST)
        assert (entry["outcome"], entry["reason"]) == ("refused", "PERMISSION_DENIED")
        assert entry["protocol"] == driver.name
    for driver in await callers.with_key("a-key-of-nobody-at-all"):
        assert await _outcome(driver, "TaskService/GetTask", {"task_id": "task_1"}) == "UNAUTHENTICATED"
    of_a = (await callers.a[0].call(LIST, page_size=1000))["entries"]
    assert "UNAUTHENTICATED" not in {one["reason"] for one in of_a}  # whose it was, nobody knows


async def test_an_export_is_one_document_a_line_and_all_of_them(callers: Callers) -> None:
    gateway: Gateway = callers.gateway
    base = f"http://127.0.0.1:{gateway.rest_port}"
    headers = {"x-api-key": KEYS["a"], "accept": "application/x-ndjson"}
    pages: list[Plain] = []
    cursor: str | None = ""
    while cursor is not None:
        page = await callers.a[1].call(LIST, page_size=7, cursor=cursor, oldest_first=True)
        pages += page["entries"]
        cursor = page.get("next_cursor")
    async with httpx.AsyncClient(base_url=base, headers=headers, trust_env=False) as client:
        answer = await client.get("/v1/audit", params={"oldest_first": "true", "page_size": "1"})
        refused = await client.get("/v1/audit", params={"cursor": "nonsense"})

    assert answer.headers["content-type"] == "application/x-ndjson"
    assert answer.headers["cache-control"] == "no-store"
    lines = [httpx.Response(200, text=line).json() for line in answer.text.splitlines()]
    assert lines == pages
    assert len(lines) > len(CHANGING)
    assert (refused.status_code, refused.json()["reason"]) == (400, "INVALID_CURSOR")
