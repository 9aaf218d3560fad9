"""What every store promises. Two makes: SQLite (one process) and PostgreSQL (many replicas).

Acknowledged means committed: every method that writes returns after COMMIT. Every write may raise
`StorageUnavailableError` (nothing was kept). Cancelling a caller does not undo a write that was
already handed to the writer.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from app.domain.agents import AgentDefinition
from app.domain.artifacts import Artifact, ArtifactRef
from app.domain.audit import AuditDraft
from app.domain.configuration import GlobalConfiguration
from app.domain.events import JournaledEvent
from app.domain.identity import TenantId
from app.domain.ids import AgentId, Digest, SandboxId, SessionId, TaskId
from app.domain.lifecycle import Change, Decision
from app.domain.paging import Page
from app.domain.sandboxes import Sandbox, SandboxState
from app.domain.sessions import Session
from app.domain.tasks import Task, TaskState
from app.storage.base_access import BrowserSessionStore, StreamTicketStore
from app.storage.base_audit import AuditStore
from app.storage.base_budgets import BudgetStore
from app.storage.base_credentials import CredentialStore
from app.storage.base_idempotency import IdempotencyStore
from app.storage.base_webhooks import DeliveryStore, WebhookStore


@dataclass(frozen=True, slots=True, kw_only=True)
class IdempotencyRecord:
    """One key, scoped by tenant and `scope` (subject and use case), and its payload's hash."""

    scope: str
    key: str
    fingerprint: str
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Created:
    """`replayed` when the idempotency key was seen before: `task` is the first one."""

    task: Task
    replayed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFilter:
    """None is 'any'; `metadata` pairs must all match."""

    states: frozenset[TaskState] | None = None
    session_id: SessionId | None = None
    agent_id: AgentId | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    metadata: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueEntry:
    """A task put on the queue; a higher `priority` is served first.

    The priority is minus the number of tasks the tenant had queued already: so tenants take turns,
    however many tasks one of them submits at once (start-time fair queueing).
    """

    task_id: TaskId
    tenant: TenantId
    priority: int
    ticket: int = 0
    """`Task.ticket` when it was queued: an entry left over from before is recognised by it."""


OnCommit = Callable[[Sequence[JournaledEvent], Sequence[QueueEntry]], None]
"""Told on the event loop after each commit, in commit order; must neither block nor raise."""


class TaskStore(Protocol):
    """Task rows, their transcripts and sealed credentials. Every write is one transaction.

    A write that is given an `audit` draft commits its entry, too, about the task, and marks it written.
    """

    async def create(
        self,
        change: Change,
        *,
        idempotency: IdempotencyRecord | None = None,
        sealed_credentials: bytes | None = None,
        max_queued: int | None = None,
        max_unfinished: int | None = None,
        audit: AuditDraft | None = None,
    ) -> Created:
        """Insert `change.task` (a SUBMITTED task already moved on) with its first events.

        Counts it in its session (`task_count`, `last_task_id`) in the same transaction.

        Raises:
            IdempotencyMismatchError: the key was used with another fingerprint.
            NotFoundError: no such session for this tenant.
            SessionBusyError: the session's last task has not ended.
            QueueFullError: `max_queued` tasks are queued already (all tenants).
            RateLimitedError: `max_unfinished` tasks of this tenant are queued or running.
        """
        ...

    async def update(
        self,
        task_id: TaskId,
        decide: Decision,
        *,
        tenant: TenantId | None = None,
        epoch: int | None = None,
        audit: AuditDraft | None = None,
    ) -> Task:
        """Commit what `decide` makes of the task as it stands; return the new row.

        `decide` runs inside the transaction, possibly on another thread, possibly twice (retry):
        it must be pure. Events get the next dense `seq`s. Credentials are dropped when the task
        becomes terminal.

        Raises:
            NotFoundError: no such task, or not this tenant's.
            StaleOwnerError: `epoch` is given and is not the task's.
            DomainError: whatever `decide` raised; nothing was written.
        """
        ...

    async def get(self, tenant: TenantId, task_id: TaskId) -> Task:
        """The task as last committed (linearizable). Raises NotFoundError."""
        ...

    async def find(self, task_id: TaskId) -> Task | None:
        """The task of any tenant: for the engine only, never for a caller."""
        ...

    async def page(self, tenant: TenantId, where: TaskFilter, *, size: int, cursor: str | None) -> Page[Task]:
        """Newest first; stable while tasks are added. Raises InvalidCursorError."""
        ...

    async def delete(self, tenant: TenantId, task_id: TaskId) -> None:
        """Forget an ended task, its events, transcript and artifact claims.

        Raises NotFoundError, IllegalTransitionError (it has not ended).
        """
        ...

    async def transcript(self, task_ids: Sequence[TaskId]) -> list[tuple[TaskId, bytes]]:
        """The encoded model messages of these tasks, in the order given, then as appended."""
        ...

    async def session_tasks(self, session_id: SessionId) -> list[TaskId]:
        """The tasks of a session, oldest first."""
        ...

    async def credentials(self, task_id: TaskId) -> bytes | None:
        """The sealed credentials given at `create`, while the task has not ended."""
        ...

    async def overdue(self, at: datetime, *, limit: int) -> list[TaskId]:
        """Tasks whose `expires_at` passed and that are neither running nor ended."""
        ...

    async def unfinished(self) -> list[QueueEntry]:
        """Every queued or running task, oldest first: what an embedded process re-queues at start."""
        ...

    async def count(self, states: frozenset[TaskState]) -> int:
        """How many tasks (all tenants) are in these states."""
        ...


class EventJournal(Protocol):
    """Reads of what `TaskStore` committed. Callers have checked the tenant."""

    async def read(self, task_id: TaskId, after: int, *, limit: int = 500) -> list[JournaledEvent]:
        """The events with `seq > after`, in order, at most `limit`."""
        ...

    async def read_tenant(self, tenant: TenantId, after: int, *, limit: int = 500) -> list[JournaledEvent]:
        """The tenant's events with `position > after`, in order, at most `limit`."""
        ...

    async def positions(self, tenant: TenantId) -> tuple[int, int]:
        """The first kept and the last committed `position` of the tenant; (1, 0) when none."""
        ...


class ArtifactStore(Protocol):
    """Bytes by content. `put` is idempotent; a digest is readable only by tenants that claimed it."""

    async def put(
        self, tenant: TenantId, data: bytes, *, name: str, media_type: str, task_id: TaskId | None
    ) -> ArtifactRef:
        """Keep the bytes durably and claim them. Raises QuotaExceededError beyond the size limit."""
        ...

    async def get(self, tenant: TenantId, digest: Digest) -> Artifact:
        """Raises NotFoundError."""
        ...

    async def read(
        self, tenant: TenantId, digest: Digest, *, offset: int = 0, length: int | None = None
    ) -> bytes:
        """`length` bytes from `offset` (fewer at the end). Raises NotFoundError."""
        ...

    async def of_task(self, tenant: TenantId, task_id: TaskId) -> list[Artifact]:
        """What a task made, in the order it was made."""
        ...


class SessionStore(Protocol):
    """Sessions; `create`d tasks count themselves in."""

    async def add(self, session: Session) -> Session:
        """Raises AlreadyExistsError."""
        ...

    async def get(self, tenant: TenantId, session_id: SessionId) -> Session:
        """Raises NotFoundError."""
        ...

    async def page(self, tenant: TenantId, *, size: int, cursor: str | None) -> Page[Session]:
        """Newest first. Raises InvalidCursorError."""
        ...

    async def keep_sandbox(self, session_id: SessionId, sandbox_id: SandboxId | None, at: datetime) -> None:
        """Remember the sandbox that the next task of the session works in."""
        ...

    async def delete(self, tenant: TenantId, session_id: SessionId) -> None:
        """Forget the session; its tasks stay. Raises NotFoundError, SessionBusyError."""
        ...


class AgentStore(Protocol):
    """A tenant's own agent definitions (built-in ones are not stored)."""

    async def add(self, agent: AgentDefinition) -> AgentDefinition:
        """Raises AlreadyExistsError."""
        ...

    async def get(self, tenant: TenantId, agent_id: AgentId) -> AgentDefinition:
        """Raises NotFoundError."""
        ...

    async def page(self, tenant: TenantId, *, size: int, cursor: str | None) -> Page[AgentDefinition]:
        """By id. Raises InvalidCursorError."""
        ...

    async def replace(self, agent: AgentDefinition, *, expected_version: int) -> AgentDefinition:
        """Store with version `expected_version + 1`. Raises NotFoundError, StaleVersionError."""
        ...

    async def delete(
        self, tenant: TenantId, agent_id: AgentId, *, expected_version: int | None = None
    ) -> None:
        """Raises NotFoundError, StaleVersionError."""
        ...


class ConfigurationStore(Protocol):
    """A tenant's global configuration; the API key is kept sealed, apart."""

    async def load(self, tenant: TenantId) -> tuple[GlobalConfiguration, bytes | None]:
        """The configuration without its key, and the sealed key; version 0 when never set."""
        ...

    async def save(
        self,
        tenant: TenantId,
        configuration: GlobalConfiguration,
        sealed_key: bytes | None,
        *,
        expected_version: int,
    ) -> GlobalConfiguration:
        """Store with version `expected_version + 1`. Raises StaleVersionError."""
        ...


class SandboxStore(Protocol):
    """Records of sandboxes, so that a restart finds or reaps them."""

    async def add(self, sandbox: Sandbox) -> None:
        """Insert a record; the id is new."""
        ...

    async def get(self, tenant: TenantId, sandbox_id: SandboxId) -> Sandbox:
        """Raises NotFoundError."""
        ...

    async def page(
        self, tenant: TenantId, *, size: int, cursor: str | None, open_only: bool = False
    ) -> Page[Sandbox]:
        """Newest first. Raises InvalidCursorError."""
        ...

    async def set_state(self, sandbox_id: SandboxId, state: SandboxState) -> None:
        """Idempotent; unknown ids are ignored."""
        ...

    async def open_sandboxes(self) -> list[Sandbox]:
        """Every open one, all tenants: for the reaper."""
        ...


class Retention(Protocol):
    """Forgetting, by age and by number; run now and then by the engine."""

    async def sweep(self, *, ended_before: datetime, events_per_task: int, limit: int) -> int:
        """Delete ended tasks older than that, trim long journals to their newest events (raising
        `Task.first_seq`; never the terminal event), drop expired idempotency keys, browser
        sessions and stream tickets, and unclaimed bytes. At most `limit` tasks per call; returns how
        many were deleted or trimmed."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """All ports of one make, opened and closed together."""

    tasks: TaskStore
    journal: EventJournal
    artifacts: ArtifactStore
    sessions: SessionStore
    agents: AgentStore
    configuration: ConfigurationStore
    sandboxes: SandboxStore
    credentials: CredentialStore
    browser_sessions: BrowserSessionStore
    stream_tickets: StreamTicketStore
    keyed_calls: IdempotencyStore
    """Calls with an idempotency key (`KeyedCall`) that submit no task."""
    retention: Retention
    budgets: BudgetStore
    audit: AuditStore
    webhooks: WebhookStore
    deliveries: DeliveryStore
    backend: str
