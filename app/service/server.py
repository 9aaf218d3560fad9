"""Use cases about the server itself, and the models it can use."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from time import monotonic
from typing import Protocol

from app.domain.call import CallContext
from app.domain.tasks import TaskState
from app.service.configuration import ConfigurationUseCases
from app.storage.base import TaskStore

COUNT_AGE_S = 1.0
"""Seconds that a counted number of queued tasks is told again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """A model reference that tasks may use; see the `Model` message."""

    id: str
    provider: str
    available: bool
    unavailable_reason: str | None = None
    deterministic: bool = False


class ModelDirectory(Protocol):
    """What the model catalog tells callers."""

    def models(self) -> Sequence[ModelInfo]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerIdentity:
    """What does not change while the process lives."""

    name: str
    version: str
    instance_id: str
    started_at: datetime
    storage: str
    max_concurrent_tasks: int
    max_queued_tasks: int
    services: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerInfo:
    """The server now."""

    identity: ServerIdentity
    default_model: str
    running_tasks: int
    queued_tasks: int
    draining: bool


class ModelUseCases:
    """Which models there are."""

    def __init__(self, directory: ModelDirectory, configuration: ConfigurationUseCases) -> None:
        self._directory = directory
        self._configuration = configuration

    async def list(self, call: CallContext) -> tuple[Sequence[ModelInfo], str]:
        """The models, and the one that a task of this tenant uses when it names none."""
        return self._directory.models(), await self.default(call)

    async def default(self, call: CallContext) -> str:
        """The model reference of a task that names none."""
        return (await self._configuration.effective(call)).model or "interpreter"


class ServerUseCases:
    """What this process is and how busy."""

    def __init__(
        self,
        identity: ServerIdentity,
        tasks: TaskStore,
        models: ModelUseCases,
        *,
        running: Callable[[], int],
        draining: Callable[[], bool],
    ) -> None:
        self._identity = identity
        self._tasks = tasks
        self._models = models
        self._running = running
        self._draining = draining
        self._counted_at = -COUNT_AGE_S
        self._queued = 0

    async def info(self, call: CallContext) -> ServerInfo:
        """Name, version, storage, bounds and load."""
        return ServerInfo(
            identity=self._identity,
            default_model=await self._models.default(call),
            running_tasks=self._running(),
            queued_tasks=await self._count_queued(),
            draining=self._draining(),
        )

    async def _count_queued(self) -> int:
        if monotonic() - self._counted_at >= COUNT_AGE_S:
            self._counted_at = monotonic()
            self._queued = await self._tasks.count(frozenset({TaskState.QUEUED}))
        return self._queued
