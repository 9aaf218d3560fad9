"""The fleet: one handle per sandbox, whatever crashes, closes or resists meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest

from app.domain.errors import IllegalTransitionError, SandboxCrashedError
from app.domain.identity import DEFAULT_TENANT
from app.domain.ids import SandboxId
from app.domain.sandboxes import Action, SandboxState, StepResult
from app.engine.fleet import Fleet
from app.sandboxes.base import OpenSandbox, SandboxSpec
from app.storage.base import Stores
from app.storage.sqlite.opening import open_sqlite
from tests.agents.toolbox import TinySandboxes

NOTHING = Action(type="wait")


class Handle:
    """A sandbox whose first action waits for `crash` and crashes."""

    kind = "local"
    capabilities = frozenset[str]()

    def __init__(self, provider: "Provider", spec: SandboxSpec, number: int) -> None:
        self.id = spec.id
        self.number = number
        self.closed = False
        self._provider = provider

    async def act(self, action: Action, *, timeout_s: float) -> StepResult:
        if self.closed:
            raise SandboxCrashedError("it was closed")
        if self.number == 1:
            self._provider.acting.set()
            await self._provider.crash.wait()
            raise SandboxCrashedError("crashed")
        now = datetime.now(UTC)
        return StepResult(action=action, status="ok", started_at=now, duration_s=0.0)

    async def screenshot(self) -> bytes:
        return b""

    async def close(self) -> None:
        self.closed = True


@dataclass
class Provider(TinySandboxes):
    """Numbers its handles; destroys when allowed to."""

    acting: asyncio.Event = field(default_factory=asyncio.Event)
    crash: asyncio.Event = field(default_factory=asyncio.Event)
    attach_gate: asyncio.Event | None = None
    attaching: asyncio.Event = field(default_factory=asyncio.Event)
    refused: set[SandboxId] = field(default_factory=set)
    handles: list[Handle] = field(default_factory=list)
    endpoint: str | None = None

    def _made(self, spec: SandboxSpec) -> OpenSandbox:
        self.handles.append(Handle(self, spec, len(self.handles) + 1))
        return self.handles[-1]

    async def create(self, spec: SandboxSpec) -> OpenSandbox:  # type: ignore[override]
        return self._made(spec)

    async def attach(self, spec: SandboxSpec) -> OpenSandbox:  # type: ignore[override]
        self.attaching.set()
        if self.attach_gate is not None:
            await self.attach_gate.wait()
        return self._made(spec)

    async def destroy(self, sandbox_id: SandboxId) -> None:
        if sandbox_id in self.refused:
            raise PermissionError("not yours")


@pytest.fixture
async def stores(tmp_path: Path) -> AsyncIterator[Stores]:
    async with open_sqlite(tmp_path / "gateway.db", on_commit=lambda events, queue: None) as stores:
        yield stores


def a_fleet(stores: Stores, provider: Provider, life: timedelta = timedelta(hours=1)) -> Fleet:
    numbers = count(1)
    return Fleet(
        {"local": provider},
        stores.sandboxes,
        stores.artifacts,
        max_open=10,
        max_life=life,
        now=lambda: datetime.now(UTC),
        mint=lambda prefix: f"{prefix}_{next(numbers)}",
    )


async def test_who_waited_while_the_handle_crashed_gets_a_new_one(stores: Stores) -> None:
    provider = Provider()
    fleet = a_fleet(stores, provider)
    sandbox = await fleet.open(DEFAULT_TENANT, "local")

    async with asyncio.TaskGroup() as group:
        first = group.create_task(_crashes(fleet, sandbox.id))
        await provider.acting.wait()
        others = [
            group.create_task(fleet.act(DEFAULT_TENANT, sandbox.id, NOTHING, timeout_s=1)) for _ in range(3)
        ]
        for _ in range(20):  # their records are read by threads
            await asyncio.sleep(0.005)
        provider.crash.set()

    assert first.result()
    assert [one.result().status for one in others] == ["ok"] * 3
    assert [handle.closed for handle in provider.handles] == [True, False]


async def _crashes(fleet: Fleet, sandbox_id: SandboxId) -> bool:
    with pytest.raises(SandboxCrashedError):
        await fleet.act(DEFAULT_TENANT, sandbox_id, NOTHING, timeout_s=1)
    return True


async def test_a_sandbox_that_is_destroyed_while_it_is_attached_stays_closed(stores: Stores) -> None:
    provider = Provider(attach_gate=asyncio.Event())
    fleet = a_fleet(stores, provider)
    sandbox = await fleet.open(DEFAULT_TENANT, "local")
    await fleet.release(sandbox.id)

    async with asyncio.TaskGroup() as group:
        acting = group.create_task(_settled(fleet, sandbox.id))
        await provider.attaching.wait()
        destroying = group.create_task(fleet.destroy(sandbox))
        for _ in range(20):
            await asyncio.sleep(0.005)
        provider.attach_gate.set()  # type: ignore[union-attr]
        await destroying

    await acting
    assert all(handle.closed for handle in provider.handles)
    with pytest.raises(IllegalTransitionError):
        await fleet.act(DEFAULT_TENANT, sandbox.id, NOTHING, timeout_s=1)


async def _settled(fleet: Fleet, sandbox_id: SandboxId) -> None:
    try:
        await fleet.act(DEFAULT_TENANT, sandbox_id, NOTHING, timeout_s=1)
    except (SandboxCrashedError, IllegalTransitionError):
        return


async def test_one_sandbox_that_cannot_be_destroyed_does_not_keep_the_others(stores: Stores) -> None:
    provider = Provider()
    fleet = a_fleet(stores, provider, timedelta(microseconds=1))
    opened = [await fleet.open(DEFAULT_TENANT, "local") for _ in range(3)]
    provider.refused = {opened[0].id}

    assert await fleet.sweep() == 2

    states = [(await stores.sandboxes.get(DEFAULT_TENANT, one.id)).state for one in opened]
    assert states == [SandboxState.OPEN, SandboxState.CLOSED, SandboxState.CLOSED]
