"""What every sandbox promises, whatever it is made of."""

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Protocol

from app.domain.artifacts import ArtifactRef
from app.domain.ids import SandboxId
from app.domain.sandboxes import Action, SandboxKind, StepResult

SaveArtifact = Callable[[str, str, bytes], Awaitable[ArtifactRef]]
"""`(name, media_type, data)` to a stored artifact; raises QuotaExceededError."""


class OpenSandbox(Protocol):
    """One open sandbox. Its methods may be called one at a time; `close` at any time."""

    @property
    def id(self) -> SandboxId: ...

    @property
    def kind(self) -> str: ...

    @property
    def capabilities(self) -> frozenset[str]:
        """Of `gui`, `a11y`, `browser`, `code:python`, `code:wasm`, `files`, `shell`."""
        ...

    async def act(self, action: Action, *, timeout_s: float) -> StepResult:
        """Carry out one action and read back what it did.

        Returns a result with status `ok`, or `failed` for what the action itself says (user code
        that raised, a file that is not there): the sandbox stays usable.

        Raises:
            InvalidRequestError: the action's arguments are wrong; the violation names the field.
            ActionNotSupportedError: this kind does not know the action.
            StepTimeoutError: `timeout_s` (seconds, > 0) passed; what ran is dead.
            SandboxViolationError, SandboxLimitError: an escape or a limit; what ran is dead.
            SandboxCrashedError: the sandbox is gone.
            SandboxUnavailableError: the service it lives on does not answer; it may still be there.

        Cancelling the caller kills what runs before the cancellation goes on, within 1 s.
        """
        ...

    async def screenshot(self) -> bytes:
        """The screen as PNG. Raises ActionNotSupportedError without the `gui` capability."""
        ...

    async def close(self) -> None:
        """Kill everything and free what was held; whoever acts gets SandboxCrashedError.

        Idempotent. Files are kept until `destroy`.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxSpec:
    """What a provider needs to open a sandbox."""

    id: SandboxId
    save_artifact: SaveArtifact


class SandboxProvider(Protocol):
    """A kind of sandbox."""

    @property
    def kind(self) -> str: ...

    @property
    def endpoint(self) -> str | None:
        """`host:port` of the service its sandboxes live on; None when they live in this process' hands.

        Calls to a service pass a circuit breaker (`sandboxes.guarded`). It must say so when it fails:
        SandboxUnavailableError is its own failure, SandboxCrashedError that of one sandbox.
        """
        ...

    async def probe(self) -> SandboxKind:
        """What works here and, if not all, why and how to install it. Cheap; may be cached."""
        ...

    async def create(self, spec: SandboxSpec) -> OpenSandbox:
        """Open a new one. Raises SandboxUnavailableError."""
        ...

    async def attach(self, spec: SandboxSpec) -> OpenSandbox:
        """Open an existing one again, after a restart or on another replica.

        Raises TargetNotFoundError if nothing of it is left here, SandboxUnavailableError if nobody can
        say now.
        """
        ...

    async def destroy(self, sandbox_id: SandboxId) -> None:
        """Remove what `close` kept. Idempotent."""
        ...

    async def reap(self, known: Collection[SandboxId]) -> None:
        """At start: destroy whatever this provider left behind that is not in `known`."""
        ...

    async def aclose(self) -> None:
        """Free what the provider itself holds (worker pools)."""
        ...
