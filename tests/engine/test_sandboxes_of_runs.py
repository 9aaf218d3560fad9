"""Sandboxes and the runs that use them: nobody closes another's, and none is left behind."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from app.agents.base import Finished, Outcome, Parked, Run
from app.domain.errors import NotFoundError
from app.domain.identity import Principal, TenantId
from app.domain.ids import SandboxId
from app.domain.sandboxes import Action, SandboxState, StepResult
from app.domain.tasks import TaskResult, TaskState
from app.sandboxes.base import OpenSandbox, SandboxSpec
from app.sandboxes.local.provider import LocalProvider
from app.sandboxes.local.sandbox import LocalSandbox
from tests.engine.motor import CALL, Motor, open_motor

WRITE = Action(type="write_file", arguments={"path": "note.txt", "content": "hello"})
STRANGER = replace(CALL, principal=Principal(subject="you", tenant=TenantId("others")))


@pytest.fixture
async def motor(tmp_path: Path) -> AsyncIterator[Motor]:
    async with open_motor(tmp_path) as motor:
        yield motor


async def works(run: Run) -> Outcome:
    return Finished(result=TaskResult(output="done"), statistics=run.statistics)


async def writes(run: Run) -> Outcome:
    await run.for_call("c").act(WRITE, timeout_s=10)
    return await works(run)


async def test_a_task_is_not_accepted_for_the_sandbox_of_another_tenant(motor: Motor) -> None:
    theirs = await motor.gateway.service.sandboxes.create(STRANGER)

    with pytest.raises(NotFoundError):
        await motor.submit("intrude", works, sandbox_id=theirs.id)


async def test_the_end_of_a_task_leaves_a_shared_sandbox_to_the_other(
    motor: Motor, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = await motor.gateway.service.sandboxes.create(CALL)
    acting, over = asyncio.Event(), asyncio.Event()
    real = LocalSandbox.act

    async def slow(self: LocalSandbox, action: Action, *, timeout_s: float) -> StepResult:
        acting.set()
        await over.wait()
        return await real(self, action, timeout_s=timeout_s)

    monkeypatch.setattr(LocalSandbox, "act", slow)
    long = await motor.submit("long", writes, sandbox_id=shared.id)
    await acting.wait()
    short = await motor.run("short", works, sandbox_id=shared.id)
    while motor.gateway.engine.running > 1:
        await asyncio.sleep(0)
    over.set()

    assert short.state is TaskState.SUCCEEDED
    assert (await motor.ended(long.id)).state is TaskState.SUCCEEDED


async def test_a_workspace_that_cannot_be_removed_does_not_hold_the_slot(
    motor: Motor, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(self: LocalProvider, sandbox_id: SandboxId) -> None:
        raise PermissionError("not yours")

    monkeypatch.setattr(LocalProvider, "destroy", refuse)

    task = await motor.run("writes", writes)
    await motor.idle()

    assert task.state is TaskState.SUCCEEDED


async def test_a_sandbox_that_opens_while_its_task_is_cancelled_is_not_left_behind(
    motor: Motor, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = LocalProvider.create
    cancelled = asyncio.Event()

    async def slow(self: LocalProvider, spec: SandboxSpec) -> OpenSandbox:
        opened = await real(self, spec)
        try:
            await cancelled.wait()
        except asyncio.CancelledError:
            pass  # it was as good as open
        return opened

    monkeypatch.setattr(LocalProvider, "create", slow)
    task = await motor.submit("writes", writes)
    async with asyncio.timeout(5):
        while not (await motor.gateway.service.sandboxes.page(CALL)).items:
            await asyncio.sleep(0.01)

    await motor.gateway.service.tasks.cancel(CALL, task.id)
    await motor.idle()

    sandboxes = (await motor.gateway.service.sandboxes.page(CALL)).items
    assert [s.state for s in sandboxes] == [SandboxState.CLOSED]


async def test_a_task_whose_sandbox_expired_while_it_was_parked_gets_a_new_one(tmp_path: Path) -> None:
    async with open_motor(tmp_path, sandbox={"max_life": timedelta(seconds=0.3)}) as motor:

        async def in_two_claims(run: Run) -> Outcome:
            await run.for_call("c").act(WRITE, timeout_s=10)
            if run.task.epoch > 1:
                return await works(run)
            await motor.gateway.service.tasks.pause(CALL, run.task.id)
            return Parked(statistics=run.statistics)

        task = await motor.submit("two", in_two_claims)
        async with asyncio.timeout(5):
            while (await motor.gateway.service.tasks.get(CALL, task.id)).state is not TaskState.PAUSED:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.4)  # its life is over by the clock of the process
        await motor.gateway.service.tasks.resume(CALL, task.id)
        ended = await motor.ended(task.id)

    assert ended.state is TaskState.SUCCEEDED
