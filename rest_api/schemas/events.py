"""Events as documents: their schemas, one per type. `rest_api.event_documents` makes them."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from rest_api.schemas.artifacts import ArtifactOut
from rest_api.schemas.base import Out, QueryIn
from rest_api.schemas.tasks import InputRequestOut, StatisticsOut, TaskOut, TaskResultOut


class EventHead(Out):
    """What every event says of itself."""

    task_id: str
    seq: int
    """Dense per task from 1; the cursor of every stream and page of one task."""
    position: int
    """Dense per tenant from 1; the cursor of `GET /v1/events`."""
    time: datetime


class TaskSubmittedOut(EventHead):
    """The gateway accepted the task."""

    type: Literal["task.submitted"]
    instruction: str
    agent: str
    session_id: str | None = None


class TaskQueuedOut(EventHead):
    """The task waits for a worker."""

    type: Literal["task.queued"]
    cause: str
    """submitted, resumed, input, recovered or handed_over."""


class TaskStartedOut(EventHead):
    """A worker claimed the task."""

    type: Literal["task.started"]
    epoch: int


class TurnStartedOut(EventHead):
    """The agent asks its model."""

    type: Literal["turn.started"]
    turn: int
    model: str


class TextProducedOut(EventHead):
    """The model said some more; the texts of a turn concatenate to its answer."""

    type: Literal["text.produced"]
    turn: int
    text: str


class ModelRetriedOut(EventHead):
    """A model call failed and will be tried again."""

    type: Literal["model.retried"]
    turn: int
    attempt: int
    reason: str
    delay_s: float


class ModelRespondedOut(EventHead):
    """The model's answer is complete."""

    type: Literal["model.responded"]
    turn: int
    text: str
    tool_calls: int
    input_tokens: int
    output_tokens: int
    cost_usd: float | None = None


class ToolCalledOut(EventHead):
    """The agent calls a tool."""

    type: Literal["tool.called"]
    turn: int
    call_id: str
    tool: str
    arguments: dict[str, Any]


class ToolReturnedOut(EventHead):
    """The tool's outcome, as the model will see it."""

    type: Literal["tool.returned"]
    turn: int
    call_id: str
    tool: str
    outcome: str
    """ok, failed or denied."""
    output: str
    duration_s: float
    error_reason: str | None = None


class SandboxOpenedOut(EventHead):
    """The task works in this sandbox from now on."""

    type: Literal["sandbox.opened"]
    sandbox_id: str
    kind: str


class StepFinishedOut(EventHead):
    """One action in the sandbox."""

    type: Literal["step.finished"]
    step: int
    call_id: str
    action: str
    outcome: str
    """ok or failed."""
    duration_s: float
    output: str
    verified: bool | None = None
    """Whether the postcondition held when read back; absent when there is none."""
    screenshot: ArtifactOut | None = None
    error_reason: str | None = None
    isolation: str | None = None
    """The tier that ran it, such as `monty` or `filesystem`."""


class ArtifactCreatedOut(EventHead):
    """A file or screenshot can be fetched by its digest."""

    type: Literal["artifact.created"]
    artifact: ArtifactOut


class ProgressReportedOut(EventHead):
    """Free words on how far the task is."""

    type: Literal["progress.reported"]
    message: str
    fraction: float | None = None


class InputRequestedOut(EventHead):
    """The task waits for a person."""

    type: Literal["input.requested"]
    request: InputRequestOut


class InputProvidedOut(EventHead):
    """A person answered."""

    type: Literal["input.provided"]
    request_id: str
    approved: bool | None = None
    text: str | None = None
    by: str


class PauseRequestedOut(EventHead):
    """A running task will park after its current turn."""

    type: Literal["pause.requested"]


class TaskPausedOut(EventHead):
    """The task is parked."""

    type: Literal["task.paused"]


class TaskResumedOut(EventHead):
    """The pause is over, or taken back."""

    type: Literal["task.resumed"]


class TaskSucceededOut(EventHead):
    """Terminal: done."""

    type: Literal["task.succeeded"]
    result: TaskResultOut
    statistics: StatisticsOut


class TaskFailedOut(EventHead):
    """Terminal: given up."""

    type: Literal["task.failed"]
    reason: str
    message: str
    statistics: StatisticsOut


class TaskCancelledOut(EventHead):
    """Terminal: somebody stopped it."""

    type: Literal["task.cancelled"]
    cause: str
    by: str
    statistics: StatisticsOut


class TaskExpiredOut(EventHead):
    """Terminal: it was not started, resumed or answered in time."""

    type: Literal["task.expired"]
    waited_in: str
    statistics: StatisticsOut


EventOut = Annotated[
    TaskSubmittedOut
    | TaskQueuedOut
    | TaskStartedOut
    | TurnStartedOut
    | TextProducedOut
    | ModelRetriedOut
    | ModelRespondedOut
    | ToolCalledOut
    | ToolReturnedOut
    | SandboxOpenedOut
    | StepFinishedOut
    | ArtifactCreatedOut
    | ProgressReportedOut
    | InputRequestedOut
    | InputProvidedOut
    | PauseRequestedOut
    | TaskPausedOut
    | TaskResumedOut
    | TaskSucceededOut
    | TaskFailedOut
    | TaskCancelledOut
    | TaskExpiredOut,
    Field(discriminator="type"),
]
"""One thing that happened to a task, as committed to its journal."""


class EventsQuery(QueryIn):
    """Where to go on, and how much at once."""

    after: int | None = None
    """The last `seq` already seen. The header `Last-Event-ID` wins."""
    last_event_id: str | None = None
    """The same, for clients that cannot set the header."""
    page_size: int | None = Field(default=None, json_schema_extra={"minimum": 0, "maximum": 1000})
    """Of a JSON page: 1 to 1000; 0 or absent means 50."""


class AllEventsQuery(QueryIn):
    """Where to go on."""

    after: int | None = None
    """The last `position` already seen; absent means only what happens from now on."""
    last_event_id: str | None = None
    """The same, for clients that cannot set the header `Last-Event-ID`, which wins."""


class ListTaskEventsOut(Out):
    """One page of a task's journal."""

    events: list[EventOut]
    next_after_seq: int
    """The seq to ask for the next page with; 0 when the task has ended and there is no more."""


class GapOut(Out):
    """Data of the SSE event `gap`: events were forgotten; the snapshot stands in for them."""

    snapshot: TaskOut | None = None
    """Not in the stream of all tasks."""
    next_seq: int
    """The seq that follows; in the stream of all tasks, the position."""


class DrainOut(Out):
    """Data of the SSE event `drain`: the server shuts down; reconnect with this cursor."""

    cursor: int
    retry_after_s: float
