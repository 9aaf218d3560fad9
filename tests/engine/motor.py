"""A whole gateway, whose `echo` agent does what the test says."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from app.agents.base import Outcome, Run
from app.bootstrap.agents import ECHO_AGENT
from app.bootstrap.gateway import Gateway, open_gateway
from app.domain.call import CallContext
from app.domain.identity import Principal
from app.domain.ids import TaskId
from app.domain.tasks import Task
from app.service.inputs import NewTask
from app.settings import Settings

CALL = CallContext(principal=Principal(subject="me"), request_id="r")
Mind = Callable[[Run], Awaitable[Outcome]]


@dataclass
class Motor:
    """The gateway and its agent."""

    gateway: Gateway
    minds: dict[str, Mind]

    async def submit(self, instruction: str, mind: Mind, **options: Any) -> Task:
        """Accept a task that this mind carries out."""
        self.minds[instruction] = mind
        new = NewTask(instruction=instruction, agent_id=ECHO_AGENT, **options)
        return (await self.gateway.service.tasks.submit(CALL, new)).task

    async def ended(self, task_id: TaskId) -> Task:
        """The task once it is terminal."""
        return await self.gateway.service.tasks.wait_ended(CALL, task_id, timedelta(seconds=20))

    async def run(self, instruction: str, mind: Mind, **options: Any) -> Task:
        """Submit and wait for the end."""
        return await self.ended((await self.submit(instruction, mind, **options)).id)

    async def idle(self) -> None:
        """Wait until nothing runs any more, tidying up included."""
        async with asyncio.timeout(20):
            while self.gateway.engine.running:
                await asyncio.sleep(0)


class Scripted:
    """Makes `AgentRuntime` of the motor's minds."""

    def __init__(self, minds: dict[str, Mind]) -> None:
        self._minds = minds

    async def run(self, run: Run) -> Outcome:
        return await self._minds[run.task.spec.instruction](run)


@asynccontextmanager
async def open_motor(path: Path, **sections: dict[str, Any]) -> AsyncIterator[Motor]:
    """A motor on a directory of its own; `sections` are settings."""
    values: dict[str, Any] = {"rest": {"port": 0}, "grpc": {"enabled": False}, "storage": {"data_dir": path}}
    minds: dict[str, Mind] = {}
    settings = Settings(**(values | sections))  # pyright: ignore[reportArgumentType]
    async with open_gateway(settings, runtimes={"echo": Scripted(minds)}) as gateway:
        yield Motor(gateway, minds)
