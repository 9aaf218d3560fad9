"""Task values for tests."""

from dataclasses import replace
from datetime import UTC, datetime

from app.domain.agents import DEFAULT_AGENT, AgentDefinition
from app.domain.identity import DEFAULT_TENANT
from app.domain.ids import TaskId
from app.domain.tasks import Task, TaskSpec, TaskState

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def a_task(task_id: str = "task_1", **changes: object) -> Task:
    """A task nobody has committed yet."""
    task = Task(
        id=TaskId(task_id),
        tenant=DEFAULT_TENANT,
        subject="local",
        spec=TaskSpec(instruction="do it", agent=AgentDefinition(id=DEFAULT_AGENT, tenant=DEFAULT_TENANT)),
        state=TaskState.SUBMITTED,
        created_at=AT,
        updated_at=AT,
    )
    return replace(task, **changes)  # pyright: ignore[reportArgumentType]
