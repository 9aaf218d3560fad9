"""Events: everything that happens to a task, a closed union.

A mapping that forgets one fails the type check (`assert_never`). `type` is stored and sent, so it
is never renamed; fields may be added with a default. Text fields are bounded by whoever emits
them (`MAX_EVENT_TEXT_CHARS`); bytes travel as `ArtifactRef`.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Literal, get_args

from app.domain.artifacts import ArtifactRef
from app.domain.identity import TenantId
from app.domain.ids import AgentId, SandboxId, SessionId, TaskId
from app.domain.tasks import InputRequest, Statistics, TaskResult

MAX_EVENT_TEXT_CHARS = 16_384


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSubmitted:
    """The gateway accepted the task."""

    type: ClassVar[str] = "task.submitted"
    instruction: str
    agent: AgentId
    session_id: SessionId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskQueued:
    """The task waits for a worker."""

    type: ClassVar[str] = "task.queued"
    cause: Literal["submitted", "resumed", "input", "recovered", "handed_over"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskStarted:
    """A worker claimed the task with this epoch (1 the first time)."""

    type: ClassVar[str] = "task.started"
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnStarted:
    """The agent asks its model; turns count from 1 over the whole task.

    A turn that was cut short (a crash, a drain) starts again with the same number: its texts so far
    are void.
    """

    type: ClassVar[str] = "turn.started"
    turn: int
    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TextProduced:
    """The model said some more; the texts of a turn concatenate to its answer."""

    type: ClassVar[str] = "text.produced"
    turn: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRetried:
    """A model call failed and will be tried again after `delay_s` seconds."""

    type: ClassVar[str] = "model.retried"
    turn: int
    attempt: int
    reason: str
    delay_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelResponded:
    """The model's answer is complete. `cost_usd` is None when the price is unknown."""

    type: ClassVar[str] = "model.responded"
    turn: int
    text: str
    tool_calls: int
    input_tokens: int
    output_tokens: int
    cost_usd: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCalled:
    """The agent calls a tool; `arguments_json` is a JSON object as text."""

    type: ClassVar[str] = "tool.called"
    turn: int
    call_id: str
    tool: str
    arguments_json: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolReturned:
    """The tool's outcome, as the model will see it (shortened to `MAX_EVENT_TEXT_CHARS`)."""

    type: ClassVar[str] = "tool.returned"
    turn: int
    call_id: str
    tool: str
    outcome: Literal["ok", "failed", "denied"]
    output: str
    duration_s: float
    error_reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxOpened:
    """The task works in this sandbox from now on."""

    type: ClassVar[str] = "sandbox.opened"
    sandbox_id: SandboxId
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFinished:
    """One action in the sandbox; steps count from 1 over the whole task."""

    type: ClassVar[str] = "step.finished"
    step: int
    call_id: str
    action: str
    outcome: Literal["ok", "failed"]
    duration_s: float
    output: str = ""
    verified: bool | None = None
    screenshot: ArtifactRef | None = None
    error_reason: str | None = None
    isolation: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactCreated:
    """A file or screenshot can be fetched by its digest."""

    type: ClassVar[str] = "artifact.created"
    artifact: ArtifactRef


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressReported:
    """Free words on how far the task is; `fraction` from 0 to 1 when it is known."""

    type: ClassVar[str] = "progress.reported"
    message: str
    fraction: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InputRequested:
    """The task waits for a person."""

    type: ClassVar[str] = "input.requested"
    request: InputRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class InputProvided:
    """A person answered; `text` is None for approvals."""

    type: ClassVar[str] = "input.provided"
    request_id: str
    approved: bool | None = None
    text: str | None = None
    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseRequested:
    """A running task will park after its current turn."""

    type: ClassVar[str] = "pause.requested"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskPaused:
    """The task is parked; no worker is held."""

    type: ClassVar[str] = "task.paused"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskResumed:
    """The pause is over, or taken back before it was carried out."""

    type: ClassVar[str] = "task.resumed"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSucceeded:
    """Terminal: done."""

    type: ClassVar[str] = "task.succeeded"
    result: TaskResult
    statistics: Statistics


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFailed:
    """Terminal: given up; `reason` is a `DomainError.reason`."""

    type: ClassVar[str] = "task.failed"
    reason: str
    message: str
    statistics: Statistics


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskCancelled:
    """Terminal: somebody stopped it; `cause` in their words."""

    type: ClassVar[str] = "task.cancelled"
    cause: str
    by: str
    statistics: Statistics


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskExpired:
    """Terminal: it was not started, resumed or answered in time."""

    type: ClassVar[str] = "task.expired"
    waited_in: str
    statistics: Statistics


TaskEvent = (
    TaskSubmitted
    | TaskQueued
    | TaskStarted
    | TurnStarted
    | TextProduced
    | ModelRetried
    | ModelResponded
    | ToolCalled
    | ToolReturned
    | SandboxOpened
    | StepFinished
    | ArtifactCreated
    | ProgressReported
    | InputRequested
    | InputProvided
    | PauseRequested
    | TaskPaused
    | TaskResumed
    | TaskSucceeded
    | TaskFailed
    | TaskCancelled
    | TaskExpired
)
TERMINAL_EVENTS = (TaskSucceeded, TaskFailed, TaskCancelled, TaskExpired)
EVENT_TYPES: dict[str, type[TaskEvent]] = {event.type: event for event in get_args(TaskEvent)}


@dataclass(frozen=True, slots=True, kw_only=True)
class JournaledEvent:
    """An event as committed: `seq` is dense per task from 1, `position` per tenant from 1."""

    task_id: TaskId
    tenant: TenantId
    seq: int
    position: int
    at: datetime
    event: TaskEvent

    @property
    def terminal(self) -> bool:
        return isinstance(self.event, TERMINAL_EVENTS)
