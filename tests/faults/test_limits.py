"""Limits under load: the queue is bounded, tenants take turns, and are walls to each other."""

import asyncio
import json
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.faults.clients import Clients, clients_of, ended, journal_of, model_settings, reached, submit
from tests.llm.script import Turn, says
from tests.llm.server import scripted_llm
from tests.parity.drivers import RefusedError
from tests.processes import GatewayProcess, gateway_process

pytestmark = [pytest.mark.faults]

KEYS = {"a": "key-of-tenant-a-0001", "b": "key-of-tenant-b-0001"}
TWO_TENANTS: dict[str, Any] = {
    "GATEWAY_AUTH__KEYS": json.dumps(
        [{"key": key, "subject": name, "tenant": f"tenant-{name}"} for name, key in KEYS.items()]
    ),
    "GATEWAY_MODEL__PRIVATE_ENDPOINTS": "true",
}


async def _tenants(stack: AsyncExitStack, gateway: GatewayProcess) -> tuple[Clients, Clients]:
    a = await stack.enter_async_context(clients_of(gateway, KEYS["a"]))
    b = await stack.enter_async_context(clients_of(gateway, KEYS["b"]))
    return a, b


async def test_a_full_queue_is_refused_with_a_hint_on_both_protocols_and_frees_itself(tmp_path: Path) -> None:
    held = Turn(text="done", gate=asyncio.Event())
    limits: dict[str, Any] = {
        "GATEWAY_ENGINE__MAX_CONCURRENT_TASKS": "2",
        "GATEWAY_ENGINE__MAX_QUEUED_TASKS": "5",
    }
    async with (
        scripted_llm([held]) as llm,
        gateway_process(tmp_path, **limits, **model_settings(llm)) as gateway,
        clients_of(gateway) as clients,
    ):
        ids: list[str] = []
        for number in range(2):
            ids.append(await submit(clients[number], "hold"))
            await reached(clients.rest, ids[-1], "turn.started")
        ids += [await submit(clients[number], "queued") for number in range(5)]

        for number in range(4):
            with pytest.raises(RefusedError) as refused:
                await submit(clients[number], "one too many")
            assert refused.value.reason == "QUEUE_FULL"
            assert refused.value.retry
        answer = await clients.http.post("/v1/tasks", json={"instruction": "one too many"})
        assert (answer.status_code, int(answer.headers["retry-after"]) > 0) == (429, True)

        assert held.gate is not None
        held.gate.set()
        for task_id in ids:
            await ended(clients.grpc, task_id)
        await ended(clients.rest, await submit(clients.grpc, "now there is room"))
        listed = await clients.rest.call("TaskService/ListTasks", page_size=100)
        assert len(listed["tasks"]) == len(ids) + 1  # what was refused has left nothing
        assert gateway.complaints() == []


async def test_a_tenant_with_few_tasks_does_not_wait_for_one_with_many(tmp_path: Path) -> None:
    many, few = 200, 5
    async with (
        scripted_llm([says("done", delay_s=0.02)]) as llm,
        gateway_process(
            tmp_path, GATEWAY_ENGINE__MAX_CONCURRENT_TASKS="2", **model_settings(llm), **TWO_TENANTS
        ) as gateway,
        AsyncExitStack() as stack,
    ):
        a, b = await _tenants(stack, gateway)
        first = [await submit(a[number], "many") for number in range(many)]
        second = [await submit(b[number], "few") for number in range(few)]

        for task_id in second:
            await ended(b.grpc, task_id)

        states = [(await a.rest.call("TaskService/GetTask", task_id=task_id))["state"] for task_id in first]
        done_before = states.count("succeeded")
        assert states.count("queued") >= many // 4, f"{done_before} of {many} were done before the few"
        starts = {task_id: (await journal_of(b.rest, task_id))[2]["time"] for task_id in second}
        after_b = max(starts.values())
        for task_id in first:
            await ended(a.grpc, task_id, within_s=60)
        later = [task_id for task_id in first if (await journal_of(a.rest, task_id))[2]["time"] > after_b]
        print(f"fairness: {len(later)} of {many} started after the other tenant's last")
        assert len(later) >= many // 4


async def test_a_task_of_another_tenant_reads_as_not_found_on_both_protocols(tmp_path: Path) -> None:
    held = Turn(text="done", gate=asyncio.Event())
    async with (
        scripted_llm([held]) as llm,
        gateway_process(tmp_path, **model_settings(llm), **TWO_TENANTS) as gateway,
        AsyncExitStack() as stack,
    ):
        a, b = await _tenants(stack, gateway)
        stranger = await stack.enter_async_context(clients_of(gateway, "not-a-key-of-anybody"))
        task_id = await submit(a.rest, "mine")
        await reached(a.grpc, task_id, "turn.started")

        for number in range(2):
            driver, outsider = b[number], stranger[number]
            for verb in ("GetTask", "CancelTask", "PauseTask", "ResumeTask", "ListTaskEvents", "DeleteTask"):
                with pytest.raises(RefusedError) as refused:
                    await driver.call(f"TaskService/{verb}", task_id=task_id)
                assert refused.value.reason == "NOT_FOUND", verb
                with pytest.raises(RefusedError) as refused:
                    await outsider.call(f"TaskService/{verb}", task_id=task_id)
                assert refused.value.reason == "UNAUTHENTICATED", verb
            with pytest.raises(RefusedError) as refused:
                await anext(driver.stream("TaskService/WatchTask", task_id=task_id, after_seq=0))
            assert refused.value.reason == "NOT_FOUND"
            assert (await driver.call("TaskService/ListTasks", page_size=100))["tasks"] == []

        assert held.gate is not None
        held.gate.set()
        assert (await ended(a.grpc, task_id)).events[-1][1]["type"] == "task.succeeded"
