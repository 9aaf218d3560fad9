"""An idempotency key means the same on both protocols, and from one to the other."""

import asyncio
from pathlib import Path
from typing import Any

import grpc.aio
import httpx
import pytest

from app.bootstrap.gateway import Gateway
from app.policy.use_cases import USE_CASES
from grpc_service.gen.agentgateway.v1 import session_service_pb2, task_service_pb2
from tests.parity.drivers import Driver, Plain, RefusedError

EXECUTE = "ToolService/ExecuteTool"
STREAMED = {"TaskService/RunTask"}


async def _requests(api: Driver) -> dict[str, tuple[Plain, Plain]]:
    """For each use case that takes a key a request, and another one."""
    sandbox = await api.call("SandboxService/CreateSandbox", kind="local")
    key = await api.call("KeyService/CreateKey", scopes=["tasks:read"])
    act = {"sandbox_id": sandbox["id"], "action": "write_file"}
    name = f"of-{api.name}"
    return {
        "TaskService/SubmitTask": (
            {"task": {"instruction": "x", "agent_id": "echo"}},
            {"task": {"instruction": "y"}},
        ),
        "SessionService/CreateSession": ({"title": "x", "metadata": {"a": "b"}}, {"title": "y"}),
        "SandboxService/CreateSandbox": ({"kind": "local"}, {"kind": "local", "max_life_s": 9}),
        "SandboxService/ActInSandbox": (
            {**act, "arguments": {"path": "a", "content": "b"}},
            {**act, "arguments": {"path": "a", "content": "c"}},
        ),
        EXECUTE: (
            {"name": "calculator", "arguments": {"expression": "6 * 7"}},
            {"name": "calculator", "arguments": {"expression": "7 * 7"}},
        ),
        "AgentDefinitionService/CreateAgent": (
            {"id": name, "agent": {"instructions": "x"}},
            {"id": name, "agent": {"instructions": "y"}},
        ),
        "KeyService/CreateKey": (
            {"scopes": ["tasks:read"], "name": "x"},
            {"scopes": ["tasks:read", "tools:read"], "name": "x"},
        ),
        "KeyService/RotateKey": ({"key_id": key["key"]["id"]}, {"key_id": key["key"]["id"], "overlap_s": 9}),
    }


NO_ANSWER = {"SandboxService/CaptureScreenshot"}
"""No kind of sandbox here has a screen: a refusal is not kept."""


async def test_every_use_case_that_takes_a_key_is_carried_out_once(drivers: tuple[Driver, Driver]) -> None:
    for driver, other in (drivers, drivers[::-1]):
        requests = await _requests(driver)
        taking = {rpc for rpc, use_case in USE_CASES.items() if use_case.takes_key}
        assert set(requests) == taking - STREAMED - NO_ANSWER
        for rpc, (request, another) in requests.items():
            key = f"{driver.name} {rpc}"
            first = await driver.call(rpc, **request, request_id=key)
            again = await driver.call(rpc, **request, request_id=key)
            elsewhere = await other.call(rpc, **request, request_id=key)
            if rpc != "TaskService/SubmitTask":  # a task is answered as it stands by now
                assert first == again == elsewhere, rpc
            else:
                assert first["id"] == again["id"] == elsewhere["id"]
            for caller in (driver, other):
                with pytest.raises(RefusedError) as refused:
                    await caller.call(rpc, **another, request_id=key)
                assert refused.value.reason == "IDEMPOTENCY_KEY_REUSED", rpc
                with pytest.raises(RefusedError) as refused:
                    await caller.call(rpc, **request, request_id="x" * 256)
                assert (refused.value.reason, refused.value.fields) == ("INVALID_REQUEST", ["request_id"])


async def test_what_is_refused_is_not_kept(drivers: tuple[Driver, Driver]) -> None:
    rpc = "SandboxService/ActInSandbox"
    action = {"action": "write_file", "arguments": {"path": "a", "content": "b"}}
    for driver in drivers:
        key = f"{driver.name} refused"
        with pytest.raises(RefusedError):
            await driver.call(rpc, sandbox_id="sandbox_none", **action, request_id=key)
        sandbox = await driver.call("SandboxService/CreateSandbox", kind="local")
        assert (await driver.call(rpc, sandbox_id=sandbox["id"], **action, request_id=key))["status"] == "ok"


async def test_of_twenty_at_once_on_both_protocols_one_is_carried_out(drivers: tuple[Driver, Driver]) -> None:
    title = "of twenty"
    refused: set[tuple[str, bool]] = set()

    async def create(number: int) -> str:
        for _ in range(200):
            try:
                session = await drivers[number % 2].call(
                    "SessionService/CreateSession", title=title, request_id="twenty"
                )
            except RefusedError as error:
                refused.add((error.reason, error.retry))
            else:
                return session["id"]
        raise AssertionError("the first call did not end")

    ids = await asyncio.gather(*(create(number) for number in range(20)))
    listed = await drivers[0].call("SessionService/ListSessions", page_size=1_000)

    assert len(set(ids)) == 1
    assert refused <= {("IDEMPOTENCY_IN_PROGRESS", True)}
    assert [one["id"] for one in listed["sessions"] if one["title"] == title] == ids[:1]


async def test_a_replayed_answer_says_so(gateway: Gateway) -> None:
    async with (
        grpc.aio.insecure_channel(f"127.0.0.1:{gateway.grpc_port}") as channel,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{gateway.rest_port}", trust_env=False) as client,
    ):
        rest: list[Any] = []
        for path, body in (
            ("/v1/sessions", {"title": "t"}),
            ("/v1/tasks", {"instruction": "x", "agent_id": "echo"}),
        ):
            for _ in range(2):
                answer = await client.post(path, json=body, headers={"idempotency-key": '"says-so"'})
                rest.append((answer.status_code, answer.headers.get("idempotency-replayed")))
        malformed = await client.post("/v1/sessions", json={}, headers={"idempotency-key": '"open'})
        grpc_told: list[Any] = []
        session = session_service_pb2.CreateSessionRequest(title="t")
        task: Any = {"instruction": "x", "agent_id": "echo"}
        run = task_service_pb2.RunTaskRequest(task=task)
        for service, request in (
            ("SessionService/CreateSession", session),
            ("TaskService/SubmitTask", task_service_pb2.SubmitTaskRequest(task=task)),
            ("TaskService/SubmitTask", task_service_pb2.SubmitTaskRequest(task=task, request_id="another")),
        ):
            call = channel.unary_unary(
                f"/agentgateway.v1.{service}",
                request_serializer=lambda message: message.SerializeToString(),
                response_deserializer=bytes,
            )(request, metadata=(("idempotency-key", "says-so"),), timeout=20)
            await call
            trailing: Any = await call.trailing_metadata()
            grpc_told.append(dict(trailing).get("idempotency-replayed"))
        stream = channel.unary_stream(
            "/agentgateway.v1.TaskService/RunTask",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=bytes,
        )(run, metadata=(("idempotency-key", '"says-so"'),), timeout=20)
        async for _ in stream:
            continue
        trailing = await stream.trailing_metadata()

    assert rest == [(201, None), (201, "true"), (201, None), (200, "true")]
    assert (malformed.status_code, malformed.json()["reason"]) == (400, "INVALID_REQUEST")
    assert grpc_told == ["true", "true", None]
    assert dict(trailing)["idempotency-replayed"] == "true"


async def test_the_text_of_a_key_is_not_in_the_store(
    drivers: tuple[Driver, Driver], gateway: Gateway, storage: str
) -> None:
    made = await drivers[0].call("KeyService/CreateKey", scopes=["tasks:read"], request_id="a secret")
    assert await drivers[1].call("KeyService/CreateKey", scopes=["tasks:read"], request_id="a secret") == made
    if storage == "sqlite":
        kept = _bytes_in(gateway._settings.storage.data_dir)  # pyright: ignore[reportPrivateUsage]
        assert made["key"]["id"].encode() in kept
        assert made["secret"].encode() not in kept


def _bytes_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
