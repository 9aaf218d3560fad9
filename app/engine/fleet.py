"""The open sandboxes of this process: one owner for every handle, one action at a time each."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol

from app.domain.artifacts import ArtifactRef
from app.domain.errors import (
    DomainError,
    IllegalTransitionError,
    InvalidRequestError,
    QuotaExceededError,
    SandboxCrashedError,
    SandboxUnavailableError,
)
from app.domain.identity import TenantId
from app.domain.ids import SandboxId, SessionId, TaskId
from app.domain.sandboxes import Action, Sandbox, SandboxKind, SandboxState, StepResult
from app.sandboxes.base import OpenSandbox, SandboxProvider, SandboxSpec
from app.storage.base import ArtifactStore, SandboxStore
from app.telemetry.outcomes import timed

log = logging.getLogger(__name__)
CLOSE_TIMEOUT_S = 5.0


class SandboxObserver(Protocol):
    """Told what happens to sandboxes, on the event loop; must neither block nor raise."""

    def created(self, kind: str) -> None:
        """A new one was opened."""
        ...

    def acted(self, kind: str, action: str, outcome: str, duration_s: float) -> None:
        """An action is over: `ok`, `failed`, `CANCELLED` or the error's reason."""
        ...


@dataclass(slots=True)
class _Docking:
    """Lets one at a time attach or destroy a sandbox; gone when nobody uses it."""

    users: int = 0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(slots=True)
class _Berth:
    """One handle, the lock that serialises its actions, and the task they count for."""

    sandbox: OpenSandbox
    task_id: TaskId | None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Fleet:
    """Opens, lends and closes sandboxes; their records make them survive this process."""

    def __init__(
        self,
        providers: Mapping[str, SandboxProvider],
        records: SandboxStore,
        artifacts: ArtifactStore,
        *,
        max_open: int,
        max_life: timedelta,
        now: Callable[[], datetime],
        mint: Callable[[str], str],
        observer: SandboxObserver | None = None,
    ) -> None:
        self._providers = providers
        self._records = records
        self._artifacts = artifacts
        self._max_open = max_open
        self._max_life = max_life
        self._now = now
        self._mint = mint
        self._observer = observer
        self._berths: dict[SandboxId, _Berth] = {}
        self._docking: dict[SandboxId, _Docking] = {}
        self._opening = 0

    async def kinds(self) -> list[SandboxKind]:
        """Every kind and whether it can be opened here."""
        return [await provider.probe() for provider in self._providers.values()]

    def knows(self, kind: str) -> bool:
        """Whether there is such a kind at all."""
        return kind in self._providers

    async def probe(self, kind: str) -> SandboxKind:
        """Raises InvalidRequestError for an unknown kind."""
        return await self._provider(kind).probe()

    async def open(
        self,
        tenant: TenantId,
        kind: str,
        *,
        task_id: TaskId | None = None,
        session_id: SessionId | None = None,
        max_life: timedelta | None = None,
    ) -> Sandbox:
        """Open a new sandbox and record it.

        Raises InvalidRequestError (unknown kind), QuotaExceededError, SandboxUnavailableError.
        """
        provider = self._provider(kind)
        if len(self._berths) + self._opening >= self._max_open:
            raise QuotaExceededError(
                f"{self._max_open} sandboxes are open on this server",
                retry_after=timedelta(seconds=5),
                limit="max_open_sandboxes",
            )
        self._opening += 1
        try:
            now = self._now()
            record = Sandbox(
                id=SandboxId(self._mint("sandbox")),
                tenant=tenant,
                kind=kind,
                state=SandboxState.OPEN,
                created_at=now,
                expires_at=now + (max_life or self._max_life),
                task_id=task_id,
                session_id=session_id,
            )
            await self._records.add(record)
            try:
                handle = await provider.create(self._spec(record, task_id))
            except BaseException:
                with suppress(DomainError):  # then its record expires; what went wrong is told
                    await asyncio.shield(self._records.set_state(record.id, SandboxState.LOST))
                raise
            self._berths[record.id] = _Berth(handle, task_id)
            if self._observer is not None:
                self._observer.created(kind)
            return record
        finally:
            self._opening -= 1

    async def act(
        self,
        tenant: TenantId,
        sandbox_id: SandboxId,
        action: Action,
        *,
        timeout_s: float,
        task_id: TaskId | None = None,
    ) -> StepResult:
        """One action, after those asked for before it. Raises what `OpenSandbox.act` raises,
        NotFoundError, and IllegalTransitionError for a sandbox that is not open."""
        async with self._turn(tenant, sandbox_id) as berth:
            berth.task_id = task_id
            try:
                return await self._acted(berth.sandbox, action, timeout_s=timeout_s)
            except SandboxCrashedError:
                if self._berths.get(sandbox_id) is berth:
                    del self._berths[sandbox_id]
                await asyncio.shield(self._shut(berth.sandbox))
                raise

    @property
    def remote_kinds(self) -> list[str]:
        """Kinds whose sandboxes live on a service elsewhere, which may be away."""
        return [kind for kind, provider in self._providers.items() if provider.endpoint is not None]

    @property
    def open_by_kind(self) -> Counter[str]:
        """How many sandboxes this process holds open, by kind."""
        return Counter(berth.sandbox.kind for berth in list(self._berths.values()))

    async def screenshot(self, tenant: TenantId, sandbox_id: SandboxId) -> ArtifactRef:
        """Take a screenshot and keep it. Raises NotFoundError, ActionNotSupportedError."""
        async with self._turn(tenant, sandbox_id) as berth:
            png = await berth.sandbox.screenshot()
        return await self._artifacts.put(
            tenant, png, name="screenshot.png", media_type="image/png", task_id=berth.task_id
        )

    async def release(self, sandbox_id: SandboxId, *, task_id: TaskId | None = None) -> None:
        """Kill what runs and give the handle up; files stay, and the next user attaches again.

        With `task_id`: unless somebody else was the last to act in it, whom it is left to.
        """
        berth = self._berths.get(sandbox_id)
        if berth is not None and (task_id is None or berth.task_id == task_id):
            del self._berths[sandbox_id]
            await self._shut(berth.sandbox)

    async def destroy(self, sandbox: Sandbox) -> None:
        """Close it and remove what it kept. Idempotent."""
        async with self._docked(sandbox.id):
            await self.release(sandbox.id)
            provider = self._providers.get(sandbox.kind)
            if provider is not None:
                await provider.destroy(sandbox.id)
            await self._records.set_state(sandbox.id, SandboxState.CLOSED)

    async def sweep(self) -> int:
        """Destroy every sandbox whose life is over; returns how many. One that resists is tried again."""
        now = self._now()
        over = [
            s
            for s in await self._records.open_sandboxes()
            if s.expires_at is not None and s.expires_at <= now
        ]
        destroyed = 0
        for sandbox in over:
            try:
                await self.destroy(sandbox)
                destroyed += 1
            except Exception:
                log.exception("sandbox %s could not be destroyed", sandbox.id)
        return destroyed

    async def reap(self) -> None:
        """At start: remove what an earlier process left without a record."""
        known = {sandbox.id for sandbox in await self._records.open_sandboxes()}
        for provider in self._providers.values():
            await provider.reap(known)

    async def aclose(self) -> None:
        """Close every handle; records and files stay for the next start."""
        berths, self._berths = list(self._berths.values()), {}
        await asyncio.gather(*(self._shut(berth.sandbox) for berth in berths))
        for provider in self._providers.values():
            await provider.aclose()

    @asynccontextmanager
    async def _turn(self, tenant: TenantId, sandbox_id: SandboxId) -> AsyncGenerator[_Berth]:
        """The sandbox for one action. A handle that was closed while this waited is not used."""
        while True:
            berth = await self._berth(tenant, sandbox_id)
            async with berth.lock:
                if self._berths.get(sandbox_id) is berth:
                    yield berth
                    return

    @asynccontextmanager
    async def _docked(self, sandbox_id: SandboxId) -> AsyncGenerator[None]:
        docking = self._docking.setdefault(sandbox_id, _Docking())
        docking.users += 1
        try:
            async with docking.lock:
                yield
        finally:
            docking.users -= 1
            if not docking.users:
                del self._docking[sandbox_id]

    async def _berth(self, tenant: TenantId, sandbox_id: SandboxId) -> _Berth:
        async with self._docked(sandbox_id):
            record = await self._records.get(tenant, sandbox_id)
            over = record.expires_at is not None and record.expires_at <= self._now()
            if record.state is not SandboxState.OPEN or over:
                message = f"sandbox {sandbox_id} is not open any more"
                raise IllegalTransitionError(message, sandbox_id=sandbox_id)
            return self._berths.get(sandbox_id) or await self._attach(record)

    async def _attach(self, record: Sandbox) -> _Berth:
        try:
            handle = await self._provider(record.kind).attach(self._spec(record, record.task_id))
        except SandboxUnavailableError:
            raise  # it may be there again when its service is
        except DomainError:
            await self._records.set_state(record.id, SandboxState.LOST)
            raise
        berth = self._berths[record.id] = _Berth(handle, record.task_id)
        return berth

    def _spec(self, record: Sandbox, task_id: TaskId | None) -> SandboxSpec:
        async def save(name: str, media_type: str, data: bytes) -> ArtifactRef:
            berth = self._berths.get(record.id)
            owner = berth.task_id if berth else task_id
            return await self._artifacts.put(
                record.tenant, data, name=name, media_type=media_type, task_id=owner
            )

        return SandboxSpec(id=record.id, save_artifact=save)

    def _provider(self, kind: str) -> SandboxProvider:
        provider = self._providers.get(kind)
        if provider is None:
            known = ", ".join(sorted(self._providers))
            raise InvalidRequestError.of(
                "kind", f"no sandbox kind {kind!r}; there are: {known}", "UNKNOWN_KIND"
            )
        return provider

    async def _acted(self, sandbox: OpenSandbox, action: Action, *, timeout_s: float) -> StepResult:
        if self._observer is None:
            return await sandbox.act(action, timeout_s=timeout_s)
        with timed(partial(self._observer.acted, sandbox.kind, action.type)) as outcome:
            result = await sandbox.act(action, timeout_s=timeout_s)
            outcome.word = result.status
        return result

    async def _shut(self, sandbox: OpenSandbox) -> None:
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await sandbox.close()
        except TimeoutError:
            log.error("sandbox %s did not close within %s s", sandbox.id, CLOSE_TIMEOUT_S)
        except Exception:
            log.exception("sandbox %s did not close", sandbox.id)
