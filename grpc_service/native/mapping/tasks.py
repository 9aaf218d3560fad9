"""Tasks: what callers ask for, and how a task stands."""

from typing import Final, Literal

from app.domain.agents import DEFAULT_AGENT
from app.domain.errors import InvalidRequestError
from app.domain.ids import AgentId, SandboxId, SessionId
from app.domain.tasks import InputAnswer, InputRequest, Statistics, Task, TaskFailure, TaskResult, TaskState
from app.service.inputs import Checks, NewTask, metadata_into
from app.storage.base import TaskFilter
from grpc_service.gen.agentgateway.v1 import task_pb2 as pb
from grpc_service.gen.agentgateway.v1 import task_service_pb2 as service_pb
from grpc_service.native.mapping.artifacts import artifact_to_proto
from grpc_service.native.mapping.configuration import configuration_from_proto, configuration_to_proto
from grpc_service.native.mapping.values import (
    filter_from_proto,
    json_to_proto,
    text_to_proto,
    timestamp_from_proto,
    timestamp_to_proto,
)

STATES: Final[dict[TaskState, pb.TaskState]] = {
    TaskState.SUBMITTED: pb.TASK_STATE_SUBMITTED,
    TaskState.QUEUED: pb.TASK_STATE_QUEUED,
    TaskState.RUNNING: pb.TASK_STATE_RUNNING,
    TaskState.WAITING: pb.TASK_STATE_WAITING,
    TaskState.PAUSED: pb.TASK_STATE_PAUSED,
    TaskState.SUCCEEDED: pb.TASK_STATE_SUCCEEDED,
    TaskState.FAILED: pb.TASK_STATE_FAILED,
    TaskState.CANCELLED: pb.TASK_STATE_CANCELLED,
    TaskState.EXPIRED: pb.TASK_STATE_EXPIRED,
}
_FROM_STATES: Final = {number: state for state, number in STATES.items()}
_INPUT_KINDS: Final = {"text": pb.INPUT_KIND_TEXT, "approval": pb.INPUT_KIND_APPROVAL}
_FROM_ON_DISCONNECT: Final[dict[int, Literal["continue", "cancel"]]] = {
    pb.ON_DISCONNECT_UNSPECIFIED: "continue",
    pb.ON_DISCONNECT_CONTINUE: "continue",
    pb.ON_DISCONNECT_CANCEL: "cancel",
}


def new_task_from_proto(task: service_pb.TaskInput) -> NewTask:
    """Raises InvalidRequestError for an enum number we do not know; the service checks the rest."""
    on_disconnect = _FROM_ON_DISCONNECT.get(task.on_disconnect)
    if on_disconnect is None:
        raise InvalidRequestError.of("on_disconnect", f"unknown value {task.on_disconnect}", "UNKNOWN_VALUE")
    return NewTask(
        instruction=task.instruction,
        agent_id=AgentId(task.agent_id) if task.agent_id else DEFAULT_AGENT,
        session_id=SessionId(task.session_id) if task.session_id else None,
        sandbox_id=SandboxId(task.sandbox_id) if task.sandbox_id else None,
        configuration=configuration_from_proto(task.configuration),
        metadata=dict(task.metadata),
        on_disconnect=on_disconnect,
    )


def task_filter_from_proto(request: service_pb.ListTasksRequest) -> TaskFilter:
    """Raises InvalidRequestError."""
    session_id = filter_from_proto("session_id", request.session_id)
    agent_id = filter_from_proto("agent_id", request.agent_id)
    metadata = dict(request.metadata)
    checks = Checks()
    metadata_into(checks, metadata)
    checks.done()
    after, before = request.created_after, request.created_before
    return TaskFilter(
        states=frozenset(map(_state_from_proto, range(len(request.states)), request.states)) or None,
        session_id=SessionId(session_id) if session_id else None,
        agent_id=AgentId(agent_id) if agent_id else None,
        created_after=timestamp_from_proto("created_after", after)
        if request.HasField("created_after")
        else None,
        created_before=timestamp_from_proto("created_before", before)
        if request.HasField("created_before")
        else None,
        metadata=tuple(sorted(metadata.items())),
    )


def input_answer_from_proto(request: service_pb.ProvideInputRequest) -> InputAnswer:
    """Whether it suits the request is the service's business."""
    answered = request.WhichOneof("answer")
    return InputAnswer(
        request_id=request.input_id,
        approved=request.approved if answered == "approved" else None,
        text=request.text if answered == "text" else None,
    )


def task_to_proto(task: Task) -> pb.Task:
    """How a task stands."""
    spec = task.spec
    return pb.Task(
        id=task.id,
        state=STATES[task.state],
        instruction=spec.instruction,
        agent_id=spec.agent.id,
        session_id=spec.session_id or "",
        sandbox_id=task.sandbox_id or "",
        configuration=configuration_to_proto(spec.configuration),
        metadata=spec.metadata,
        on_disconnect=pb.ON_DISCONNECT_CANCEL
        if spec.on_disconnect == "cancel"
        else pb.ON_DISCONNECT_CONTINUE,
        create_time=timestamp_to_proto(task.created_at),
        update_time=timestamp_to_proto(task.updated_at),
        start_time=timestamp_to_proto(task.started_at),
        end_time=timestamp_to_proto(task.ended_at),
        expire_time=timestamp_to_proto(task.expires_at),
        attempts=task.epoch,
        first_seq=task.first_seq,
        last_seq=task.last_seq,
        statistics=statistics_to_proto(task.statistics),
        result=None if task.result is None else result_to_proto(task.result),
        failure=None if task.failure is None else _failure_to_proto(task.failure),
        pending_inputs=[input_request_to_proto(request) for request in task.pending],
        pause_requested=task.pause_requested,
    )


def statistics_to_proto(statistics: Statistics) -> pb.Statistics:
    """Counts of a task."""
    return pb.Statistics(
        steps=statistics.steps,
        turns=statistics.turns,
        tool_calls=statistics.tool_calls,
        input_tokens=statistics.input_tokens,
        output_tokens=statistics.output_tokens,
        cost_usd=statistics.cost_usd,
        running_s=statistics.running_s,
    )


def result_to_proto(result: TaskResult) -> pb.TaskResult:
    """What a task gives back."""
    return pb.TaskResult(
        output=text_to_proto(result.output),
        data_json=None if result.data is None else json_to_proto(result.data),
        artifacts=[artifact_to_proto(artifact) for artifact in result.artifacts],
    )


def input_request_to_proto(request: InputRequest) -> pb.InputRequest:
    """What a person is asked."""
    return pb.InputRequest(
        id=request.id,
        kind=_INPUT_KINDS[request.kind],
        prompt=text_to_proto(request.prompt),
        tool=request.tool,
        arguments_json=None if request.arguments_json is None else text_to_proto(request.arguments_json),
        expire_time=timestamp_to_proto(request.expires_at),
    )


def _failure_to_proto(failure: TaskFailure) -> pb.TaskFailure:
    return pb.TaskFailure(reason=failure.reason, message=text_to_proto(failure.message))


def _state_from_proto(index: int, number: int) -> TaskState:
    state = _FROM_STATES.get(number)  # pyright: ignore[reportArgumentType,reportCallIssue]
    if state is None:
        raise InvalidRequestError.of(f"states.{index}", f"unknown value {number}", "UNKNOWN_VALUE")
    return state
