"""kill -9 at random moments, 20 tasks in flight: nothing acknowledged is lost, nothing happens twice."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.faults.clients import (
    ENDS,
    Clients,
    CutError,
    Log,
    check_journal,
    clients_of,
    is_cut,
    journal_of,
    percentile,
)
from tests.llm.script import Turn, calls, says
from tests.llm.server import ScriptedLLM, scripted_llm
from tests.parity.drivers import Plain, RefusedError
from tests.processes import GatewayProcess, gateway_process

pytestmark = [pytest.mark.faults]

IN_FLIGHT = 20
MOST_NEWS = 400
"""A process is killed after a random number of things that clients were told: acknowledgements and events."""
EARLY = 0.3
"""So many of the kills do not wait until 20 tasks are in flight again: they hit the recovery itself."""
PARKED = frozenset({"task.paused", "input.requested"})
ENDING_S = 60.0
WORK, ASK = "work in turns", "ask a person"
COMPUTE = "Compute (42 + 58) * 3, save the result to total.txt and read it back"
CALLS = (
    calls("calculator", expression="6 * 7"),
    calls("write_file", path="note.txt", content="kept"),
    calls("read_file", path="note.txt"),
)


def _script() -> dict[str, list[Turn]]:
    turns = [
        Turn(text=f"Step {number}. ", tool_calls=CALLS[number % 3].tool_calls, delay_s=0.05)
        for number in range(12)
    ]
    return {
        WORK: [*turns, says("worked")],
        ASK: [turns[0], calls("ask_user", question="Go on?"), *turns[2:5], says("asked")],
    }


@dataclass
class World:
    """What the clients were told, over the lives of all processes."""

    llm: ScriptedLLM
    dice: random.Random
    asked: dict[str, Plain] = field(default_factory=dict)
    """Every task ever asked for, by its idempotency key."""
    accepted: dict[str, str] = field(default_factory=dict)
    """The ids that were acknowledged, by key."""
    logs: dict[str, Log] = field(default_factory=dict)
    kills: int = 0
    in_flight: list[int] = field(default_factory=list)
    starts: list[float] = field(default_factory=list)

    def wish(self) -> Plain:
        """A task of a random kind. The scripted ones carry their own model and key."""
        kind = self.dice.choice(("echo", WORK, WORK, WORK, ASK, COMPUTE))
        if kind == "echo":
            return {"instruction": "echo this", "agent_id": "echo"}
        if kind == COMPUTE:
            return {"instruction": COMPUTE}
        model = {
            "model": "openai:scripted",
            "model_base_url": self.llm.openai_url,
            "model_api_key": "sk-scripted",
        }
        return {"instruction": kind, "configuration": model}

    def told(self) -> int:
        """How many acknowledgements and events there were so far."""
        return len(self.accepted) + sum(len(log.events) for log in self.logs.values())

    def open_tasks(self) -> list[str]:
        """Tasks whose end no client has seen."""
        return [task_id for task_id, log in self.logs.items() if not log.ended]

    def moving(self) -> int:
        """How many open tasks wait for nobody: those that are parked give no more news by themselves."""
        return sum(not log.ended and not _parked(log) for log in self.logs.values())


def _parked(log: Log) -> bool:
    """Whether the last thing heard of the task is that it waits for a person."""
    return bool(log.events) and log.events[-1][1]["type"] in PARKED


async def _until(holds: Callable[[], bool]) -> None:
    """Wait until the clients were told enough."""
    while not holds():
        await asyncio.sleep(0.005)


async def _until_cut(work: Awaitable[Any]) -> None:
    """Do it until the process dies."""
    try:
        await work
    except (CutError, httpx.TransportError):
        pass
    except RefusedError as error:
        if not is_cut(error):
            error.add_note(error.reason)
            raise


async def _keep_busy(world: World, clients: Clients, group: asyncio.TaskGroup) -> None:
    """Ask again for what was not acknowledged, with the same key; then keep 20 tasks in flight.

    Each task is watched over a random protocol; some are paused and resumed.
    """
    watched: set[str] = set()

    def watch(task_id: str) -> None:
        watched.add(task_id)
        driver = clients[world.dice.randrange(2)]
        group.create_task(_until_cut(world.logs[task_id].follow(driver)))

    for task_id in world.open_tasks():
        watch(task_id)
    lost = [key for key in world.asked if key not in world.accepted]
    while True:
        if not lost and world.moving() >= IN_FLIGHT:
            await asyncio.sleep(0.01)
            continue
        key = lost.pop() if lost else f"key-{len(world.asked)}"
        wanted = world.asked.setdefault(key, world.wish())
        driver = clients[world.dice.randrange(2)]
        task = await driver.call("TaskService/SubmitTask", task=wanted, request_id=key)
        assert world.accepted.setdefault(key, task["id"]) == task["id"]
        world.logs.setdefault(task["id"], Log(task["id"]))
        if task["id"] not in watched:
            watch(task["id"])
        if world.dice.random() < 0.3:
            group.create_task(_until_cut(_steer(world, clients, task["id"])))


async def _steer(world: World, clients: Clients, task_id: str) -> None:
    """Pause a task, and perhaps resume it; it may have ended before."""
    verbs = ["PauseTask", "ResumeTask"][: world.dice.choice((1, 2))]
    for verb in verbs:
        try:
            await clients[world.dice.randrange(2)].call(f"TaskService/{verb}", task_id=task_id)
        except RefusedError as error:
            if error.reason not in ("TASK_ENDED", "ILLEGAL_STATE"):
                raise


async def _life(world: World, data: Path) -> None:
    """One process, from its start to its kill."""
    began = time.perf_counter()
    async with gateway_process(data) as gateway, clients_of(gateway) as clients:
        world.starts.append(time.perf_counter() - began)
        async with asyncio.TaskGroup() as group:
            busy = group.create_task(_until_cut(_keep_busy(world, clients, group)))
            async with asyncio.timeout(60):
                if world.kills == 0 or world.dice.random() > EARLY:
                    await _until(lambda: world.moving() >= IN_FLIGHT)
                target = world.told() + world.dice.randrange(MOST_NEWS)
                await _until(lambda: world.told() >= target)
            world.in_flight.append(len(world.open_tasks()))
            await gateway.kill()
            world.kills += 1
            busy.cancel()
        assert gateway.complaints() == []


async def _settle(world: World, gateway: GatewayProcess, clients: Clients) -> None:
    """The last process: everything ends, when people answer and resume what they parked."""

    async def see_through(log: Log) -> None:
        while not log.ended:
            task = await clients.rest.call("TaskService/GetTask", task_id=log.task_id)
            await _unpark(clients, task)
            try:
                async with asyncio.timeout(1.0):
                    await log.follow(clients[world.dice.randrange(2)])
            except TimeoutError:
                pass

    lost = [key for key in world.asked if key not in world.accepted]
    for key in lost:
        task = await clients.grpc.call("TaskService/SubmitTask", task=world.asked[key], request_id=key)
        world.accepted[key] = task["id"]
        world.logs.setdefault(task["id"], Log(task["id"]))
    async with asyncio.timeout(ENDING_S), asyncio.TaskGroup() as group:
        for log in world.logs.values():
            group.create_task(see_through(log))
    assert gateway.complaints() == []


async def _unpark(clients: Clients, task: Plain) -> None:
    task_id = task["id"]
    try:
        if task["state"] == "paused" or task["pause_requested"]:
            await clients.grpc.call("TaskService/ResumeTask", task_id=task_id)
        for asked in task["pending_inputs"]:
            await clients.rest.call(
                "TaskService/ProvideInput", task_id=task_id, input_id=asked["id"], text="yes"
            )
    except RefusedError as error:
        if error.reason not in ("TASK_ENDED", "ILLEGAL_STATE", "NOT_WAITING"):
            raise


async def _check(world: World, clients: Clients) -> None:
    """Hold everything that any client was ever told against the journal."""
    listed: set[str] = set()
    cursor = ""
    while True:
        page = await clients.rest.call("TaskService/ListTasks", page_size=100, **_given(cursor=cursor))
        listed |= {task["id"] for task in page["tasks"]}
        assert all(f"task.{task['state']}" in ENDS for task in page["tasks"])
        cursor = page.get("next_cursor", "")
        if not cursor:
            break
    assert set(world.accepted.values()) == listed  # none lost, and none made twice by a retry
    endings: dict[str, int] = {}
    for task_id, log in world.logs.items():
        journals = {driver.name: await journal_of(driver, task_id) for driver in (clients.rest, clients.grpc)}
        whole = journals["rest"]
        check_journal(whole)
        assert [event for _, event in log.events] == [
            journals[protocol][event["seq"] - 1] for protocol, event in log.events
        ]
        end = whole[-1]
        ending = f"{end['type']} {end.get('reason', '')}".strip()
        endings[ending] = endings.get(ending, 0) + 1
        assert end["type"] == "task.succeeded" or end.get("reason") == "TOO_MANY_ATTEMPTS", end
    print(f"kills {world.kills}, tasks {len(listed)}, in flight at each {world.in_flight}, {endings}")
    print(f"start and recovery p50 {percentile(world.starts, 0.5):.2f} s, worst {max(world.starts):.2f} s")
    assert endings["task.succeeded"] >= 0.8 * len(listed)


def _given(**values: str) -> dict[str, str]:
    return {name: value for name, value in values.items() if value}


async def _run(data: Path, kills: int) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    async with scripted_llm(_script()) as llm:
        world = World(llm, random.Random(seed))
        for _ in range(kills):
            await _life(world, data)
        async with gateway_process(data) as gateway, clients_of(gateway) as clients:
            await _settle(world, gateway, clients)
            await _check(world, clients)
    assert percentile([float(count) for count in world.in_flight], 0.5) >= IN_FLIGHT


@pytest.mark.timeout(180)
async def test_nothing_acknowledged_is_lost_over_3_kills(tmp_path: Path) -> None:
    await _run(tmp_path, 3)


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_nothing_acknowledged_is_lost_over_30_kills(tmp_path: Path) -> None:
    await _run(tmp_path, 30)
