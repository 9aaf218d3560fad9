"""Tasks: what is asked for, and how one stands."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar, Literal

import orjson
from pydantic import Field

from app.domain.ids import AgentId, SandboxId, SessionId
from app.domain.tasks import InputRequest, Statistics, Task, TaskFailure, TaskResult, TaskState
from app.service.inputs import NewTask
from app.storage.base import TaskFilter
from rest_api.schemas.artifacts import ArtifactOut
from rest_api.schemas.base import BodyIn, Out, PageQuery, Time
from rest_api.schemas.configuration import ConfigurationFields

OnDisconnect = Literal["continue", "cancel"]


class TaskIn(BodyIn):
    """What is to be done."""

    instruction: str = Field(examples=["write hello into greeting.txt, then read it back"])
    """1 to 100000 characters."""
    agent_id: str | None = None
    """Absent means the `default` agent."""
    session_id: str | None = None
    """Continues a session's conversation and sandbox."""
    sandbox_id: str | None = None
    """An open sandbox to work in."""
    configuration: ConfigurationFields | None = None
    metadata: dict[str, str] | None = None
    """At most 64 pairs, keys of 128 and values of 4096 characters."""
    on_disconnect: OnDisconnect = "continue"
    """`cancel`: the task is cancelled when the call that streams or awaits it is left before its end, also
    by its deadline."""

    def to_domain(self) -> NewTask:
        """The task as the domain wants it; empty ids are absent ones, as on gRPC."""
        new = NewTask(instruction=self.instruction, on_disconnect=self.on_disconnect)
        given: dict[str, Any] = {}
        if self.agent_id:
            given["agent_id"] = AgentId(self.agent_id)
        if self.session_id:
            given["session_id"] = SessionId(self.session_id)
        if self.sandbox_id:
            given["sandbox_id"] = SandboxId(self.sandbox_id)
        if self.configuration is not None:
            given["configuration"] = self.configuration.to_domain()
        if self.metadata:
            given["metadata"] = self.metadata
        if not given:
            return new
        return NewTask(instruction=self.instruction, on_disconnect=self.on_disconnect, **given)


class CancelTaskIn(BodyIn):
    """Why."""

    reason: str | None = None
    """At most 1000 characters; told in the terminal event."""


class ProvideInputIn(BodyIn):
    """Exactly one of the two."""

    text: str | None = None
    approved: bool | None = None


class TasksQuery(PageQuery):
    """Which tasks to list; all conditions must hold."""

    any_prefix: ClassVar[str | None] = "metadata"
    repeated: ClassVar[frozenset[str]] = frozenset({"state"})

    state: list[TaskState] | None = None
    """May be repeated: any of these."""
    session_id: str | None = None
    agent_id: str | None = None
    created_after: Time | None = None
    created_before: Time | None = None
    metadata: dict[str, str] | None = Field(default=None, json_schema_extra={"x-parameter": "metadata.KEY"})
    """`metadata.KEY=VALUE`; may be repeated: all pairs must match."""

    def to_filter(self) -> TaskFilter:
        """The conditions as the domain knows them."""
        return TaskFilter(
            states=frozenset(self.state) if self.state else None,
            session_id=SessionId(self.session_id) if self.session_id else None,
            agent_id=AgentId(self.agent_id) if self.agent_id else None,
            created_after=self.created_after,
            created_before=self.created_before,
            metadata=tuple((self.metadata or {}).items()),
        )


class StatisticsOut(Out):
    """Counted live, complete at the end."""

    steps: int
    turns: int
    tool_calls: int
    input_tokens: int
    output_tokens: int
    cost_usd: float | None = None
    """Not set when the model's price is unknown."""
    running_s: float
    """Seconds of running time."""

    @classmethod
    def from_domain(cls, counted: Statistics) -> "StatisticsOut":
        """The counts."""
        return cls(
            steps=counted.steps,
            turns=counted.turns,
            tool_calls=counted.tool_calls,
            input_tokens=counted.input_tokens,
            output_tokens=counted.output_tokens,
            cost_usd=counted.cost_usd,
            running_s=counted.running_s,
        )


class TaskResultOut(Out):
    """What a succeeded task gives back."""

    output: str
    data: dict[str, Any] | None = None
    """When the agent gives structured data."""
    artifacts: list[ArtifactOut]

    @classmethod
    def from_domain(cls, result: TaskResult) -> "TaskResultOut":
        """The result."""
        return cls(output=result.output, data=result.data, artifacts=ArtifactOut.list_of(result.artifacts))


class TaskFailureOut(Out):
    """Why a task ended without success."""

    reason: str
    """UPPER_SNAKE_CASE, the same as on a failed call."""
    message: str

    @classmethod
    def from_domain(cls, failure: TaskFailure) -> "TaskFailureOut":
        """The failure."""
        return cls(reason=failure.reason, message=failure.message)


class InputRequestOut(Out):
    """Something a person must say before the task goes on."""

    id: str
    kind: Literal["text", "approval"]
    prompt: str
    tool: str | None = None
    """For approvals: the tool to be called."""
    arguments: dict[str, Any] | None = None
    """For approvals: its arguments."""
    expire_time: datetime | None = None

    @classmethod
    def from_domain(cls, request: InputRequest) -> "InputRequestOut":
        """The request."""
        return cls(
            id=request.id,
            kind=request.kind,
            prompt=request.prompt,
            tool=request.tool,
            arguments=arguments_of(request.arguments_json),
            expire_time=request.expires_at,
        )


class TaskOut(Out):
    """A task as it stands."""

    id: str
    state: TaskState
    instruction: str
    agent_id: str
    session_id: str | None = None
    sandbox_id: str | None = None
    configuration: ConfigurationFields
    metadata: dict[str, str]
    on_disconnect: OnDisconnect
    create_time: datetime
    update_time: datetime
    start_time: datetime | None = None
    end_time: datetime | None = None
    expire_time: datetime | None = None
    attempts: int
    """Claims by workers so far: above 1 after a recovery, a pause or an input."""
    first_seq: int
    """The oldest event still kept."""
    last_seq: int
    """The newest event."""
    statistics: StatisticsOut
    result: TaskResultOut | None = None
    failure: TaskFailureOut | None = None
    pending_inputs: list[InputRequestOut]
    pause_requested: bool

    @classmethod
    def from_domain(cls, task: Task) -> "TaskOut":
        """The task, for callers."""
        spec = task.spec
        return cls(
            id=task.id,
            state=task.state,
            instruction=spec.instruction,
            agent_id=spec.agent.id,
            session_id=spec.session_id,
            sandbox_id=task.sandbox_id,
            configuration=ConfigurationFields.from_domain(spec.configuration),
            metadata=spec.metadata,
            on_disconnect=spec.on_disconnect,
            create_time=task.created_at,
            update_time=task.updated_at,
            start_time=task.started_at,
            end_time=task.ended_at,
            expire_time=task.expires_at,
            attempts=task.epoch,
            first_seq=task.first_seq,
            last_seq=task.last_seq,
            statistics=StatisticsOut.from_domain(task.statistics),
            result=None if task.result is None else TaskResultOut.from_domain(task.result),
            failure=None if task.failure is None else TaskFailureOut.from_domain(task.failure),
            pending_inputs=[InputRequestOut.from_domain(request) for request in task.pending],
            pause_requested=task.pause_requested,
        )


class ListTasksOut(Out):
    """One page, newest first."""

    tasks: list[TaskOut]
    next_cursor: str | None = None
    """Absent on the last page."""


def arguments_of(arguments_json: str | None) -> dict[str, Any] | None:
    """A JSON object kept as text, as JSON; text that is none (a model's slip) stands under `text`."""
    if arguments_json is None:
        return None
    try:
        arguments = orjson.loads(arguments_json)
    except orjson.JSONDecodeError:
        return {"text": arguments_json}
    return dict(arguments) if isinstance(arguments, Mapping) else {"text": arguments_json}  # pyright: ignore[reportUnknownArgumentType]
