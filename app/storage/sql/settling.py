"""Carries a batch of commands out in memory: pure, in order, each on what the one before left.

A refused command leaves no trace but its own error; the store then writes the outcome of all the
others in one transaction.
"""

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final

from pydantic_core import PydanticSerializationError

from app.domain.audit import REPLAYED
from app.domain.errors import (
    IdempotencyMismatchError,
    InvalidRequestError,
    NotFoundError,
    QueueFullError,
    RateLimitedError,
    SessionBusyError,
    StaleOwnerError,
)
from app.domain.events import JournaledEvent, TaskEvent
from app.domain.ids import TaskId
from app.domain.lifecycle import Change
from app.domain.quotas import Quota
from app.domain.tasks import Task, TaskState
from app.storage.base import Created, QueueEntry
from app.storage.codec import (
    decode_event,
    decode_task,
    encode_event,
    encode_spec,
    encode_task,
    to_us,
    without_keys,
)
from app.storage.sql.commands import (
    Command,
    CreateTask,
    KeptKey,
    Loaded,
    NewTask,
    SessionRow,
    Tenant,
    UpdateTask,
    Written,
)
from app.storage.sql.subscriptions import deliveries_of
from app.telemetry.known_secrets import mask_held_in_json
from app.telemetry.redaction import redact_journal

UNFINISHED: Final = frozenset({TaskState.QUEUED, TaskState.RUNNING})
"""What a tenant's limit counts: a parked task holds no worker."""
Outcome = Task | Created | Exception
RETRY_WHEN_FULL: Final = timedelta(seconds=2)
"""A hint: by then some of the queued tasks have most likely started."""


@dataclass(slots=True)
class Settlement:
    """A batch in the making: `outcomes` has one entry per command, in order."""

    rows: Loaded
    written: Written = field(default_factory=Written)
    outcomes: list[Outcome] = field(default_factory=list[Outcome])

    def settle(self, command: Command) -> None:
        """Carry one command out, or note why not."""
        try:
            match command:
                case CreateTask():
                    created = self._create(command)
                    self._note(command, created.task.id, replayed=created.replayed)
                    self.outcomes.append(created)
                case UpdateTask():
                    task = self._update(command)
                    self._note(command, task.id)
                    self.outcomes.append(task)
        except (UnicodeError, PydanticSerializationError):
            refused = InvalidRequestError.of("task", "holds text that is not valid Unicode", "NOT_UNICODE")
            self.outcomes.append(refused)
        except Exception as error:  # noqa: BLE001 - a decision's own failure is its caller's
            self.outcomes.append(error)

    def _note(self, command: Command, task_id: TaskId, *, replayed: bool = False) -> None:
        """The audit log's entry goes with what it tells of."""
        if command.audit is not None:
            reason = REPLAYED if replayed else ""
            self.written.entries.append(replace(command.audit.entry, resource_id=task_id, reason=reason))

    def _update(self, command: UpdateTask) -> Task:
        task = self.rows.tasks.get(command.task_id)
        if task is None or (command.tenant is not None and command.tenant != task.tenant):
            raise NotFoundError("task", command.task_id)
        if command.epoch is not None and command.epoch != task.epoch:
            raise StaleOwnerError(f"task {task.id} has another owner now", task_id=task.id, epoch=task.epoch)
        change = command.decide(task)
        unchanged = change.task is task or change.task == task
        if unchanged and not (change.events or change.messages or change.enqueue):
            return task
        return self._apply(change, task)

    def _create(self, command: CreateTask) -> Created:
        change, key = command.change, command.key
        if key is not None and (first := self._first(command)) is not None:
            return Created(task=first, replayed=True)
        session = self._session(change.task)
        if command.max_queued is not None and change.enqueue and self.rows.queued >= command.max_queued:
            raise QueueFullError(
                f"{self.rows.queued} tasks are queued already",
                retry_after=RETRY_WHEN_FULL,
                limit=command.max_queued,
            )
        self._check_unfinished(command)
        spec = without_keys(change.task.spec)
        encoded = encode_spec(spec)  # what cannot be stored is refused here, alone
        task = self._apply(replace(change, task=replace(change.task, spec=spec)), None)
        self.written.created[task.id] = NewTask(encoded, command.sealed)
        if session is not None and spec.session_id is not None:
            session.task_count += 1
            session.last_task_id = task.id
            session.updated_at = max(session.updated_at, to_us(task.updated_at))
            self.written.sessions.add(spec.session_id)
        if key is not None and command.idempotency is not None:
            record = command.idempotency
            kept = KeptKey(
                fingerprint=record.fingerprint, task_id=task.id, expires_at=to_us(record.expires_at)
            )
            self.rows.keys[key] = self.written.keys[key] = kept
        return Created(task=task)

    def _check_unfinished(self, command: CreateTask) -> None:
        tenant, limit = self.rows.tenants.get(command.change.task.tenant), command.max_unfinished
        if tenant is None or limit is None or tenant.unfinished < limit:
            return
        quota = Quota(
            policy="tenant-unfinished-tasks",
            limit=limit,
            remaining=0,
            retry_s=RETRY_WHEN_FULL.total_seconds(),
            unit="concurrent-requests",
            subject="tenant",
        )
        raise RateLimitedError(
            f"{tenant.unfinished} tasks of your tenant are queued or running",
            quotas=(quota,),
            retry_after=RETRY_WHEN_FULL,
            policy=quota.policy,
            limit=limit,
        )

    def _first(self, command: CreateTask) -> Task | None:
        """The task that the key was first used for, while the record holds."""
        key, record = command.key, command.idempotency
        kept = None if key is None else self.rows.keys.get(key)
        if kept is None or record is None or kept.expires_at <= to_us(command.change.task.created_at):
            return None
        first = self.rows.tasks.get(kept.task_id)
        if first is None:  # deleted since
            return None
        if kept.fingerprint != record.fingerprint:
            raise IdempotencyMismatchError(
                "the idempotency key was used with another request", task_id=first.id
            )
        return first

    def _session(self, task: Task) -> SessionRow | None:
        session_id = task.spec.session_id
        if session_id is None:
            return None
        session = self.rows.sessions.get(session_id)
        if session is None or session.tenant != task.tenant:
            raise NotFoundError("session", session_id)
        last = None if session.last_task_id is None else self.rows.tasks.get(session.last_task_id)
        if last is not None and not last.state.terminal:
            raise SessionBusyError(
                f"session {session_id} still works on task {last.id}", session_id=session_id, task_id=last.id
            )
        return session

    def _apply(self, change: Change, before: Task | None) -> Task:
        """Number the events, count the queue, and keep the row. Nothing is kept on an error."""
        tenant_id = change.task.tenant
        clean = [_clean(event, tenant_id) for event in change.events]
        bodies = [body for _, body in clean]
        tenant = self.rows.tenants.setdefault(change.task.tenant, Tenant())
        seq = 0 if before is None else before.last_seq
        task = replace(_without_secrets(change.task, before), last_seq=seq + len(bodies))
        for number, (event, _) in enumerate(clean, start=1):
            tenant.last_position += 1
            journaled = JournaledEvent(
                task_id=task.id,
                tenant=task.tenant,
                seq=seq + number,
                position=tenant.last_position,
                at=task.updated_at,
                event=event,
            )
            self.written.events.append(journaled)
        self.written.bodies += bodies
        if bodies and (subscribed := self.rows.subscriptions.get(task.tenant)):
            self.written.deliveries += deliveries_of(task, self.written.events[-len(bodies) :], subscribed)
        self.written.messages += [
            (task.id, mask_held_in_json(message, tenant_id)) for message in change.messages
        ]
        if change.enqueue:
            entry = QueueEntry(
                task_id=task.id, tenant=task.tenant, priority=-tenant.queued, ticket=task.ticket
            )
            self.written.queue.append(entry)
        self._count(tenant, before, task)
        self._keep(task)
        return task

    def _keep(self, task: Task) -> None:
        self.rows.tasks[task.id] = task
        self.written.tenants.add(task.tenant)
        if task.id not in self.written.created:
            self.written.updated.add(task.id)

    def _count(self, tenant: Tenant, before: Task | None, after: Task) -> None:
        was = None if before is None else before.state
        change = (after.state is TaskState.QUEUED) - (was is TaskState.QUEUED)
        tenant.queued += change
        self.rows.queued += change
        tenant.unfinished += (after.state in UNFINISHED) - (was in UNFINISHED)

    @property
    def new_tasks(self) -> list[Task]:
        """The created tasks as the batch leaves them."""
        return [self.rows.tasks[task_id] for task_id in self.written.created]

    @property
    def changed_tasks(self) -> list[Task]:
        """The tasks that existed before and differ, by id (rows are locked in this order)."""
        return [
            self.rows.tasks[task_id] for task_id in sorted(self.written.updated - self.written.created.keys())
        ]


def addressed(commands: list[Command]) -> set[TaskId]:
    """The tasks that a batch's updates name."""
    return {command.task_id for command in commands if isinstance(command, UpdateTask)}


def _clean(event: TaskEvent, tenant: str) -> tuple[TaskEvent, bytes]:
    """The event without secrets, as live readers get it, and the same as it is stored."""
    body = encode_event(event)
    masked = redact_journal(body, tenant)
    if masked is body:
        return event, body
    try:
        return decode_event(event.type, masked), masked
    except ValueError:  # the tenant's key is a date, or a word of ours: nothing that can be kept from anybody
        return event, body


def _without_secrets(task: Task, before: Task | None) -> Task:
    """The task without held secrets in what became of it: its result, its failure, its questions."""
    if before is not None and (
        task.result is before.result and task.failure is before.failure and task.pending is before.pending
    ):
        return task
    body = encode_task(task)
    masked = mask_held_in_json(body, task.tenant)
    if masked is body:
        return task
    try:
        clean = decode_task(encode_spec(task.spec), masked)
    except ValueError:  # see `_clean`
        return task
    return replace(task, result=clean.result, failure=clean.failure, pending=clean.pending)
