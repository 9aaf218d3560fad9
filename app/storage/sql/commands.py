"""Writes to tasks as values: what waits for the next commit, and what a commit has to load."""

import asyncio
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from app.domain.audit import AuditDraft, AuditEntry
from app.domain.events import JournaledEvent
from app.domain.identity import TenantId
from app.domain.ids import SessionId, TaskId
from app.domain.lifecycle import Change, Decision
from app.domain.tasks import Task
from app.domain.webhooks import Subscription
from app.storage.base import Created, IdempotencyRecord, QueueEntry

Key = tuple[TenantId, str, str]
"""Tenant, scope and key of an idempotency record."""
DeliveryRow = tuple[Any, ...]
"""Columns of a new delivery (see `subscriptions.DELIVERY_COLUMNS`)."""


@dataclass(slots=True, kw_only=True)
class CreateTask:
    """`TaskStore.create`, waiting."""

    change: Change
    idempotency: IdempotencyRecord | None
    sealed: bytes | None
    max_queued: int | None
    max_unfinished: int | None
    audit: AuditDraft | None
    done: asyncio.Future[Created]

    @property
    def key(self) -> Key | None:
        """Its idempotency key, if it has one."""
        record = self.idempotency
        return None if record is None else (self.change.task.tenant, record.scope, record.key)


@dataclass(slots=True, kw_only=True)
class UpdateTask:
    """`TaskStore.update`, waiting."""

    task_id: TaskId
    decide: Decision
    tenant: TenantId | None
    epoch: int | None
    audit: AuditDraft | None
    done: asyncio.Future[Task]


Command = CreateTask | UpdateTask


@dataclass(slots=True, kw_only=True)
class Tenant:
    """A tenant's counters: the last `position` given out, how many tasks are queued, and how many are
    unfinished (queued or running). `webhooks_version` rises with each change of its webhooks; 0: it never
    had one."""

    last_position: int = 0
    queued: int = 0
    unfinished: int = 0
    webhooks_version: int = 0


@dataclass(slots=True, kw_only=True)
class SessionRow:
    """Of a session, what `create` reads and writes."""

    tenant: TenantId
    task_count: int
    last_task_id: TaskId | None
    updated_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptKey:
    """An idempotency record as stored; `expires_at` in microseconds since 1970."""

    fingerprint: str
    task_id: TaskId
    expires_at: int


@dataclass(slots=True, kw_only=True)
class Loaded:
    """The rows a batch of commands stands on; private to the batch, which evolves them.

    `tasks` holds the addressed tasks, the last tasks of the sessions and the first tasks of the
    idempotency keys; what is absent does not exist. `queued` counts all tenants.
    """

    tasks: dict[TaskId, Task] = field(default_factory=dict[TaskId, Task])
    tenants: dict[TenantId, Tenant] = field(default_factory=dict[TenantId, Tenant])
    sessions: dict[SessionId, SessionRow] = field(default_factory=dict[SessionId, SessionRow])
    keys: dict[Key, KeptKey] = field(default_factory=dict[Key, KeptKey])
    queued: int = 0
    subscriptions: dict[TenantId, tuple[Subscription, ...]] = field(
        default_factory=dict[TenantId, tuple[Subscription, ...]]
    )
    """Enabled webhooks of the tenants that have some."""


class NewTask(NamedTuple):
    """Of a new task, what is written once: its encoded spec and its sealed credentials."""

    spec: bytes
    sealed: bytes | None


@dataclass(slots=True, kw_only=True)
class Written:
    """What to commit: the rows that differ from those loaded, and what is appended."""

    created: dict[TaskId, NewTask] = field(default_factory=dict[TaskId, NewTask])
    updated: set[TaskId] = field(default_factory=set[TaskId])
    tenants: set[TenantId] = field(default_factory=set[TenantId])
    sessions: set[SessionId] = field(default_factory=set[SessionId])
    keys: dict[Key, KeptKey] = field(default_factory=dict[Key, KeptKey])
    events: list[JournaledEvent] = field(default_factory=list[JournaledEvent])
    bodies: list[bytes] = field(default_factory=list[bytes])
    """The encoded `events`, one for one."""
    messages: list[tuple[TaskId, bytes]] = field(default_factory=list[tuple[TaskId, bytes]])
    entries: list[AuditEntry] = field(default_factory=list[AuditEntry])
    queue: list[QueueEntry] = field(default_factory=list[QueueEntry])
    deliveries: list[DeliveryRow] = field(default_factory=list[DeliveryRow])

    @property
    def empty(self) -> bool:
        """Whether there is nothing to commit."""
        return not (self.created or self.updated or self.events or self.messages or self.keys or self.entries)
