"""Calls that are opened and left, by the thousand, leave nothing behind: no memory, task, lease or file."""

import asyncio
import json
import os
import re
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import grpc.aio
import httpx
import pytest

from grpc_service.gen.agentgateway.v1 import task_service_pb2 as pb
from tests.faults.clients import clients_of, model_settings, reached
from tests.llm.script import Turn
from tests.llm.server import scripted_llm
from tests.processes import GatewayProcess, gateway_process

pytestmark = [pytest.mark.faults]

AT_ONCE = 50
WARM_UP = 2_000
MAX_GROWTH_KIB = 8 * 1024
TASK: Any = {"instruction": "hold"}
KEY = "the-same-task-each-time"
PLACES = 500
LIMITS = {"principal": {"open_calls": PLACES, "open_streams": PLACES}}


class Coming:
    """Clients that come, are served, and leave without a word."""

    def __init__(self, gateway: GatewayProcess, channels: list[Any], task_id: str) -> None:
        self._gateway = gateway
        self._channels = channels
        self._task_id = task_id
        submit = json.dumps(TASK).encode()
        self._watching = f"GET /v1/tasks/{task_id}/events HTTP/1.1\r\nAccept: text/event-stream\r\n".encode()
        self._waiting = (
            f'POST /v1/tasks HTTP/1.1\r\nIdempotency-Key: "{KEY}"\r\nPrefer: wait=60\r\n'
            f"Content-Type: application/json\r\nContent-Length: {len(submit)}\r\n".encode()
        )
        self._submit = submit

    @property
    def ways(self) -> list[Callable[[int], Coroutine[Any, Any, None]]]:
        """How they come; what they wait for never happens."""
        return [self.stream, self.unary, self.sse, self.answered, self.http]

    async def stream(self, number: int) -> None:
        """A gRPC stream, cancelled after its first message."""
        watch = self._channels[number % len(self._channels)].unary_stream(
            "/agentgateway.v1.TaskService/WatchTask", request_serializer=_bytes, response_deserializer=bytes
        )
        call = watch(pb.WatchTaskRequest(task_id=self._task_id), timeout=60)
        await call.read()
        call.cancel()

    async def unary(self, number: int) -> None:
        """A unary gRPC call that waits on the server, cancelled."""
        submit = self._channels[number % len(self._channels)].unary_unary(
            "/agentgateway.v1.TaskService/SubmitTask", request_serializer=_bytes, response_deserializer=bytes
        )
        request: Any = {"task": TASK, "request_id": KEY, "wait": "60s"}
        call = submit(pb.SubmitTaskRequest(**request | {"wait": {"seconds": 60}}), timeout=60)
        await self.answered(number)  # the server has got it by then
        call.cancel()

    async def answered(self, number: int) -> None:
        """A unary gRPC call that is answered."""
        get = self._channels[number % len(self._channels)].unary_unary(
            "/agentgateway.v1.TaskService/GetTask", request_serializer=_bytes, response_deserializer=bytes
        )
        await get(pb.GetTaskRequest(task_id=self._task_id), timeout=60)

    async def sse(self, number: int) -> None:
        """An event stream whose connection is cut after its first bytes."""
        del number
        await self._cut(self._watching + b"Host: 127.0.0.1\r\n\r\n", reads=True)

    async def http(self, number: int) -> None:
        """A request that waits on the server, whose connection is cut."""
        await self._cut(self._waiting + b"Host: 127.0.0.1\r\n\r\n" + self._submit, reads=False)
        await self.answered(number)

    async def _cut(self, request: bytes, *, reads: bool) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._gateway.rest_port)
        writer.write(request)
        await writer.drain()
        if reads:
            assert b" 200 " in await reader.readline()
            await reader.readuntil(b"data: ")
        writer.transport.abort()


async def _cycles(coming: Coming, count: int) -> None:
    """So many of all kinds, `AT_ONCE` at a time."""
    numbers = iter(range(count))
    ways = coming.ways

    async def come() -> None:
        for number in numbers:
            async with asyncio.timeout(60):
                await ways[number % len(ways)](number)

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(come())


def _bytes(message: Any) -> bytes:
    return message.SerializeToString()


def _held(gateway: GatewayProcess) -> tuple[int, int, int]:
    """What the process holds: KiB of memory, open files, threads."""
    status = Path(f"/proc/{gateway.pid}/status").read_text()
    rss, threads = (re.search(rf"{name}:\s+(\d+)", status) for name in ("VmRSS", "Threads"))
    assert rss is not None
    assert threads is not None
    return int(rss[1]), len(os.listdir(f"/proc/{gateway.pid}/fd")), int(threads[1])


async def _settled(gateway: GatewayProcess, http: httpx.AsyncClient, files: int) -> dict[str, float]:
    """The gauges once every stream is over and at most so many files are open. Fails after 20 s."""
    async with asyncio.timeout(20):
        while True:
            text = (await http.get("/metrics")).text
            gauges = {
                name: float(value)
                for name, value in re.findall(r"^(agentgateway_\S+) (\S+)$", text, re.MULTILINE)
            }
            readers = [value for name, value in gauges.items() if "stream_readers" in name]
            if sum(readers) == 0 and _held(gateway)[1] <= files:
                return gauges
            await asyncio.sleep(0.05)  # nothing tells a client that the server has noticed


async def _run(path: Path, counts: list[int]) -> list[tuple[tuple[int, int, int], dict[str, float]]]:
    """What is held after each so many cycles."""
    found: list[tuple[tuple[int, int, int], dict[str, float]]] = []
    held = Turn(text="done", gate=asyncio.Event())
    async with (
        scripted_llm([held]) as llm,
        gateway_process(path, GATEWAY_RATE_LIMITS=json.dumps(LIMITS), **model_settings(llm)) as gateway,
        clients_of(gateway) as clients,
    ):
        task = await clients.grpc.call("TaskService/SubmitTask", task=TASK, request_id=KEY)
        await reached(clients.rest, task["id"], "turn.started")
        for count in counts:
            options = [("grpc.use_local_subchannel_pool", 1)]
            channels = [grpc.aio.insecure_channel(gateway.grpc, options=options) for _ in range(4)]
            await _cycles(Coming(gateway, channels, task["id"]), count)
            for channel in channels:
                await channel.close(None)
            files = found[0][0][1] + 3 if found else 100
            gauges = await _settled(gateway, clients.http, files)
            found.append((_held(gateway), gauges))
        await _no_place_is_held(clients.http, task["id"])
        assert gateway.complaints() == []
        assert held.gate is not None
        held.gate.set()
    return found


async def _no_place_is_held(http: httpx.AsyncClient, task_id: str) -> None:
    """Of the places one is taken, by the very call that asks."""
    answer = await http.get("/v1/server")
    assert f'"principal-open-calls";r={PLACES - 1}' in answer.headers["ratelimit"]
    sse = {"accept": "text/event-stream"}
    async with http.stream("GET", f"/v1/tasks/{task_id}/events", headers=sse) as stream:
        assert f'"principal-open-streams";r={PLACES - 1}' in stream.headers["ratelimit"]


def _same(before: dict[str, float], after: dict[str, float]) -> None:
    """The loop has no more tasks than before."""
    name = "agentgateway_event_loop_tasks"
    if name in before:
        assert after[name] <= before[name] + 3


async def test_hundreds_of_calls_that_are_left_leave_nothing(tmp_path: Path) -> None:
    (first, before), (second, after) = await _run(tmp_path, [100, 300])

    assert second[2] <= first[2] + 3
    _same(before, after)


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_ten_thousand_calls_that_are_left_leave_the_memory_as_it_was(tmp_path: Path) -> None:
    (first, before), (second, after) = await _run(tmp_path, [WARM_UP, 10_000])

    print(f"KiB, files, threads after {WARM_UP}: {first}, after 10,000 more: {second}")
    assert second[0] - first[0] < MAX_GROWTH_KIB
    assert second[2] <= first[2] + 3
    _same(before, after)
