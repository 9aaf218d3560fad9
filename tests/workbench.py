"""The real service over SQLite, without engine and listeners: the test moves its tasks by hand."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from app.bootstrap.parts import Parts, open_parts
from app.bootstrap.service import build_service
from app.domain import lifecycle
from app.domain.call import CallContext
from app.domain.events import TaskEvent
from app.domain.identity import DEFAULT_TENANT, Principal, TenantId
from app.domain.ids import TaskId
from app.domain.secrets import Secret
from app.domain.tasks import Statistics, Task, TaskResult
from app.policy.admission import Admission
from app.policy.authentication.api_keys import ApiKeys
from app.policy.authentication.chain import AuthenticatorChain
from app.policy.authentication.static_keys import StaticKey, StaticKeys
from app.policy.authentication.stored_keys import StoredKeys
from app.service.agent_service import AgentService
from app.service.feeds import Feeds
from app.settings import Settings
from app.storage.base import Stores
from app.telemetry.metrics import Metrics
from app.telemetry.tracing import Tracing

KEY = "desk-key"
OTHER_KEY = "other-key"
"""Of another tenant."""


@dataclass(frozen=True, slots=True)
class Desk:
    """The service, and the hands of a worker."""

    parts: Parts
    service: AgentService
    admission: Admission
    spans: InMemorySpanExporter

    @property
    def stores(self) -> Stores:
        return self.parts.storage.stores

    @property
    def feeds(self) -> Feeds:
        return self.parts.feeds

    @property
    def metrics(self) -> Metrics:
        return self.parts.metrics

    @property
    def tracing(self) -> Tracing:
        return self.parts.tracing

    @property
    def call(self) -> CallContext:
        """A call of the desk, for what a test asks of the service itself."""
        return CallContext(principal=Principal(subject="desk"), request_id="test")

    async def claimed(self, task_id: str) -> Task:
        """A worker takes the task."""
        task = await self.stores.tasks.get(DEFAULT_TENANT, TaskId(task_id))
        decision = lifecycle.claimed(datetime.now(UTC), ticket=task.ticket, max_recoveries=5)
        return await self.stores.tasks.update(task.id, decision)

    async def reported(self, task_id: str, *events: TaskEvent) -> Task:
        """The owner reports events."""
        decision = lifecycle.progressed(datetime.now(UTC), *events)
        return await self.stores.tasks.update(TaskId(task_id), decision)

    async def succeeded(self, task_id: str, output: str = "done") -> Task:
        """The owner is done."""
        decision = lifecycle.succeeded(TaskResult(output=output), Statistics(turns=1), datetime.now(UTC))
        return await self.stores.tasks.update(TaskId(task_id), decision)


@asynccontextmanager
async def open_desk(
    path: Path, *, heartbeat: timedelta = timedelta(seconds=30), admission: Admission | None = None
) -> AsyncGenerator[Desk]:
    """A service with an empty database under `path`; by default two callers of two tenants may come in."""
    spans = InMemorySpanExporter()
    async with AsyncExitStack() as stack:
        settings = Settings.model_validate(
            {
                "storage": {"data_dir": path},
                "sandbox": {"max_open": 4, "workspace_bytes": 1_000_000, "workspace_files": 100},
            }
        )
        # A heartbeat this short is no setting.
        settings = settings.model_copy(
            update={"stream": settings.stream.model_copy(update={"heartbeat": heartbeat})}
        )
        parts = await open_parts(settings, stack, span_processors=[SimpleSpanProcessor(spans)])
        stack.callback(parts.feeds.drain)
        service = build_service(parts, running=lambda: 0)
        yield Desk(parts, service, admission or _admission(parts), spans)


def _admission(parts: Parts) -> Admission:
    desk, other = Principal(subject="desk"), Principal(subject="other", tenant=TenantId("other"))
    keys = [StaticKey(principal=desk, key=Secret(KEY)), StaticKey(principal=other, key=Secret(OTHER_KEY))]
    access = parts.access
    stored = StoredKeys(parts.storage.stores.credentials, now=parts.now)
    known = ApiKeys(StaticKeys(keys), stored, verified=access.verified, uses=access.uses)
    return Admission(AuthenticatorChain([known]))
