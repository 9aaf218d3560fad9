"""Unary calls: server CPU a call on both protocols, against bare echo servers with messages of equal size."""

import json
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

from google.protobuf.wrappers_pb2 import StringValue

from grpc_service.gen.agentgateway.v1.server_service_pb2 import GetServerInfoRequest
from grpc_service.gen.agentgateway.v1.server_service_pb2_grpc import ServerServiceStub
from grpc_service.gen.agentgateway.v1.task_service_pb2 import GetTaskRequest, WatchTaskRequest
from tests.bench.bench import Bench
from tests.bench.clients import (
    Call,
    call_many,
    grpc_channel,
    http_connections,
    metadata_of,
    request_bytes,
    submit,
    tasks_of,
)
from tests.bench.figures import Row, middle
from tests.bench.processes import Server
from tests.bench.servers.bare_grpc import METHOD
from tests.bench.servers.bare_rest import Echo

Lanes = Callable[[], AbstractAsyncContextManager[list[Call]]]
IN_FLIGHT = 32
GRPC_AIM = 0.6
REST_AIM = 0.67
KEY = "key-of-the-benchmark"


@dataclass(slots=True)
class Target:
    """One kind of call to one server."""

    name: str
    server: Server
    lanes: Lanes
    baseline: "Target | None" = None
    aim: float | None = None
    detail: str = ""
    cpu_us: list[float] = field(default_factory=list)
    per_s: list[float] = field(default_factory=list)


async def unary(bench: Bench) -> list[Row]:
    """GetServerInfo and GetTask, on gRPC and REST, with default settings."""
    return await _unary(bench, "unary")


async def admission(bench: Bench) -> list[Row]:
    """The same calls with everything on: a key, limits of every scope, each call an exported span."""
    async with bench.collector() as collector:
        limits = json.dumps(
            {"read": "1000000/s", "submit": "1000/s", "stream": "1000/s", "open_calls": 1_000}
        )
        settings = {
            "GATEWAY_AUTH__KEYS": json.dumps([{"key": KEY, "subject": "bench", "tenant": "bench"}]),
            "GATEWAY_RATE_LIMITS__PRINCIPAL": limits,
            "GATEWAY_RATE_LIMITS__TENANT": limits,
            "GATEWAY_RATE_LIMITS__EVERYBODY": limits,
            "GATEWAY_TRACES__ENDPOINT": f"http://127.0.0.1:{collector.rest_port}",
        }
        return await _unary(bench, "admission", key=KEY, settings=settings)


async def _unary(
    bench: Bench, scenario: str, *, key: str = "", settings: Mapping[str, str] | None = None
) -> list[Row]:
    async with AsyncExitStack() as stack:
        gateway = await stack.enter_async_context(bench.gateway(settings=settings))
        targets = await _grpc_targets(bench, stack, gateway, key)
        targets += await _rest_targets(bench, stack, gateway, key)
        for _ in range(bench.rounds):
            for target in targets:
                await _measure(target, bench.amount(3_000, 100))
    return [_row(scenario, target) for target in targets]


async def _measure(target: Target, calls: int) -> None:
    async with target.lanes() as lanes:
        await call_many(lanes, max(calls // 10, IN_FLIGHT * 2))  # warm up
        before = target.server.cpu_s()
        seconds = await call_many(lanes, calls)
        target.cpu_us.append((target.server.cpu_s() - before) / calls * 1e6)
    target.per_s.append(calls / seconds)


def _row(scenario: str, target: Target) -> Row:
    cpu_us, base = middle(target.cpu_us), target.baseline
    ratio = None if base is None else middle(base.cpu_us) / cpu_us
    detail = f"{middle(target.per_s):,.0f} calls/s"
    return Row(
        scenario=scenario,
        name=target.name if base is None else f"{target.name} vs {base.name}",
        value=cpu_us,
        unit="us CPU/call",
        ratio=ratio,
        aim=target.aim,
        detail=f"{detail}; {target.detail}" if target.detail else detail,
    )


async def _grpc_targets(bench: Bench, stack: AsyncExitStack, gateway: Server, key: str) -> list[Target]:
    bare = await stack.enter_async_context(bench.bare("grpc"))
    ours = await stack.enter_async_context(grpc_channel(gateway))
    theirs = await stack.enter_async_context(grpc_channel(bare))
    task_id = await submit(ours, "echo", "Say this again, please, and nothing else.", key=key)
    async for _ in tasks_of(ours).WatchTask(WatchTaskRequest(task_id=task_id), metadata=metadata_of(key)):
        continue
    servers: Any = ServerServiceStub(cast("Any", ours))
    echo: Any = theirs.unary_unary(
        METHOD, request_serializer=StringValue.SerializeToString, response_deserializer=StringValue.FromString
    )
    targets: list[Target] = []
    for name, method, request in (
        ("GetServerInfo", servers.GetServerInfo, GetServerInfoRequest()),
        ("GetTask", tasks_of(ours).GetTask, GetTaskRequest(task_id=task_id)),
    ):
        answer = await method(request, metadata=metadata_of(key))
        size = answer.ByteSize()
        alike = StringValue(value=str(size).ljust(request.ByteSize()))
        baseline = Target(f"bare grpc.aio, {size} bytes", bare, _grpc_lanes(echo, alike))
        targets += [
            baseline,
            Target(f"gRPC {name}", gateway, _grpc_lanes(method, request, key), baseline, GRPC_AIM),
        ]
    return targets


def _grpc_lanes(method: Any, request: object, key: str = "") -> Lanes:
    metadata = metadata_of(key)
    return lambda: nullcontext([lambda: method(request, metadata=metadata)] * IN_FLIGHT)


async def _rest_targets(bench: Bench, stack: AsyncExitStack, gateway: Server, key: str) -> list[Target]:
    bare = await stack.enter_async_context(bench.bare("rest"))
    (asking,) = await stack.enter_async_context(http_connections(gateway, 1))
    async with grpc_channel(gateway) as channel:
        task_id = await submit(channel, "echo", "Say this again, please, and nothing else.", key=key)
        async for _ in tasks_of(channel).WatchTask(
            WatchTaskRequest(task_id=task_id), metadata=metadata_of(key)
        ):
            continue
    targets: list[Target] = []
    for path in ("/v1/server", f"/v1/tasks/{task_id}"):
        request = request_bytes("GET", path, key=key)
        size = len((await asking.ask(request)).partition(b"\r\n\r\n")[2])
        body = _echo_body(size)
        both = Target(
            f"bare FastAPI echo, {size} bytes",
            bare,
            _http_lanes(bare, request_bytes("POST", "/echo", body)),
        )
        out = Target(
            f"bare FastAPI GET, {size} bytes",
            bare,
            _http_lanes(bare, request_bytes("GET", f"/echo/{size - len(_echo_body(0))}")),
        )
        name = f"REST GET {path.replace(task_id, '{id}')}"
        mine = Target(name, gateway, _http_lanes(gateway, request), both, REST_AIM)
        targets += [both, out, mine]
    return targets


def _echo_body(size: int) -> bytes:
    """A body of the bare server's model, as long as an answer of ours (or its least length)."""
    model = Echo(id="task_1", state="ok", created="now", count=1, running=0.1, final=True, labels={}, text="")
    least = len(model.model_dump_json())
    return model.model_copy(update={"text": "x" * max(0, size - least)}).model_dump_json().encode()


def _http_lanes(server: Server, request: bytes) -> Lanes:
    """Connections of their own for each round: servers hang up on idle ones."""

    @asynccontextmanager
    async def opened() -> AsyncGenerator[list[Call]]:
        async with http_connections(server, IN_FLIGHT) as connections:
            yield [partial(connection.ask, request) for connection in connections]

    return opened
