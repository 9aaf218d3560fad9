"""Domain values for the storage tests."""

import secrets
from datetime import UTC, datetime, timedelta

from app.domain import lifecycle
from app.domain.agents import AgentDefinition
from app.domain.configuration import TaskConfiguration
from app.domain.events import TaskEvent, TextProduced
from app.domain.identity import TenantId
from app.domain.ids import ENTROPY_BYTES, AgentId, SessionId, TaskId, make_id
from app.domain.lifecycle import Change, Decision
from app.domain.secrets import Secret
from app.domain.sessions import Session
from app.domain.tasks import Statistics, Task, TaskResult, TaskSpec, TaskState
from app.storage.base import Stores

T0 = datetime(2026, 1, 1, tzinfo=UTC)
ACME = TenantId("acme")
OTHER = TenantId("other")


def later(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def new_id(prefix: str, at: datetime = T0) -> str:
    return make_id(prefix, at, secrets.token_bytes(ENTROPY_BYTES))


def a_task(
    tenant: TenantId = ACME,
    *,
    at: datetime = T0,
    instruction: str = "say hello",
    session_id: SessionId | None = None,
    agent_id: str = "default",
    metadata: dict[str, str] | None = None,
    key: str | None = None,
) -> Task:
    """A SUBMITTED task."""
    configuration = TaskConfiguration(model_api_key=Secret(key) if key else None)
    return Task(
        id=TaskId(new_id("task", at)),
        tenant=tenant,
        subject="someone",
        spec=TaskSpec(
            instruction=instruction,
            agent=AgentDefinition(id=AgentId(agent_id), tenant=tenant, configuration=configuration),
            session_id=session_id,
            metadata=metadata or {},
            configuration=configuration,
        ),
        state=TaskState.SUBMITTED,
        created_at=at,
        updated_at=at,
    )


def a_submission(tenant: TenantId = ACME, **fields: object) -> Change:
    return lifecycle.submitted(a_task(tenant, **fields))  # type: ignore[arg-type]


def a_session(tenant: TenantId = ACME, *, at: datetime = T0, title: str = "talk") -> Session:
    return Session(
        id=SessionId(new_id("session", at)), tenant=tenant, title=title, created_at=at, updated_at=at
    )


def claimed(at: datetime = T0, *, ticket: int = 1) -> Decision:
    return lifecycle.claimed(at, ticket=ticket, max_recoveries=5)


def said(*texts: str, at: datetime = T0, messages: tuple[bytes, ...] = ()) -> Decision:
    events: list[TaskEvent] = [TextProduced(turn=1, text=text) for text in texts]
    return lifecycle.progressed(at, *events, messages=messages)


def done(at: datetime = T0, output: str = "done") -> Decision:
    return lifecycle.succeeded(TaskResult(output=output), Statistics(), at)


async def queued(stores: Stores, tenant: TenantId = ACME, **fields: object) -> Task:
    return (await stores.tasks.create(a_submission(tenant, **fields))).task


async def running(stores: Stores, tenant: TenantId = ACME, **fields: object) -> Task:
    task = await queued(stores, tenant, **fields)
    return await stores.tasks.update(task.id, claimed())


async def ended(stores: Stores, tenant: TenantId = ACME, at: datetime = T0, **fields: object) -> Task:
    task = await running(stores, tenant, **fields)
    return await stores.tasks.update(task.id, done(at))
