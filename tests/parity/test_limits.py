"""Limits are one decision: counted once for both protocols, and told in the same words."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc.aio
import httpx
import pytest
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2, status_pb2

from app.bootstrap.gateway import Gateway, open_gateway
from app.policy.limits import Limits
from app.settings import Settings
from grpc_service.gen.agentgateway.v1 import task_service_pb2
from tests.conftest import postgres_database
from tests.faults.clients import model_settings
from tests.llm.script import Turn
from tests.llm.server import ScriptedLLM, scripted_llm
from tests.parity.drivers import SERVICES, Driver, GrpcDriver, RefusedError, RestDriver

KEYS = {"a": "key-of-tenant-a-0001", "b": "key-of-tenant-b-0001", "light": "key-of-tenant-l-0001"}
FIELDS = ("ratelimit-policy", "ratelimit", "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset")
TYPES = "https://iana.org/assignments/http-problem-types#"


@dataclass(frozen=True)
class Callers:
    """A gateway, and a caller on each protocol."""

    gateway: Gateway
    grpc: GrpcDriver
    rest: RestDriver
    channel: Any
    client: httpx.AsyncClient

    def __iter__(self) -> Any:
        return iter((self.grpc, self.rest))

    @property
    def limits(self) -> Limits:
        server: Any = self.gateway._grpc  # pyright: ignore[reportPrivateUsage]
        return server._gate._admission._limiter


@asynccontextmanager
async def callers(
    path: Path, limits: dict[str, Any], *, key: str | None = None, **sections: Any
) -> AsyncGenerator[Callers]:
    """Serve with these limits on free ports. With `key` the tenants of `KEYS` may come in; it does."""
    settings = Settings.model_validate(
        {
            "rest": {"port": 0},
            "grpc": {"port": 0},
            "storage": {"data_dir": path},
            "rate_limits": limits,
            **(_keys() if key else {}),
            **sections,
        }
    )
    async with AsyncExitStack() as stack:
        gateway = await stack.enter_async_context(open_gateway(settings))
        yield await _connected(stack, gateway, key)


async def _connected(stack: AsyncExitStack, gateway: Gateway, key: str | None) -> Callers:
    metadata = (("x-api-key", KEYS[key]),) if key else ()
    channel = await stack.enter_async_context(grpc.aio.insecure_channel(f"127.0.0.1:{gateway.grpc_port}"))
    client = await stack.enter_async_context(
        httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{gateway.rest_port}",
            limits=httpx.Limits(max_connections=50),
            headers=dict(metadata),
            timeout=60,
            trust_env=False,
        )
    )
    return Callers(gateway, GrpcDriver(channel, metadata), RestDriver(client), channel, client)


def _keys() -> dict[str, Any]:
    keys = [{"key": key, "subject": f"s-{name}", "tenant": f"t-{name}"} for name, key in KEYS.items()]
    return {"auth": {"keys": keys}}


async def _outcome(driver: Driver, rpc: str, **request: Any) -> str:
    try:
        await driver.call(rpc, **request)
    except RefusedError as error:
        return error.reason
    return "OK"


async def _outcomes(group: list[Driver], rpc: str, calls: int, **request: Any) -> list[str]:
    async with asyncio.TaskGroup() as running:
        tasks = [
            running.create_task(_outcome(group[number % len(group)], rpc, **request))
            for number in range(calls)
        ]
    return [task.result() for task in tasks]


async def test_of_a_thousand_calls_on_both_protocols_exactly_the_limit_gets_in(tmp_path: Path) -> None:
    async with callers(tmp_path, {"principal": {"read": "100/h"}}) as both:
        outcomes = await _outcomes(list(both), "ServerService/GetServerInfo", 1_000)

        assert (outcomes.count("OK"), outcomes.count("RATE_LIMITED")) == (100, 900)
        assert await _outcome(both.rest, "SessionService/CreateSession", title="another class") == "OK"


@pytest.mark.postgres
async def test_of_a_thousand_writes_on_two_replicas_exactly_the_limit_gets_in(tmp_path: Path) -> None:
    with postgres_database() as url:
        storage = {"backend": "postgres", "postgres_url": url}
        limits = {
            "tenant": {"write": "100/h"},
            "everybody": {"write": "5000/h"},
            "store_timeout": "PT30S",  # a busy machine is no outage
        }
        async with AsyncExitStack() as stack:
            replicas = [
                await stack.enter_async_context(
                    callers(tmp_path, limits, storage=storage | {"data_dir": tmp_path / str(number)})
                )
                for number in range(2)
            ]
            drivers = [driver for replica in replicas for driver in replica]
            outcomes = await _outcomes(drivers, "SessionService/CreateSession", 1_000, title="x")
            sessions = await replicas[0].rest.call("SessionService/ListSessions", page_size=1_000)

    assert (outcomes.count("OK"), outcomes.count("RATE_LIMITED")) == (100, 900)
    assert len(sessions["sessions"]) == 100


async def _grpc_fields(both: Callers, rpc: str, request: Any = None, **metadata: str) -> dict[str, str]:
    """The initial metadata of an answer, or the trailing of a refusal, and the details by name."""
    service, method = rpc.split("/")
    descriptor = SERVICES[service].methods_by_name[method]
    call = both.channel.unary_unary(
        f"/agentgateway.v1.{rpc}",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=GetMessageClass(descriptor.output_type).FromString,
    )(
        request or GetMessageClass(descriptor.input_type)(),
        metadata=(*both.grpc._metadata, *metadata.items()),  # pyright: ignore[reportPrivateUsage]
        timeout=20,
    )
    initial: Any = await call.initial_metadata()
    try:
        await call
    except grpc.aio.AioRpcError as error:
        trailing: Any = error.trailing_metadata()
        return dict(trailing)
    return dict(initial)


def _details(trailers: dict[str, Any]) -> dict[str, Any]:
    status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
    found: dict[str, Any] = {}
    for detail in status.details:
        for kind in (
            error_details_pb2.RetryInfo,
            error_details_pb2.QuotaFailure,
            error_details_pb2.ErrorInfo,
        ):
            message = kind()
            if detail.Unpack(message):
                found[kind.DESCRIPTOR.name] = message
    return found


async def test_an_answer_and_a_refusal_tell_the_same_on_both_protocols(tmp_path: Path) -> None:
    limits = {
        "principal": {"read": "4/h", "open_calls": 10},
        "tenant": {"read": "100/min"},
        "everybody": {"read": "9000/min"},
    }
    async with callers(tmp_path, limits) as both:
        first = await both.client.get("/v1/server")
        second = await _grpc_fields(both, "ServerService/GetServerInfo", **{"x-ratelimit-want": "1"})
        unasked = await _grpc_fields(both, "ServerService/GetServerInfo")
        await both.client.get("/v1/server")
        refused = await both.client.get("/v1/server")
        trailers: Any = await _grpc_fields(both, "ServerService/GetServerInfo")

    policy = (
        '"principal-read";q=4;w=3600, "principal-open-calls";q=10;qu="concurrent-requests", '
        '"tenant-read";q=100;w=60'
    )
    assert [first.headers[name] for name in FIELDS[:1]] == [policy]
    assert (first.headers["ratelimit"].split(", ")[0], second["ratelimit"].split(", ")[0]) == (
        '"principal-read";r=3;t=900',
        '"principal-read";r=2;t=1800',
    )
    assert second["ratelimit-policy"] == policy
    assert '"principal-open-calls";r=9' in first.headers["ratelimit"]
    assert (first.headers["x-ratelimit-limit"], first.headers["x-ratelimit-remaining"]) == ("4", "3")
    assert not set(FIELDS) & unasked.keys()

    problem, details = refused.json(), _details(trailers)
    assert refused.status_code == 429
    assert (problem["type"], problem["reason"]) == (TYPES + "quota-exceeded", "RATE_LIMITED")
    assert problem["violated-policies"] == ["principal-read"]
    assert {name: refused.headers[name] for name in FIELDS} == {name: trailers[name] for name in FIELDS}
    assert refused.headers["x-ratelimit-remaining"] == "0"
    assert "everybody" not in refused.text + str(refused.headers)
    wait_s = int(refused.headers["retry-after"])
    assert 890 <= wait_s <= 900
    assert f'"principal-read";r=0;t={wait_s}' in refused.headers["ratelimit"]
    assert abs(details["RetryInfo"].retry_delay.ToTimedelta().total_seconds() - wait_s) <= 2
    assert abs(int(trailers["grpc-retry-pushback-ms"]) / 1_000 - wait_s) <= 2
    [violation] = details["QuotaFailure"].violations
    assert (violation.quota_id, violation.quota_value, violation.subject) == (
        "principal-read",
        4,
        "principal",
    )
    assert details["ErrorInfo"].reason == "RATE_LIMITED"


async def test_what_everybody_used_up_is_another_problem_and_no_business_of_the_caller(
    tmp_path: Path,
) -> None:
    async with callers(tmp_path, {"everybody": {"read": "1/h"}}, key="a") as both:
        fine = await both.client.get("/v1/server")
        refused = await both.client.get("/v1/server")

    assert "ratelimit" not in fine.headers
    assert refused.json()["type"] == TYPES + "temporary-reduced-capacity"
    assert refused.json()["violated-policies"] == ["global-read"]


async def test_tenants_and_callers_have_buckets_of_their_own_and_some_have_more(tmp_path: Path) -> None:
    limits = {"tenant": {"read": "3/h"}, "tenants": {"t-b": {"tenant": {"read": "5/h"}}}}
    async with callers(tmp_path, limits, key="a") as a, AsyncExitStack() as stack:
        b = await _connected(stack, a.gateway, "b")
        of_a = await _outcomes(list(a), "ServerService/GetServerInfo", 10)
        of_b = await _outcomes(list(b), "ServerService/GetServerInfo", 10)

    assert (of_a.count("OK"), of_b.count("OK")) == (3, 5)


async def test_streams_that_go_on_have_a_bucket_of_their_own(tmp_path: Path) -> None:
    async with callers(tmp_path, {"principal": {"stream": "2/h", "resume": "3/h"}}) as both:
        task = {"instruction": "x", "agent_id": "echo"}
        ids = [(await both.rest.call("TaskService/SubmitTask", task=task, wait="20s"))["id"]]
        outcomes: list[str] = []
        for number in range(10):
            driver: Driver = (both.grpc, both.rest)[number % 2]
            resumed = number >= 4
            outcomes.append(await _watched(driver, ids[0], after=1 if resumed else 0))
        header = await both.client.get(
            f"/v1/tasks/{ids[0]}/events", headers={"accept": "text/event-stream", "last-event-id": "2"}
        )

    assert outcomes == ["OK"] * 2 + ["RATE_LIMITED"] * 2 + ["OK"] * 3 + ["RATE_LIMITED"] * 3
    assert header.json()["violated-policies"] == ["principal-resume"]


async def _watched(driver: Driver, task_id: str, *, after: int) -> str:
    try:
        async with aclosing(
            driver.stream("TaskService/WatchTask", task_id=task_id, after_seq=after)
        ) as items:
            async for _ in items:
                continue
    except RefusedError as error:
        return error.reason
    return "OK"


async def test_a_tenant_has_so_many_unfinished_tasks_and_no_more(tmp_path: Path) -> None:
    limits = {"unfinished_tasks": 7, "tenants": {"t-b": {"unfinished_tasks": 9}}}
    task = {"instruction": "hold", "agent_id": "default"}
    async with (
        scripted_llm([held := Turn(text="done", gate=asyncio.Event())]) as llm,
        callers(tmp_path, limits, key="a", model=_model(llm), engine={"max_concurrent_tasks": 2}) as a,
        AsyncExitStack() as stack,
    ):
        b = await _connected(stack, a.gateway, "b")
        of_a = await _outcomes(list(a), "TaskService/SubmitTask", 60, task=task)
        of_b = await _outcomes(list(b), "TaskService/SubmitTask", 60, task=task)
        refused = await a.client.post("/v1/tasks", json=task)
        trailers: Any = await _grpc_fields(a, "TaskService/SubmitTask", _submit(task))
        listed = await a.rest.call("TaskService/ListTasks", page_size=100)
        ids = [one["id"] for one in listed["tasks"]]
        await a.rest.call("TaskService/CancelTask", task_id=ids[0])
        after_one_ended = await _outcomes(list(a), "TaskService/SubmitTask", 5, task=task)
        assert held.gate is not None
        held.gate.set()

    assert (of_a.count("OK"), of_b.count("OK"), after_one_ended.count("OK")) == (7, 9, 1)
    assert len(ids) == 7
    assert (refused.status_code, refused.json()["violated-policies"]) == (429, ["tenant-unfinished-tasks"])
    assert int(refused.headers["retry-after"]) > 0
    assert _details(trailers)["QuotaFailure"].violations[0].quota_id == "tenant-unfinished-tasks"
    assert trailers["ratelimit"] == refused.headers["ratelimit"]


def _submit(task: dict[str, Any]) -> Any:
    return task_service_pb2.SubmitTaskRequest(task=task)


def _model(llm: ScriptedLLM) -> dict[str, Any]:
    settings = model_settings(llm)
    return {name.removeprefix("GATEWAY_MODEL__").lower(): value for name, value in settings.items()}
