"""Sessions: a later task continues an earlier one's conversation and sandbox."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from app.domain.identity import TenantId
from app.domain.ids import SandboxId, SessionId, TaskId


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A conversation over several tasks, one at a time."""

    id: SessionId
    tenant: TenantId
    title: str = ""
    metadata: dict[str, str] = field(default_factory=dict[str, str])
    created_at: datetime
    updated_at: datetime
    task_count: int = 0
    last_task_id: TaskId | None = None
    sandbox_id: SandboxId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscriptEntry:
    """One thing said in a session, in order: what a person would read."""

    task_id: TaskId
    index: int
    role: Literal["user", "assistant", "tool"]
    text: str
    tool: str | None = None
    at: datetime | None = None
