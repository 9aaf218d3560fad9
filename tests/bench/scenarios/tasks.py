"""Durable tasks: submitted by 64 callers and waited for on one WatchTasks stream, and without a protocol."""

import asyncio
import json
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from grpc_service.gen.agentgateway.v1.task_service_pb2 import WatchTasksRequest
from tests.bench.bench import Bench
from tests.bench.clients import grpc_channel, submit, tasks_of
from tests.bench.ends import Ends
from tests.bench.figures import Row, middle
from tests.bench.processes import Server, environment

IN_FLIGHT = 64
TERMINAL = frozenset({"task_succeeded", "task_failed", "task_cancelled", "task_expired"})
ECHO = ("echo", "Say this again, please, and nothing else.", 1_000.0)
LOOP = ("default", "What is 12 times 12?", 150.0)


async def tasks(bench: Bench) -> list[Row]:
    """The function agent and the loop, over gRPC and in process."""
    rows: list[Row] = []
    for name, (agent, instruction, aim), amount in (
        ("echo tasks", ECHO, bench.amount(2_000, 100)),
        ("one-tool-call tasks through the loop", LOOP, bench.amount(400, 20)),
    ):
        per_s: list[float] = []
        cpu_us: list[float] = []
        inside_per_s: list[float] = []
        inside_us: list[float] = []
        async with bench.gateway() as gateway:
            await _over_grpc(gateway, agent, instruction, IN_FLIGHT)  # warm up
            for _ in range(bench.rounds):
                before = gateway.cpu_s()
                seconds = await _over_grpc(gateway, agent, instruction, amount)
                per_s.append(amount / seconds)
                cpu_us.append((gateway.cpu_s() - before) / amount * 1e6)
                figures = await _in_process(agent, instruction, amount)
                inside_per_s.append(figures["tasks_per_s"])
                inside_us.append(figures["cpu_us"])
        rows += [
            Row(
                scenario="tasks",
                name=f"{name} over gRPC",
                value=middle(per_s),
                unit="tasks/s",
                aim=aim,
                detail=f"{middle(cpu_us):,.0f} us of server CPU a task, {IN_FLIGHT} in flight",
            ),
            Row(
                scenario="tasks",
                name=f"{name} on AgentService, no protocol",
                value=middle(inside_per_s),
                unit="tasks/s",
                detail=f"{middle(inside_us):,.0f} us of CPU a task, its caller included",
            ),
        ]
    return rows


async def _over_grpc(gateway: Server, agent: str, instruction: str, amount: int) -> float:
    """Submit and wait for `amount` tasks; returns the seconds. Raises RuntimeError if one did not succeed."""
    ends, failed = Ends(), list[str]()
    numbers = iter(range(amount))

    async def submitter() -> None:
        for _ in numbers:
            await ends.wait(await submit(channel, agent, instruction))

    async with grpc_channel(gateway) as channel:
        stream: Any = tasks_of(channel).WatchTasks(WatchTasksRequest())
        await stream.initial_metadata()
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(_watch(stream, ends, failed))
            began = time.perf_counter()
            async with asyncio.TaskGroup() as lanes:
                for _ in range(IN_FLIGHT):
                    lanes.create_task(submitter())
            seconds = time.perf_counter() - began
            stream.cancel()
            watching.cancel()
    if failed:
        raise RuntimeError(f"{len(failed)} tasks did not succeed; the first: {failed[0]}")
    return seconds


async def _watch(stream: Any, ends: Ends, failed: list[str]) -> None:
    async for message in stream:
        for event in message.events:
            kind = event.WhichOneof("event")
            if kind in TERMINAL:
                if kind != "task_succeeded":
                    failed.append(str(event))
                ends.over(event.task_id)


async def _in_process(agent: str, instruction: str, amount: int) -> dict[str, float]:
    with TemporaryDirectory(prefix="bench-") as folder:
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.bench.servers.inprocess", "--agent", agent),
            *("--instruction", instruction, "--tasks", str(amount), "--in-flight", str(IN_FLIGHT)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=folder,
            env=environment(
                {"PYTHONPATH": str(Path.cwd()), "GATEWAY_REST__PORT": "0", "GATEWAY_GRPC__PORT": "0"}
            ),
        )
        told, complaint = await child.communicate()
    if child.returncode != 0:
        raise RuntimeError(f"the run in process failed:\n{complaint.decode()[-2000:]}")
    return json.loads(told.decode().splitlines()[-1])
