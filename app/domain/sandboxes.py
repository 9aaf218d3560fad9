"""Sandboxes as values: kinds, instances, canonical actions and what a step observed."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal

from app.domain.artifacts import ArtifactRef
from app.domain.identity import TenantId
from app.domain.ids import SandboxId, SessionId, TaskId

ACTION_TYPES = (
    # pointer
    "click", "move", "mouse_down", "mouse_up", "drag", "scroll",
    # keyboard
    "type", "key", "key_down", "key_up",
    # looking
    "screenshot", "observe", "wait",
    # applications
    "open_app", "close_app", "list_apps", "goto",
    # files and code
    "write_file", "read_file", "list_files", "delete_file", "run_code", "query_database",
)  # fmt: skip
"""Canonical action types; a sandbox kind offers a subset (`SandboxKind.actions`)."""


class SandboxState(StrEnum):
    """Where a sandbox is in its life."""

    OPEN = "open"
    CLOSED = "closed"
    LOST = "lost"


class Availability(StrEnum):
    """What `probe()` found."""

    OK = "ok"
    DEGRADED = "degraded"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxKind:
    """A kind of sandbox and whether it can be opened here."""

    kind: str
    description: str
    availability: Availability
    reasons: tuple[str, ...] = ()
    install: str | None = None
    capabilities: frozenset[str] = frozenset()
    actions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    """One sandbox instance. Task-owned ones close with their task unless a session keeps them."""

    id: SandboxId
    tenant: TenantId
    kind: str
    state: SandboxState
    created_at: datetime
    expires_at: datetime | None = None
    task_id: TaskId | None = None
    session_id: SessionId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One canonical action; `arguments` are validated by the sandbox that executes it."""

    type: str
    arguments: dict[str, object] = field(default_factory=dict[str, object])


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """A postcondition read back: the expected value never replaces the one seen."""

    expected: str
    seen: str
    ok: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """What came of one action.

    `output` is text for the model and the reader; `data` the same as JSON; `isolation` names the
    tier that ran it (`monty`, `filesystem`, `bwrap`, ...). Durations in seconds.
    """

    action: Action
    status: Literal["ok", "failed"]
    started_at: datetime
    duration_s: float
    output: str = ""
    data: dict[str, object] | None = None
    screenshot: ArtifactRef | None = None
    artifacts: tuple[ArtifactRef, ...] = ()
    verified: Verification | None = None
    error_reason: str | None = None
    isolation: str | None = None
