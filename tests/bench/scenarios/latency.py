"""How soon, on an idle server, one call at a time: first event, end of a task, and a cancel taking effect."""

import asyncio
import json
import time

import grpc

from grpc_service.gen.agentgateway.v1.task_service_pb2 import (
    CancelTaskRequest,
    RunTaskRequest,
    TaskInput,
    WatchTaskRequest,
)
from tests.bench.bench import Bench
from tests.bench.clients import LONGEST_WAIT_S, SseReader, grpc_channel, submit_script, tasks_of
from tests.bench.figures import Row, p50_p99, percentile
from tests.bench.processes import Server
from tests.bench.servers.script import Script

INSTRUCTION = "Say this again, please, and nothing else."
CANCEL_AIM_MS = 100


async def latency(bench: Bench) -> list[Row]:
    """RunTask and its like on SSE with the echo agent; CancelTask on a task that runs."""
    tries = bench.amount(150, 10)
    async with bench.gateway(scripted=True) as gateway:
        by_grpc = [await _run_grpc(gateway) for _ in range(tries)][tries // 10 :]
        by_sse = [await _run_sse(gateway) for _ in range(tries)][tries // 10 :]
        cancels = [await _cancel(gateway) for _ in range(bench.amount(50, 5))]
    rows = [
        _row(f"{protocol}: submit to {what}", [times[index] for times in tries_of])
        for protocol, tries_of in (("gRPC", by_grpc), ("SSE", by_sse))
        for index, what in enumerate(("first event", "terminal event"))
    ]
    rows += [
        _row("cancel to its answer", [answered for answered, _ in cancels], CANCEL_AIM_MS),
        _row("cancel to the terminal event at a watcher", [seen for _, seen in cancels], CANCEL_AIM_MS),
    ]
    return rows


def _row(name: str, seconds: list[float], aim_ms: float | None = None) -> Row:
    """The value is the p50, or the p99 where there is an aim."""
    return Row(
        scenario="latency",
        name=name,
        value=percentile(seconds, 50 if aim_ms is None else 99) * 1e3,
        unit="ms p50" if aim_ms is None else "ms p99",
        aim=aim_ms,
        lower=True,
        detail=f"{p50_p99(seconds)}, {len(seconds)} tries",
    )


async def _run_grpc(gateway: Server) -> tuple[float, float]:
    async with grpc_channel(gateway) as channel:
        await channel.channel_ready()
        request = RunTaskRequest(task=TaskInput(agent_id="echo", instruction=INSTRUCTION))
        began, first = time.perf_counter(), 0.0
        async for message in tasks_of(channel).RunTask(request):
            if message.events and not first:
                first = time.perf_counter()
        return first - began, time.perf_counter() - began


async def _run_sse(gateway: Server) -> tuple[float, float]:
    body = json.dumps({"instruction": INSTRUCTION, "agent_id": "echo"}).encode()
    loop = asyncio.get_running_loop()
    before = time.time()
    transport, reader = await loop.create_connection(
        lambda: SseReader("/v1/tasks", "POST", body), "127.0.0.1", gateway.rest_port
    )
    try:
        async with asyncio.timeout(LONGEST_WAIT_S):
            await reader.ended.wait()
    finally:
        transport.close()
    if not reader.arrivals:
        raise RuntimeError("an SSE stream gave no event")
    return reader.arrivals[0] - before, reader.arrivals[-1] - before


async def _cancel(gateway: Server) -> tuple[float, float]:
    async with grpc_channel(gateway) as channel:
        tasks = tasks_of(channel)
        task_id = await submit_script(channel, Script(stays=True))
        stream = tasks.WatchTask(WatchTaskRequest(task_id=task_id))
        running = asyncio.Event()
        ended: list[float] = []

        async def watch() -> None:
            async for message in stream:
                for event in message.events:
                    kind = event.WhichOneof("event")
                    if kind == "task_started":
                        running.set()
                    elif kind == "task_cancelled":
                        ended.append(time.perf_counter())

        async with asyncio.TaskGroup() as group, asyncio.timeout(LONGEST_WAIT_S):
            watching = group.create_task(watch())
            await running.wait()
            began = time.perf_counter()
            await tasks.CancelTask(CancelTaskRequest(task_id=task_id))
            answered = time.perf_counter()
            await watching
        assert stream.done()
        assert await stream.code() is grpc.StatusCode.OK
        return answered - began, ended[0] - began
