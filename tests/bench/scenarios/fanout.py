"""One task's events to many readers: deliveries a second, server CPU for each, and how late they come."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from grpc_service.gen.agentgateway.v1.task_service_pb2 import WatchTaskRequest
from tests.bench.bench import Bench
from tests.bench.clients import (
    GrpcReader,
    Reader,
    all_ended,
    grpc_channel,
    reading,
    sse_reader,
    submit_script,
    tasks_of,
)
from tests.bench.figures import Row, middle, p50_p99
from tests.bench.processes import Server
from tests.bench.servers.script import Script

CHANNELS = 4
"""gRPC readers share connections, as those of one client do."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """One measurement."""

    per_s: float
    cpu_us: float
    sse_lags: list[float]
    grpc_lags: list[float]


async def fanout(bench: Bench) -> list[Row]:
    """SSE alone, gRPC alone, both; as fast as it goes, then at a steady 20 events a second."""
    many = bench.amount(200, 10)
    rows: list[Row] = []
    async with bench.gateway(scripted=True) as gateway:
        for sse, grpc in ((many, 0), (0, many), (many, many)):
            readers = f"{sse} SSE + {grpc} gRPC readers"
            flood = Script(events=bench.amount(2_000, 20), batch=10)
            runs = [await _once(gateway, f"{readers}-{n}", flood, sse, grpc) for n in range(bench.rounds)]
            rows += [
                Row(
                    scenario="fanout",
                    name=f"{readers}, commits of 10, as fast as they go",
                    value=middle(run.per_s for run in runs),
                    unit="deliveries/s",
                    detail=f"{middle(run.cpu_us for run in runs):.1f} us of server CPU an event and reader",
                )
            ]
        readers = f"{many} SSE + {many} gRPC readers"
        steady = Script(events=bench.amount(60, 10), batch=1, gap_s=0.05)
        run = await _once(gateway, "steady", steady, many, many)
        rows.append(
            Row(
                scenario="fanout",
                name=f"{readers}, 20 events/s one by one",
                value=run.cpu_us,
                unit="us CPU/delivery",
                lower=True,
                detail=f"commit to reader: SSE {p50_p99(run.sse_lags)}; gRPC {p50_p99(run.grpc_lags)}",
            )
        )
    return rows


async def _once(gateway: Server, gate: str, script: Script, sse: int, grpc: int) -> Delivered:
    """`script` to that many readers, all in place before it starts."""
    async with AsyncExitStack() as stack:
        channels = [await stack.enter_async_context(grpc_channel(gateway)) for _ in range(CHANNELS)]
        task_id = await submit_script(channels[0], script.model_copy(update={"waits": gate}))
        request = WatchTaskRequest(task_id=task_id)
        witness = GrpcReader(tasks_of(channels[0]).WatchTask(request), keep=True)
        by_grpc = [GrpcReader(tasks_of(channels[n % CHANNELS]).WatchTask(request)) for n in range(grpc)]
        by_sse = [
            await stack.enter_async_context(sse_reader(gateway, f"/v1/tasks/{task_id}/events"))
            for _ in range(sse)
        ]
        await stack.enter_async_context(reading([witness, *by_grpc]))
        readers: list[Reader] = [*by_sse, *by_grpc]
        await asyncio.sleep(0.5)  # let the replays settle; nothing depends on it but the CPU figure
        before = gateway.cpu_s()
        await submit_script(channels[0], Script(opens=gate))
        await all_ended([*readers, witness])
        cpu_s = gateway.cpu_s() - before
    _check(readers, script.events + 4)
    began = min(reader.arrivals[3] for reader in readers)
    ended = max(reader.arrivals[-2] for reader in readers)
    deliveries = script.events * len(readers)
    committed = [event.time.ToNanoseconds() / 1e9 for event in witness.events]
    return Delivered(
        per_s=deliveries / max(1e-9, ended - began),
        cpu_us=cpu_s / deliveries * 1e6,
        sse_lags=_lags(by_sse, committed),
        grpc_lags=_lags(by_grpc, committed),
    )


def _check(readers: Sequence[Reader], events: int) -> None:
    wrong = {len(reader.arrivals) for reader in readers} - {events}
    if wrong:
        raise RuntimeError(f"readers got {sorted(wrong)} events instead of {events}")


def _lags(readers: Sequence[Reader], committed: list[float]) -> list[float]:
    """From the time in the event (just before its commit) to its arrival."""
    return [
        arrival - at
        for reader in readers
        for arrival, at in zip(reader.arrivals[3:-1], committed[3:-1], strict=True)
    ]
