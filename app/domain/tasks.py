"""Tasks: what was asked, where it stands, and what came of it."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal

from app.domain.agents import AgentDefinition
from app.domain.artifacts import ArtifactRef
from app.domain.configuration import TaskConfiguration
from app.domain.identity import TenantId
from app.domain.ids import SandboxId, SessionId, TaskId

MAX_INSTRUCTION_CHARS = 100_000
MAX_METADATA_PAIRS = 64
MAX_METADATA_KEY_CHARS = 128
MAX_METADATA_VALUE_CHARS = 4_096
MAX_INPUT_CHARS = 100_000
MAX_REASON_CHARS = 1_000


class TaskState(StrEnum):
    """See `lifecycle.TRANSITIONS` for who follows whom."""

    SUBMITTED = "submitted"
    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    """Parked until a person provides input or decides an approval."""
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    """It was not started, resumed or answered in time."""

    @property
    def terminal(self) -> bool:
        return self in TERMINAL


TERMINAL = frozenset({TaskState.SUCCEEDED, TaskState.FAILED, TaskState.CANCELLED, TaskState.EXPIRED})


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSpec:
    """What a caller asked for, as it was accepted."""

    instruction: str
    agent: AgentDefinition
    session_id: SessionId | None = None
    sandbox_id: SandboxId | None = None
    """An open sandbox to work in; None opens one of the configured kind when first needed."""
    configuration: TaskConfiguration = field(default_factory=TaskConfiguration)
    """Fully merged at submit; keys are sealed and stored apart."""
    metadata: dict[str, str] = field(default_factory=dict[str, str])
    on_disconnect: Literal["continue", "cancel"] = "continue"
    has_credentials: bool = False
    """Whether a sealed model key is kept beside the task until it ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """Counted live, complete at the end. Seconds, tokens and US dollars (None: price unknown)."""

    steps: int = 0
    turns: int = 0
    tool_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = 0.0
    running_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskResult:
    """What a succeeded task gives back."""

    output: str
    data: dict[str, object] | None = None
    artifacts: tuple[ArtifactRef, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFailure:
    """Why a task ended without success; `reason` is a `DomainError.reason`."""

    reason: str
    message: str
    kind: str = "internal"


@dataclass(frozen=True, slots=True, kw_only=True)
class InputRequest:
    """Something a person must say before the task goes on.

    `approval` asks yes or no about a tool call (its arguments as JSON text), `text` for words.
    """

    id: str
    kind: Literal["text", "approval"]
    prompt: str
    tool: str | None = None
    arguments_json: str | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InputAnswer:
    """A person's answer to one `InputRequest`: `approved` for approvals, `text` for words."""

    request_id: str
    approved: bool | None = None
    text: str | None = None
    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A task as the store knows it: one row, replaced as a whole inside a transaction.

    `counted_at` is when `statistics.running_s` was last brought up to date.
    `last_seq` is the seq of its newest event, `first_seq` of the oldest one still kept. `epoch`
    counts claims; every write of an owner carries the one it got. `ticket` counts how often it was
    queued, so that a queue entry left over from before a pause claims nothing.
    `recoveries` counts owners that died since the last checkpoint. `traceparent` links the run to
    the call that submitted it. `turn` is the last turn whose checkpoint is stored.
    """

    id: TaskId
    tenant: TenantId
    subject: str
    spec: TaskSpec
    state: TaskState
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    expires_at: datetime | None = None
    counted_at: datetime | None = None
    epoch: int = 0
    ticket: int = 0
    recoveries: int = 0
    first_seq: int = 1
    last_seq: int = 0
    turn: int = 0
    statistics: Statistics = field(default_factory=Statistics)
    result: TaskResult | None = None
    failure: TaskFailure | None = None
    pending: tuple[InputRequest, ...] = ()
    answers: tuple[InputAnswer, ...] = ()
    pause_requested: bool = False
    sandbox_id: SandboxId | None = None
    traceparent: str | None = None
