"""Two processes on one PostgreSQL: submit here, watch there, cancel elsewhere, and lose a process."""

import asyncio
import base64
import json
import random
import signal
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.faults.clients import (
    Clients,
    CutError,
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
from tests.parity.drivers import Plain, RefusedError
from tests.processes import GatewayProcess, gateway_process

pytestmark = [pytest.mark.faults, pytest.mark.postgres, pytest.mark.timeout(180)]

SECRET = base64.urlsafe_b64encode(b"s" * 32).decode()
LEASE_S = 3
TURNS = 20
TASKS = 8
TURN = Turn(text="On. ", tool_calls=calls("calculator", expression="6 * 7").tool_calls, delay_s=0.1)


@dataclass
class Replica:
    """One process and clients of it."""

    gateway: GatewayProcess
    clients: Clients


@asynccontextmanager
async def _replica(data: Path, url: str, llm: ScriptedLLM) -> AsyncGenerator[Replica]:
    shared: dict[str, Any] = {
        "GATEWAY_STORAGE__BACKEND": "postgres",
        "GATEWAY_STORAGE__POSTGRES_URL": url,
        "GATEWAY_SECRETS__KEYS": json.dumps([SECRET]),
        "GATEWAY_ENGINE__LEASE": str(LEASE_S),
    }
    async with (
        gateway_process(data, **shared, **model_settings(llm)) as gateway,
        clients_of(gateway) as clients,
    ):
        yield Replica(gateway, clients)


async def _two(stack: AsyncExitStack, data: Path, url: str, llm: ScriptedLLM) -> tuple[Replica, Replica]:
    a = await stack.enter_async_context(_replica(data / "a", url, llm))
    b = await stack.enter_async_context(_replica(data / "b", url, llm))
    return a, b


async def _same_on_both(a: Replica, b: Replica, logs: list[Log]) -> None:
    """Every reader saw exactly the journal, and both replicas tell the same one."""
    for log in logs:
        journals = {
            name: await journal_of(driver, log.task_id)
            for name, driver in (("rest", b.clients.rest), ("grpc", b.clients.grpc))
        }
        check_journal(journals["rest"])
        assert await journal_of(a.clients.rest, log.task_id) == journals["rest"]
        assert [event for _, event in log.events] == [
            journals[protocol][seq] for seq, (protocol, _) in enumerate(log.events)
        ]


def _starts(events: list[Plain]) -> list[int]:
    """The epochs of a task's claims."""
    return [event["epoch"] for event in events if event["type"] == "task.started"]


def _turns(events: list[Plain]) -> list[int]:
    """The turns that the model answered."""
    return [event["turn"] for event in events if event["type"] == "model.responded"]


async def test_what_is_submitted_on_one_is_watched_and_cancelled_on_the_other(
    tmp_path: Path, postgres_url: str
) -> None:
    silent = Turn(text="never said", gate=asyncio.Event())
    script = {"work": [*[TURN] * 5, says("done")], "hang": [silent]}
    async with scripted_llm(script) as llm, AsyncExitStack() as stack:
        a, b = await _two(stack, tmp_path, postgres_url, llm)
        logs = [Log(await submit(a.clients[number], "work")) for number in range(4)]
        logs += [Log(log.task_id) for log in logs]
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            for number, log in enumerate(logs):
                group.create_task(log.follow((b if number < 4 else a).clients[number]))
        await _same_on_both(a, b, logs)

        before = len(llm.requests)
        hanging = [await submit(a.clients[number], "hang") for number in range(4)]
        for task_id in hanging:
            await reached(b.clients.grpc, task_id, "turn.started")
        async with asyncio.timeout(20):
            exchanges = (await llm.wait_for_requests(before + 4))[before:]
        told, stopped = [], []
        for number, task_id in enumerate(hanging):
            began = time.perf_counter()
            replica = (a, b)[number % 2]
            await replica.clients[number // 2].call("TaskService/CancelTask", task_id=task_id)
            told.append(time.perf_counter() - began)
        for exchange in exchanges:
            async with asyncio.timeout(5):
                await exchange.disconnected.wait()
            stopped.append(time.perf_counter() - began)
        print(
            f"cancel over replicas: told at worst {max(told) * 1e3:.1f} ms, "
            f"all stopped {max(stopped):.2f} s later"
        )
        assert max(stopped) <= 1.0
        for task_id in hanging:
            events = await journal_of(a.clients.rest, task_id)
            check_journal(events)
            assert events[-1]["type"] == "task.cancelled"
        assert a.gateway.complaints() + b.gateway.complaints() == []


def _held(gate: asyncio.Event) -> list[Turn]:
    """Turns; before the one in the middle the model waits for `gate`."""
    return [*[TURN] * (TURNS // 2), replace(TURN, gate=gate), *[TURN] * (TURNS // 2 - 1), says("done")]


async def _all_in_mid_task(a: Replica) -> list[str]:
    """Tasks that run on A and have come to the gate."""
    ids = [await submit(a.clients[number], "work") for number in range(TASKS)]
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        for number, task_id in enumerate(ids):
            group.create_task(_until_seen(Log(task_id), a.clients, number, "turn.started", TURNS // 2 + 1))
    return ids


async def _until_seen(log: Log, clients: Clients, number: int, event_type: str, count: int) -> None:
    await log.follow(clients[number], until=lambda: log.count(event_type) >= count)
    assert log.count(event_type) == count, log.events[-1]


async def test_the_tasks_of_a_killed_replica_go_on_elsewhere(tmp_path: Path, postgres_url: str) -> None:
    gate = asyncio.Event()
    async with scripted_llm(_held(gate)) as llm, AsyncExitStack() as stack:
        async with _replica(tmp_path / "a", postgres_url, llm) as a:
            logs = [Log(task_id) for task_id in await _all_in_mid_task(a)]
            for number, log in enumerate(logs):
                await log.follow(a.clients[number], at_most=20)
            b = await stack.enter_async_context(_replica(tmp_path / "b", postgres_url, llm))
            await a.gateway.kill()
            began = time.perf_counter()
        gate.set()

        async with asyncio.timeout(90), asyncio.TaskGroup() as group:
            for number, log in enumerate(logs):
                group.create_task(log.follow(b.clients[number + 1]))
        took = time.perf_counter() - began

        for log in logs:
            events = await journal_of(b.clients.rest, log.task_id)
            check_journal(events)
            assert events[-1]["type"] == "task.succeeded"
            assert _starts(events) == [1, 2]
            assert _turns(events) == list(range(1, TURNS + 2))  # each answered once, by one or the other
        print(f"replica killed with {TASKS} tasks (lease {LEASE_S} s): all ended {took:.1f} s later")
        await _same_on_both(b, b, logs)
        assert b.gateway.complaints() == []


async def test_a_replica_that_wakes_from_the_dead_writes_nothing(tmp_path: Path, postgres_url: str) -> None:
    gate = asyncio.Event()
    async with scripted_llm(_held(gate)) as llm, AsyncExitStack() as stack:
        a = await stack.enter_async_context(_replica(tmp_path / "a", postgres_url, llm))
        logs = [Log(task_id) for task_id in await _all_in_mid_task(a)]
        b = await stack.enter_async_context(_replica(tmp_path / "b", postgres_url, llm))

        a.gateway.signal(signal.SIGSTOP)
        async with asyncio.timeout(90), asyncio.TaskGroup() as group:
            for number, log in enumerate(logs):
                group.create_task(_until_seen(log, b.clients, number, "task.started", 2))
        gate.set()  # the model answers both owners at once
        a.gateway.signal(signal.SIGCONT)
        async with asyncio.timeout(90), asyncio.TaskGroup() as group:
            for number, log in enumerate(logs):
                group.create_task(log.follow(b.clients[number]))

        for log in logs:
            events = [event for _, event in log.events]
            assert events[-1]["type"] == "task.succeeded"
            assert _starts(events) == [1, 2]
            assert _turns(events) == list(range(1, TURNS + 2))
        await _same_on_both(a, b, logs)
        last = await submit(a.clients.rest, "once more", agent_id="echo")
        assert (await ended(b.clients.grpc, last)).events[-1][1]["type"] == "task.succeeded"
        assert a.gateway.complaints() + b.gateway.complaints() == []


async def test_cut_database_connections_are_survived(tmp_path: Path, postgres_url: str) -> None:
    dice = random.Random(7)
    async with scripted_llm([*[TURN] * TURNS, says("done")]) as llm, AsyncExitStack() as stack:
        a, b = await _two(stack, tmp_path, postgres_url, llm)
        ids = [await submit((a, b)[number % 2].clients[number // 2], "work") for number in range(TASKS)]
        logs = [Log(task_id) for task_id in ids]

        async with asyncio.timeout(120), asyncio.TaskGroup() as group:
            for number, log in enumerate(logs):
                group.create_task(_persist(log, (a, b), number))
            for _ in range(5):
                await asyncio.sleep(dice.uniform(0.2, 0.8))  # a random moment
                await _cut_all(postgres_url)
            last_cut = time.perf_counter()
        print(f"database cut 5 times: all ended {time.perf_counter() - last_cut:.1f} s after the last cut")

        for log in logs:
            end = log.events[-1][1]
            assert end["type"] == "task.succeeded", f"{end} {a.gateway.log} {b.gateway.log}"
        await _same_on_both(a, b, logs)
        last = [await submit(one.clients.grpc, "afterwards", agent_id="echo") for one in (a, b)]
        for task_id in last:
            await ended(a.clients.rest, task_id)
            await ended(b.clients.rest, task_id)


async def _persist(log: Log, replicas: tuple[Replica, Replica], number: int) -> None:
    """Read to the end as a client does: when a stream breaks, go on from the cursor, elsewhere."""
    while not log.ended:
        number += 1
        try:
            await log.follow(replicas[number % 2].clients[number // 2])
        except CutError:
            continue
        except RefusedError as error:
            if error.reason != "STORAGE_UNAVAILABLE":
                raise


async def _cut_all(url: str) -> None:
    """End every connection to the database but our own."""
    connection = await asyncpg.connect(url, timeout=10)
    try:
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    finally:
        await connection.close()
