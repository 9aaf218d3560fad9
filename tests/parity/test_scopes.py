"""Scopes and keys: the same permission and the same refusal on both protocols, for every use case."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.bootstrap.gateway import Gateway, open_gateway
from app.policy.use_cases import SCOPES, USE_CASES
from app.settings import Settings
from rest_api.operations import OPERATIONS, REST_ONLY
from tests.parity.drivers import SERVICES, Driver, Plain, RefusedError
from tests.parity.test_walls import NAMELESS, NOWHERE, _drivers, _outcome, requests_for

ADMIN = "key-of-the-administrator"
READER = "key-that-may-only-read-tasks"


class Office:
    """A gateway that wants keys, and ways to come with one."""

    def __init__(self, gateway: Gateway, stack: AsyncExitStack) -> None:
        self.gateway = gateway
        self._stack = stack

    async def come(self, key: str) -> tuple[Driver, Driver]:
        """The same caller on both protocols."""
        return await _drivers(self._stack, self.gateway, key)

    async def issue(self, *scopes: str, **fields: object) -> Plain:
        """A key that the administrator made."""
        admin = (await self.come(ADMIN))[0]
        return await admin.call("KeyService/CreateKey", scopes=list(scopes), **fields)


@pytest.fixture(scope="module")
async def office(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Office]:
    data: Path = tmp_path_factory.mktemp("scopes")
    settings = Settings.model_validate(
        {
            "rest": {"port": 0},
            "grpc": {"port": 0},
            "storage": {"data_dir": data},
            "auth": {
                "mode": "required",
                "keys": [
                    {"key": ADMIN, "subject": "admin"},
                    {"key": READER, "subject": "reader", "scopes": ["tasks:read"]},
                ],
            },
        }
    )
    async with open_gateway(settings) as gateway, AsyncExitStack() as stack:
        office = Office(gateway, stack)
        admin = (await office.come(ADMIN))[0]  # who watches all tasks waits for something to happen
        await admin.call("TaskService/SubmitTask", task={"instruction": "hi", "agent_id": "echo"}, wait="20s")
        yield office


def a_request(rpc: str) -> Plain:
    """A valid request that changes nothing of anybody's."""
    if rpc == "TaskService/WatchTasks":
        return {"after_position": 0}
    return requests_for(NOWHERE)[rpc] or NAMELESS.get(rpc, {})


def test_every_rpc_has_a_use_case_and_every_use_case_its_rpc() -> None:
    assert set(USE_CASES) == set(OPERATIONS) | set(REST_ONLY)


FILTERS = {
    "TaskService/ListTasks": {"session_id", "agent_id"},
    "AuditService/ListAuditEntries": {"resource_id"},
}
"""Ids that only narrow a listing: another's narrow it to nothing."""


def test_every_rpc_that_takes_an_id_is_tried_with_another_s() -> None:
    for rpc, request in requests_for(NOWHERE).items():
        service, method = rpc.split("/")
        asked: Any = SERVICES[service].methods_by_name[method].input_type
        within = [one.message_type for one in asked.fields if one.message_type is not None]
        names = {field.name for message in (asked, *within) for field in message.fields}
        ids = {name for name in names if name.endswith("_id") or name == "digest"}
        ids -= {"request_id", "input_id"} | FILTERS.get(rpc, set())
        assert not ids or request, rpc


@pytest.mark.parametrize("rpc", OPERATIONS)
async def test_a_use_case_is_refused_without_its_scope_and_open_with_it(rpc: str, office: Office) -> None:
    scope = USE_CASES[rpc].scope
    without = (await office.issue(*sorted(SCOPES - {scope})))["secret"]
    just_it = (await office.issue(scope))["secret"]
    its_room = (await office.issue(f"{scope.partition(':')[0]}:*"))["secret"]

    refused = [await _refusal(driver, rpc) for driver in await office.come(without)]

    assert refused == ["PERMISSION_DENIED"] * 2
    for key in (just_it, its_room):
        for driver in await office.come(key):
            assert await _refusal(driver, rpc) != "PERMISSION_DENIED", driver.name


async def _refusal(driver: Driver, rpc: str) -> str:
    return await _outcome(driver, rpc, a_request(rpc))


async def test_a_key_of_the_settings_may_do_what_its_scopes_say(office: Office) -> None:
    for driver in await office.come(READER):
        assert await _refusal(driver, "TaskService/ListTasks") == "OK"
        assert await _refusal(driver, "TaskService/SubmitTask") == "PERMISSION_DENIED"


async def test_nobody_gives_away_more_than_it_has(office: Office) -> None:
    clerk = await office.issue("keys:*", "tasks:read", "tools:*")
    strong, weak = await office.issue("*"), await office.issue("tasks:read")
    create = "KeyService/CreateKey"
    for driver in await office.come(clerk["secret"]):
        for scope in ("*", "tasks:*", "tasks:write", "configuration:write"):
            assert await _outcome(driver, create, {"scopes": ["tasks:read", scope]}) == "PERMISSION_DENIED"
        for scopes in (["tasks:read"], ["tools:*"], ["tools:execute", "keys:read"]):
            made = await driver.call(create, scopes=scopes)
            assert (made["key"]["created_by"], made["key"]["subject"]) == ("admin", "admin")
        rotate = "KeyService/RotateKey"
        assert await _outcome(driver, rotate, {"key_id": strong["key"]["id"]}) == "PERMISSION_DENIED"
        assert await _outcome(driver, rotate, {"key_id": weak["key"]["id"]}) == "OK"


async def test_revoked_and_rotated_keys_are_refused_at_once(office: Office) -> None:
    admin = (await office.come(ADMIN))[1]
    rotated, revoked = await office.issue("tools:read"), await office.issue("tools:read")
    callers = [*await office.come(rotated["secret"]), *await office.come(revoked["secret"])]
    for driver in callers:
        await driver.call("ToolService/ListTools")

    new = await admin.call("KeyService/RotateKey", key_id=rotated["key"]["id"])
    await admin.call("KeyService/RevokeKey", key_id=revoked["key"]["id"])

    for driver in callers:
        assert await _outcome(driver, "ToolService/ListTools", {}) == "UNAUTHENTICATED"
    for driver in await office.come(new["secret"]):
        await driver.call("ToolService/ListTools")


async def test_a_wrong_and_an_unknown_key_get_the_same_answer(office: Office) -> None:
    known = (await office.issue("*"))["secret"]
    unknown = known.replace(known.split("_")[1], "0" * 11)
    wrong = known[:-1] + ("0" if known[-1] != "0" else "1")
    base = f"http://127.0.0.1:{office.gateway.rest_port}"
    answers: list[object] = []
    async with httpx.AsyncClient(base_url=base, trust_env=False) as client:
        for key in (unknown, wrong, "nonsense"):
            for headers in ({"x-api-key": key}, {"authorization": f"Bearer {key}"}):
                answer = await client.get("/v1/server", headers={**headers, "x-request-id": "same"})
                kept = {name: answer.headers[name] for name in answer.headers if name != "date"}
                answers.append((answer.status_code, answer.content, kept))

    assert all(answer == answers[0] for answer in answers)
    for key in (unknown, wrong):
        with pytest.raises(RefusedError) as refused:
            await (await office.come(key))[0].call("ServerService/GetServerInfo")
        assert refused.value.reason == "UNAUTHENTICATED"


async def test_two_different_credentials_are_refused(office: Office) -> None:
    base = f"http://127.0.0.1:{office.gateway.rest_port}"
    headers = {"x-api-key": ADMIN, "authorization": f"Bearer {READER}"}
    async with httpx.AsyncClient(base_url=base, trust_env=False) as client:
        answer = await client.get("/v1/server", headers=headers)

    assert (answer.status_code, answer.json()["reason"]) == (401, "UNAUTHENTICATED")
    assert "different credentials" in answer.json()["detail"]


async def test_answers_with_a_secret_are_kept_by_no_cache(office: Office) -> None:
    base = f"http://127.0.0.1:{office.gateway.rest_port}"
    async with httpx.AsyncClient(base_url=base, headers={"x-api-key": ADMIN}, trust_env=False) as client:
        made = await client.post("/v1/keys", json={"scopes": ["tools:read"]})
        rotated = await client.post(f"{made.headers['location']}:rotate", json={})

    assert (made.status_code, rotated.status_code) == (201, 200)
    assert {made.headers["cache-control"], rotated.headers["cache-control"]} == {"no-store"}
