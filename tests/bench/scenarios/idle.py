"""What a stream costs that waits: resident memory of the server for each, and its CPU for heartbeats."""

import asyncio
import time
from contextlib import AsyncExitStack

from grpc_service.gen.agentgateway.v1.task_service_pb2 import CancelTaskRequest, WatchTaskRequest
from tests.bench.bench import Bench
from tests.bench.clients import GrpcReader, grpc_channel, reading, sse_reader, submit_script, tasks_of
from tests.bench.figures import Row
from tests.bench.processes import Server
from tests.bench.servers.script import Script

SETTLE_S = 1.0


async def idle(bench: Bench) -> list[Row]:
    """500 SSE streams and 500 WatchTask streams of one task that does nothing."""
    many = bench.amount(500, 20)
    rows: list[Row] = []
    async with bench.gateway(scripted=True) as gateway, grpc_channel(gateway) as channel:
        task_id = await submit_script(channel, Script(stays=True))
        request = WatchTaskRequest(task_id=task_id)
        path = f"/v1/tasks/{task_id}/events"
        empty = gateway.rss_bytes()
        async with sse_reader(gateway, path), reading([GrpcReader(tasks_of(channel).WatchTask(request))]):
            await asyncio.sleep(SETTLE_S)  # what is allocated once, by the first stream of its kind
        for protocol in ("SSE", "gRPC"):
            async with AsyncExitStack() as stack:
                before = gateway.rss_bytes()
                if protocol == "SSE":
                    for _ in range(many):
                        await stack.enter_async_context(sse_reader(gateway, path))
                else:
                    readers = [GrpcReader(tasks_of(channel).WatchTask(request)) for _ in range(many)]
                    await stack.enter_async_context(reading(readers))
                await asyncio.sleep(SETTLE_S)
                rows.append(
                    Row(
                        scenario="idle",
                        name=f"idle {protocol} stream, of {many}",
                        value=(gateway.rss_bytes() - before) / many / 1024,
                        unit="KiB RSS/stream",
                        lower=True,
                        detail=await _beating(gateway, many, bench.amount(6, 1)),
                    )
                )
        await tasks_of(channel).CancelTask(CancelTaskRequest(task_id=task_id))
    rows.append(
        Row(
            scenario="idle",
            name="the process with no stream and one task",
            value=empty / 1024 / 1024,
            unit="MiB RSS",
            lower=True,
        )
    )
    return rows


async def _beating(gateway: Server, many: int, seconds: float) -> str:
    """What the server spends on streams that do nothing."""
    before, began = gateway.cpu_s(), time.monotonic()
    await asyncio.sleep(seconds)
    share = (gateway.cpu_s() - before) / (time.monotonic() - began)
    return f"{share * 100:.1f} % of a core for heartbeats of all {many}"
