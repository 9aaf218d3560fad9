"""A small gateway for tests of the loop: the real worker, runs, stores and catalog, without front ends."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic_ai.messages import ModelMessage
from pydantic_ai.models import Model
from pydantic_ai.models.test import TestModel

from app.agents.loop import LoopRuntime
from app.agents.transcript import decode
from app.domain import lifecycle
from app.domain.agents import DEFAULT_AGENT, AgentDefinition
from app.domain.configuration import TaskConfiguration, TaskLimits
from app.domain.events import (
    ArtifactCreated,
    JournaledEvent,
    SandboxOpened,
    StepFinished,
    TaskEvent,
    TextProduced,
)
from app.domain.identity import DEFAULT_TENANT
from app.domain.ids import SessionId, TaskId
from app.domain.sessions import Session
from app.domain.tasks import InputAnswer, Task, TaskSpec, TaskState
from app.engine.fleet import Fleet
from app.engine.run import Surroundings
from app.engine.worker import Worker
from app.models.building import ModelTimeouts
from app.models.catalog import ModelCatalog
from app.models.retry import RetryPolicy
from app.sandboxes.base import SandboxProvider
from app.storage.base import Stores
from app.storage.sqlite.opening import open_sqlite
from app.telemetry.tracing import Tracing
from app.tools.registry import ToolRegistry
from tests.agents.toolbox import TinySandboxes, ToolBox, a_toolbox
from tests.llm.server import ScriptedLLM
from tests.models.conftest import KEY, REFERENCES, FakeTime

DEADLINE_S = 20
MECHANICS = ("task.submitted", "task.queued", "task.started")


def now() -> datetime:
    return datetime.now(UTC)


class World:
    """One process; `restarted` gives the next one on the same database."""

    def __init__(
        self,
        stores: Stores,
        catalog: ModelCatalog,
        clock: FakeTime,
        tracing: Tracing,
        real: tuple[ToolRegistry, SandboxProvider] | None = None,
    ) -> None:
        """`real` are tools and a sandbox in place of the toolbox and the tiny one."""
        self._real = real
        self.stores = stores
        self.catalog = catalog
        self.clock = clock
        self.tools: ToolBox = a_toolbox()
        self.commits = 0
        self._ids = itertools.count(1)
        self._counted = _CountingTasks(stores.tasks, self)
        self._around_stores = replace(stores, tasks=self._counted)  # type: ignore[arg-type]
        self._tracing = tracing
        self.worker = self.a_worker()

    def a_worker(self) -> Worker:
        """As after a restart of the process: nothing is left in memory."""
        stores = self._around_stores
        fleet = Fleet(
            {"local": TinySandboxes() if self._real is None else self._real[1]},
            stores.sandboxes,
            stores.artifacts,
            max_open=10,
            max_life=timedelta(hours=1),
            now=now,
            mint=self.mint,
        )
        around = Surroundings(stores=stores, fleet=fleet, tracing=self._tracing, now=now)
        tools = self.tools if self._real is None else self._real[0]
        runtime = LoopRuntime(self.catalog, tools, tracing=self._tracing)
        return Worker(
            around,
            {"loop": runtime},
            unseal=bytes,
            max_recoveries=3,
            parked_ttl=timedelta(hours=1),
        )

    def mint(self, prefix: str) -> str:
        return f"{prefix}_{next(self._ids)}"

    async def submit(
        self,
        instruction: str,
        *,
        llm: ScriptedLLM | None = None,
        protocol: str = "openai-chat",
        session: SessionId | None = None,
        limits: TaskLimits | None = None,
        instructions: str = "",
        **configuration: Any,
    ) -> Task:
        """Accept a task, on the scripted LLM or on the interpreter."""
        if llm is not None:
            configuration |= {"model": REFERENCES[protocol], "model_base_url": llm.base_url(protocol)}
        task = Task(
            id=TaskId(self.mint("task")),
            tenant=DEFAULT_TENANT,
            subject="local",
            spec=TaskSpec(
                instruction=instruction,
                agent=AgentDefinition(id=DEFAULT_AGENT, tenant=DEFAULT_TENANT, instructions=instructions),
                session_id=session,
                configuration=TaskConfiguration(limits=limits or TaskLimits(), **configuration),
                has_credentials=llm is not None,
            ),
            state=TaskState.SUBMITTED,
            created_at=now(),
            updated_at=now(),
        )
        created = await self.stores.tasks.create(lifecycle.submitted(task), sealed_credentials=KEY.encode())
        return created.task

    async def session(self) -> SessionId:
        session = Session(
            id=SessionId(self.mint("session")), tenant=DEFAULT_TENANT, created_at=now(), updated_at=now()
        )
        return (await self.stores.sessions.add(session)).id

    async def run(self, task: Task, *, worker: Worker | None = None) -> Task:
        """Let the worker carry it out until it is parked or has ended."""
        worker = worker or self.a_worker()
        ticket = (await self.task(task)).ticket
        async with asyncio.timeout(DEADLINE_S), worker.opened():
            await worker.run(task.id, ticket)
        return await self.task(task)

    async def finish(self, instruction: str, **options: Any) -> Task:
        """Submit and run."""
        return await self.run(await self.submit(instruction, **options))

    async def answer(self, task: Task, answer: InputAnswer) -> Task:
        return await self.stores.tasks.update(task.id, lifecycle.answered(answer, now()))

    async def task(self, task: Task) -> Task:
        return await self.stores.tasks.get(DEFAULT_TENANT, task.id)

    async def journal(self, task: Task) -> list[JournaledEvent]:
        return await self.stores.journal.read(task.id, 0)

    async def events(self, task: Task, *kinds: type[TaskEvent]) -> list[Any]:
        """The task's events, all or those of some kinds."""
        return [e.event for e in await self.journal(task) if not kinds or isinstance(e.event, kinds)]

    async def story(self, task: Task) -> list[str]:
        """The types of the events, without the queue's and the sandbox's.

        Pieces of text count once: how many there are depends on how fast they came.
        """
        left_out = (SandboxOpened, StepFinished, ArtifactCreated)
        told: list[str] = []
        for event in await self.events(task):
            again = isinstance(event, TextProduced) and told[-1:] == [event.type]
            if event.type not in MECHANICS and not isinstance(event, left_out) and not again:
                told.append(event.type)
        return told

    async def messages(self, *tasks: Task) -> list[ModelMessage]:
        """What is stored of the conversation, message by message."""
        stored = await self.stores.tasks.transcript([task.id for task in tasks])
        return decode([raw for _, raw in stored])


class _CountingTasks:
    """The task store, counting what runs write."""

    def __init__(self, inner: Any, world: World) -> None:
        self._inner = inner
        self._world = world

    async def update(self, *args: Any, **kwargs: Any) -> Task:
        self._world.commits += 1
        return await self._inner.update(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


@asynccontextmanager
async def open_world(
    path: Path,
    *,
    interpreter: Model | None = None,
    tracing: Tracing | None = None,
    timeouts: dict[str, float] | None = None,
    real: tuple[ToolRegistry, SandboxProvider] | None = None,
) -> AsyncIterator[World]:
    """A world on a database of its own."""
    clock = FakeTime()
    catalog = ModelCatalog(
        interpreter=lambda: interpreter or TestModel(),
        policy=RetryPolicy(max_attempts=3, max_total_s=60, first_delay_s=1, max_delay_s=10),
        timeouts=ModelTimeouts(**(timeouts or {})),
        pace=clock.pace(),
    )
    try:
        async with open_sqlite(path / "gateway.db", on_commit=lambda events, queue: None) as stores:
            yield World(stores, catalog, clock, tracing or Tracing(), real)
    finally:
        await catalog.aclose()


def types(events: Sequence[TaskEvent]) -> list[str]:
    return [event.type for event in events]
