"""One task's journal as fast as it goes: committed events, counted at one SSE and one gRPC reader."""

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
from tests.bench.figures import Row, middle
from tests.bench.processes import Server
from tests.bench.servers.script import Script

AIM = 10_000


async def events(bench: Bench) -> list[Row]:
    """Commits of 1 (each awaited before the next) and of 100 events."""
    rows: list[Row] = []
    async with bench.gateway(scripted=True) as gateway:
        for batch, amount in ((100, bench.amount(20_000, 500)), (1, bench.amount(1_500, 50))):
            sse: list[float] = []
            grpc: list[float] = []
            cpu_us: list[float] = []
            for number in range(bench.rounds):
                before = gateway.cpu_s()
                by_sse, by_grpc = await _once(gateway, f"events-{batch}-{number}", batch, amount)
                cpu_us.append((gateway.cpu_s() - before) / amount * 1e6)
                sse.append(_rate(by_sse))
                grpc.append(_rate(by_grpc))
            aim = AIM if batch > 1 else None
            detail = (
                f"{amount:,} events; {middle(cpu_us):,.0f} us of server CPU an event, both readers included"
            )
            rows += [
                Row(
                    scenario="events",
                    name=f"one stream over {protocol}, commits of {batch}",
                    value=middle(rates),
                    unit="events/s",
                    aim=aim,
                    detail=detail,
                )
                for protocol, rates in (("SSE", sse), ("gRPC", grpc))
            ]
    return rows


async def _once(gateway: Server, gate: str, batch: int, amount: int) -> tuple[Reader, Reader]:
    async with grpc_channel(gateway) as channel:
        task_id = await submit_script(channel, Script(waits=gate, events=amount, batch=batch))
        by_grpc = GrpcReader(tasks_of(channel).WatchTask(WatchTaskRequest(task_id=task_id)))
        async with reading([by_grpc]), sse_reader(gateway, f"/v1/tasks/{task_id}/events") as by_sse:
            await submit_script(channel, Script(opens=gate))
            await all_ended([by_sse, by_grpc])
    for name, reader in (("SSE", by_sse), ("gRPC", by_grpc)):
        if len(reader.arrivals) != amount + 4:  # submitted, queued, started, succeeded
            raise RuntimeError(f"{name} gave {len(reader.arrivals)} events of {amount + 4}")
    return by_sse, by_grpc


def _rate(reader: Reader) -> float:
    """Events a second, from the first to the last of those that were emitted."""
    emitted = reader.arrivals[3:-1]
    return len(emitted) / max(1e-9, emitted[-1] - emitted[0])
