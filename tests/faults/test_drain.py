"""SIGTERM with 200 streams open: everybody is told, nothing is lost, and it ends in time."""

import asyncio
import signal
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from grpc.aio import Channel
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.faults.clients import (
    Clients,
    Log,
    check_journal,
    clients_of,
    ended,
    journal_of,
    model_settings,
    reached,
    submit,
)
from tests.llm.script import Turn, calls, says
from tests.llm.server import ScriptedLLM, scripted_llm
from tests.parity.drivers import RefusedError
from tests.processes import gateway_process

pytestmark = [pytest.mark.faults]

DRAIN_S = 8.0
STREAMS = 100
"""On each protocol."""
WORKING, STUCK, PARKED, QUEUED = "work in turns", "wait for the model", "ask a person", "queued"
SLOTS = 16


@dataclass
class Told:
    """When what was noticed, by the clock of this process."""

    not_serving: float = 0.0
    refused: int = 0


def _script(gate: asyncio.Event) -> dict[str, list[Turn]]:
    turn = calls("calculator", expression="6 * 7")
    return {
        WORKING: [*[Turn(text="On. ", tool_calls=turn.tool_calls, delay_s=0.15)] * 40, says("worked")],
        STUCK: [Turn(text="at last", gate=gate)],
        PARKED: [calls("ask_user", question="Go on?"), says("asked")],
        QUEUED: [says("was queued")],
    }


async def _until_not_serving(channel: Channel, told: Told) -> None:
    """Watch the health until it says that it stops."""
    stub = health_pb2_grpc.HealthStub(channel)
    async for status in stub.Watch(health_pb2.HealthCheckRequest(), timeout=60):
        if status.status == health_pb2.HealthCheckResponse.NOT_SERVING:
            told.not_serving = time.perf_counter()
            return


async def _intake_is_closed(clients: Clients, told: Told) -> None:
    """What a client sees while the drain lasts: not ready, and refused with a hint."""
    ready = await clients.http.get("/healthz/ready")
    assert ready.status_code == 503
    for number in range(2):
        with pytest.raises(RefusedError) as refused:
            await submit(clients[number], "too late", agent_id="echo")
        assert refused.value.reason == "DRAINING"
        assert refused.value.retry
        told.refused += 1


async def _tasks(clients: Clients) -> list[str]:
    """Tasks in every condition: 12 that work, 2 whose model is silent, 2 parked, the rest queued."""
    kinds = [WORKING] * (SLOTS - 4) + [STUCK] * 2 + [PARKED] * 2 + [WORKING] * 2 + [QUEUED] * 2
    ids = [await submit(clients[number], kind) for number, kind in enumerate(kinds)]
    for task_id, kind in zip(ids, kinds, strict=True):
        event = {WORKING: "task.submitted", STUCK: "turn.started", PARKED: "input.requested"}
        await reached(clients.rest, task_id, event.get(kind, "task.queued"))
    return ids


@pytest.mark.timeout(180)
async def test_sigterm_tells_200_streams_parks_the_tasks_and_exits_0_in_time(tmp_path: Path) -> None:
    gate, told = asyncio.Event(), Told()
    async with scripted_llm(_script(gate)) as llm:
        settings: dict[str, Any] = model_settings(llm) | {
            "GATEWAY_ENGINE__DRAIN_TIMEOUT": str(DRAIN_S),
            "GATEWAY_ENGINE__MAX_CONCURRENT_TASKS": str(SLOTS),
        }
        async with gateway_process(tmp_path, **settings) as gateway, clients_of(gateway) as clients:
            ids = await _tasks(clients)
            logs = [Log(ids[number % len(ids)]) for number in range(2 * STREAMS)]
            async with asyncio.timeout(60), asyncio.TaskGroup() as group:
                watching = group.create_task(_until_not_serving(clients.channel, told))
                following = [
                    group.create_task(log.follow(clients[index // STREAMS])) for index, log in enumerate(logs)
                ]
                async with asyncio.timeout(30):
                    while not all(log.events for log in logs):
                        await asyncio.sleep(0.01)

                gateway.signal(signal.SIGTERM)
                began = time.perf_counter()
                await watching
                await _intake_is_closed(clients, told)
                await asyncio.wait(following)
                all_told = time.perf_counter() - began
                code = await gateway.ended(DRAIN_S)
                drained = time.perf_counter() - began

            assert code == 0
            print(
                f"drain: NOT_SERVING after {(told.not_serving - began) * 1e3:.0f} ms, "
                f"all {len(logs)} streams told after {all_told * 1e3:.0f} ms, "
                f"exit after {drained:.2f} s of {DRAIN_S} s"
            )
            assert gateway.complaints() == []
        for log in logs:
            assert log.ended or log.drained is not None, f"{log.task_id} was cut"
            if log.drained is not None:
                assert log.drained["cursor"] == log.cursor
        assert sum(log.drained is not None for log in logs) >= STREAMS

        gate.set()
        await _goes_on(tmp_path, settings, ids, logs)


async def _goes_on(data: Path, settings: dict[str, Any], ids: list[str], logs: list[Log]) -> None:
    """After a restart every client resumes with its cursor, on the other protocol, and sees the rest."""
    async with AsyncExitStack() as stack:
        gateway = await stack.enter_async_context(gateway_process(data, **settings))
        clients = await stack.enter_async_context(clients_of(gateway))
        for task_id in ids:
            task = await clients.grpc.call("TaskService/GetTask", task_id=task_id)
            for asked in task["pending_inputs"]:
                await clients.rest.call(
                    "TaskService/ProvideInput", task_id=task_id, input_id=asked["id"], text="yes"
                )
        async with asyncio.timeout(90), asyncio.TaskGroup() as group:
            for index, log in enumerate(logs):
                if not log.ended:
                    group.create_task(log.follow(clients[index // STREAMS + 1]))
        journals = {task_id: await journal_of(clients.rest, task_id) for task_id in ids}
        for events in journals.values():
            check_journal(events)
            assert events[-1]["type"] == "task.succeeded", events[-1]
        for log in logs:
            assert log.ended
            kinds = [event["type"] for event in journals[log.task_id]]
            assert [event["type"] for _, event in log.events] == kinds
        assert gateway.complaints() == []


@pytest.mark.timeout(120)
async def test_a_second_sigint_cuts_the_drain_short_and_loses_nothing(tmp_path: Path) -> None:
    gate = asyncio.Event()
    async with scripted_llm(_script(gate)) as llm:
        settings = model_settings(llm)
        async with (
            gateway_process(tmp_path, GATEWAY_ENGINE__DRAIN_TIMEOUT="60", **settings) as gateway,
            clients_of(gateway) as clients,
        ):
            task_id = await submit(clients.rest, STUCK)
            await reached(clients.grpc, task_id, "turn.started")

            gateway.signal(signal.SIGINT)
            await gateway.logged("draining")
            began = time.perf_counter()
            gateway.signal(signal.SIGINT)
            code = await gateway.ended(10)

            assert code == 0
            print(f"second SIGINT: gone after {time.perf_counter() - began:.2f} s")
            assert not any("Traceback" in line for line in gateway.log)
        gate.set()
        await _finishes(tmp_path, llm, task_id)


async def _finishes(data: Path, llm: ScriptedLLM, task_id: str) -> None:
    async with gateway_process(data, **model_settings(llm)) as gateway, clients_of(gateway) as clients:
        log = await ended(clients.grpc, task_id)
        check_journal([event for _, event in log.events])
        assert log.events[-1][1]["type"] == "task.succeeded"
