"""A circuit breaker around sandboxes that live on a service of their own.

Whoever asks while the circuit is open gets SANDBOX_UNAVAILABLE at once, with the time after which
there is a chance. What user code does (a crash, a limit, a step that takes too long) opens nothing.
"""

from collections.abc import Collection, Generator
from contextlib import contextmanager
from dataclasses import replace

from app.breakers.board import Attempt, CircuitBoard, CircuitOpenError, Target
from app.domain.breaker import Verdict
from app.domain.errors import SandboxUnavailableError
from app.domain.ids import SandboxId
from app.domain.sandboxes import Action, Availability, SandboxKind, StepResult
from app.sandboxes.base import OpenSandbox, SandboxProvider, SandboxSpec


def guarded(provider: SandboxProvider, board: CircuitBoard) -> SandboxProvider:
    """The provider behind a circuit; one whose sandboxes live here is given back as it is."""
    return provider if provider.endpoint is None else GuardedProvider(provider, board)


def verdict_of(error: BaseException) -> Verdict:
    """Only what the service itself fails with counts: it says so, or nobody answers."""
    fails = isinstance(error, SandboxUnavailableError | OSError)  # TimeoutError is an OSError
    return Verdict.FAILURE if fails else Verdict.NEUTRAL


class _Guard:
    """The circuit of one service."""

    def __init__(self, board: CircuitBoard, target: Target) -> None:
        self._board = board
        self._target = target

    @contextmanager
    def call(self) -> Generator[Attempt]:
        """One call to the service. Raises SandboxUnavailableError when it is not to be made."""
        try:
            with self._board.circuit(self._target).attempt(verdict_of) as attempt:
                yield attempt
        except CircuitOpenError as refused:
            raise SandboxUnavailableError(
                f"the service behind {self._target.label} sandboxes failed too often; it is left alone",
                retry_after=refused.retry_after,
                cause="circuit_open",
            ) from None


class GuardedProvider:
    """Makes `SandboxProvider` of one that declares an `endpoint`."""

    def __init__(self, inner: SandboxProvider, board: CircuitBoard) -> None:
        self._inner = inner
        self._guard = _Guard(board, Target(kind="sandbox", label=inner.kind, host=inner.endpoint or ""))
        self._probed: SandboxKind | None = None

    @property
    def kind(self) -> str:
        return self._inner.kind

    @property
    def endpoint(self) -> str | None:
        return self._inner.endpoint

    async def probe(self) -> SandboxKind:
        """What the service says; while it is left alone, what it said last, and why it is not there."""
        try:
            with self._guard.call() as attempt:
                probed = await self._inner.probe()
                if probed.availability is Availability.UNAVAILABLE:
                    attempt.settle(Verdict.FAILURE)
                else:
                    self._probed = probed
                return probed
        except SandboxUnavailableError as error:
            known = self._probed or SandboxKind(
                kind=self.kind, description="", availability=Availability.UNAVAILABLE
            )
            return replace(known, availability=Availability.UNAVAILABLE, reasons=(error.message,))

    async def create(self, spec: SandboxSpec) -> OpenSandbox:
        """See `SandboxProvider`."""
        with self._guard.call():
            made = await self._inner.create(spec)
        return GuardedSandbox(made, self._guard)

    async def attach(self, spec: SandboxSpec) -> OpenSandbox:
        """See `SandboxProvider`."""
        with self._guard.call():
            made = await self._inner.attach(spec)
        return GuardedSandbox(made, self._guard)

    async def destroy(self, sandbox_id: SandboxId) -> None:
        """See `SandboxProvider`; the sweep comes again when the service is left alone."""
        with self._guard.call():
            await self._inner.destroy(sandbox_id)

    async def reap(self, known: Collection[SandboxId]) -> None:
        """See `SandboxProvider`."""
        with self._guard.call():
            await self._inner.reap(known)

    async def aclose(self) -> None:
        """See `SandboxProvider`; always tried."""
        await self._inner.aclose()


class GuardedSandbox:
    """Makes `OpenSandbox`. To close one is always tried: what runs must die."""

    def __init__(self, inner: OpenSandbox, guard: _Guard) -> None:
        self._inner = inner
        self._guard = guard

    @property
    def id(self) -> SandboxId:
        return self._inner.id

    @property
    def kind(self) -> str:
        return self._inner.kind

    @property
    def capabilities(self) -> frozenset[str]:
        return self._inner.capabilities

    async def act(self, action: Action, *, timeout_s: float) -> StepResult:
        """See `OpenSandbox`."""
        with self._guard.call():
            return await self._inner.act(action, timeout_s=timeout_s)

    async def screenshot(self) -> bytes:
        """See `OpenSandbox`."""
        with self._guard.call():
            return await self._inner.screenshot()

    async def close(self) -> None:
        """See `OpenSandbox`."""
        await self._inner.close()
