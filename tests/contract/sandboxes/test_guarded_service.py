"""Sandboxes on a service that fails, over real HTTP: left alone, found again, and not blamed for users."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from app.breakers.board import CircuitBoard
from app.domain.breaker import BreakerPolicy, CircuitState
from app.domain.errors import SandboxCrashedError, SandboxUnavailableError, StepTimeoutError
from app.domain.ids import SandboxId
from app.domain.sandboxes import Action, Availability
from app.sandboxes.base import SandboxProvider
from app.sandboxes.guarded import guarded
from app.sandboxes.local.provider import LocalProvider
from tests.contract.sandboxes.conftest import Kept
from tests.contract.sandboxes.service import HttpSandbox, Service, remote_service

WRITE = Action(type="write_file", arguments={"path": "a.txt", "content": "hello"})
READ = Action(type="read_file", arguments={"path": "a.txt"})
POLICY = BreakerPolicy(window_s=60, min_calls=4, failure_ratio=0.5, open_s=5, max_open_s=20, probes=1)


@dataclass
class Remote:
    service: Service
    provider: SandboxProvider
    board: CircuitBoard
    now_s: float = 0.0

    @property
    def state(self) -> CircuitState:
        (circuit,) = self.board.circuits()
        return circuit.state

    async def break_down(self) -> None:
        self.service.sick = True
        for _ in range(8):
            with pytest.raises(SandboxUnavailableError):
                await self.provider.destroy(SandboxId("nothing"))
        assert self.state is CircuitState.OPEN
        self.service.calls.clear()


@pytest.fixture
async def remote(tmp_path: Path) -> AsyncIterator[Remote]:
    async with remote_service(tmp_path) as (service, provider):
        board = CircuitBoard(POLICY, now_s=lambda: here.now_s)
        here = Remote(service, guarded(provider, board), board)
        yield here


async def test_one_whose_sandboxes_live_here_is_not_touched_at_all(tmp_path: Path) -> None:
    local = LocalProvider(tmp_path, max_workspace_bytes=1_000, max_workspace_files=2)

    assert guarded(local, CircuitBoard()) is local


async def test_a_healthy_service_works_as_without(remote: Remote, kept: Kept) -> None:
    sandbox = await remote.provider.create(kept.spec("a"))
    await sandbox.act(WRITE, timeout_s=5)
    again = await remote.provider.attach(kept.spec("a"))

    assert (await again.act(READ, timeout_s=5)).output == "hello"
    assert (again.id, again.kind, again.capabilities) == ("a", "http", frozenset({"files"}))


async def test_a_sick_service_is_left_alone_by_every_call(remote: Remote, kept: Kept) -> None:
    sandbox = await remote.provider.create(kept.spec("a"))
    await remote.break_down()
    refusals: list[SandboxUnavailableError] = []

    for call in (
        lambda: sandbox.act(READ, timeout_s=5),
        sandbox.screenshot,
        lambda: remote.provider.create(kept.spec("b")),
        lambda: remote.provider.attach(kept.spec("a")),
        lambda: remote.provider.destroy(SandboxId("a")),
        lambda: remote.provider.reap(()),
    ):
        with pytest.raises(SandboxUnavailableError) as refused:
            await call()
        refusals.append(refused.value)
    probed = await remote.provider.probe()

    assert remote.service.calls == []
    assert {error.retry_after for error in refusals} == {timedelta(seconds=5)}
    assert {error.facts["cause"] for error in refusals} == {"circuit_open"}
    assert (probed.availability, probed.kind) == (Availability.UNAVAILABLE, "http")
    assert probed.reasons


async def test_it_is_used_again_once_it_recovered(remote: Remote, kept: Kept) -> None:
    sandbox = await remote.provider.create(kept.spec("a"))
    await sandbox.act(WRITE, timeout_s=5)
    await remote.break_down()
    remote.service.sick = False
    remote.now_s = 5

    assert (await sandbox.act(READ, timeout_s=5)).output == "hello"
    assert remote.state is CircuitState.CLOSED


async def test_to_look_whether_it_is_there_is_a_try_like_any_other(remote: Remote) -> None:
    """Work is refused by what a probe says: when no work comes, the probe must find out."""
    remote.service.sick = True
    for _ in range(4):
        assert (await remote.provider.probe()).availability is Availability.UNAVAILABLE
    assert remote.state is CircuitState.OPEN
    remote.service.sick, remote.now_s = False, 5

    found = await remote.provider.probe()

    assert found.availability is Availability.OK
    assert remote.state is CircuitState.CLOSED


async def test_a_service_that_is_not_there_at_all_counts(remote: Remote, kept: Kept, tmp_path: Path) -> None:
    async with remote_service(tmp_path) as (_, gone):
        pass
    nowhere = guarded(type(gone)(int(gone.endpoint.split(":")[1])), remote.board)
    for _ in range(5):
        with pytest.raises(SandboxUnavailableError) as refused:
            await nowhere.create(kept.spec("a"))
    await nowhere.aclose()

    assert refused.value.facts["cause"] == "circuit_open"


@pytest.mark.parametrize(("fault", "error"), [("crashing", SandboxCrashedError), ("slow", StepTimeoutError)])
async def test_what_code_does_to_its_own_sandbox_opens_nothing(
    remote: Remote, kept: Kept, fault: str, error: type[Exception]
) -> None:
    sandbox = await remote.provider.create(kept.spec("a"))
    setattr(remote.service, fault, True)
    for _ in range(10):
        with pytest.raises(error):
            await sandbox.act(READ, timeout_s=5)

    assert remote.state is CircuitState.CLOSED


async def test_one_is_closed_even_while_its_service_is_left_alone(remote: Remote, kept: Kept) -> None:
    sandbox = await remote.provider.create(kept.spec("a"))
    await remote.break_down()

    await sandbox.close()

    inner = getattr(sandbox, "_inner")  # noqa: B009
    assert isinstance(inner, HttpSandbox)
    assert inner.closed
