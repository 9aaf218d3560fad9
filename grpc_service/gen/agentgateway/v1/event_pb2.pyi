from grpc_service.gen.agentgateway.v1 import artifact_pb2 as _artifact_pb2
from grpc_service.gen.agentgateway.v1 import task_pb2 as _task_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Event(_message.Message):
    __slots__ = ("task_id", "seq", "position", "time", "task_submitted", "task_queued", "task_started", "turn_started", "text_produced", "model_retried", "model_responded", "tool_called", "tool_returned", "sandbox_opened", "step_finished", "artifact_created", "progress_reported", "input_requested", "input_provided", "pause_requested", "task_paused", "task_resumed", "task_succeeded", "task_failed", "task_cancelled", "task_expired")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    TASK_SUBMITTED_FIELD_NUMBER: _ClassVar[int]
    TASK_QUEUED_FIELD_NUMBER: _ClassVar[int]
    TASK_STARTED_FIELD_NUMBER: _ClassVar[int]
    TURN_STARTED_FIELD_NUMBER: _ClassVar[int]
    TEXT_PRODUCED_FIELD_NUMBER: _ClassVar[int]
    MODEL_RETRIED_FIELD_NUMBER: _ClassVar[int]
    MODEL_RESPONDED_FIELD_NUMBER: _ClassVar[int]
    TOOL_CALLED_FIELD_NUMBER: _ClassVar[int]
    TOOL_RETURNED_FIELD_NUMBER: _ClassVar[int]
    SANDBOX_OPENED_FIELD_NUMBER: _ClassVar[int]
    STEP_FINISHED_FIELD_NUMBER: _ClassVar[int]
    ARTIFACT_CREATED_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_REPORTED_FIELD_NUMBER: _ClassVar[int]
    INPUT_REQUESTED_FIELD_NUMBER: _ClassVar[int]
    INPUT_PROVIDED_FIELD_NUMBER: _ClassVar[int]
    PAUSE_REQUESTED_FIELD_NUMBER: _ClassVar[int]
    TASK_PAUSED_FIELD_NUMBER: _ClassVar[int]
    TASK_RESUMED_FIELD_NUMBER: _ClassVar[int]
    TASK_SUCCEEDED_FIELD_NUMBER: _ClassVar[int]
    TASK_FAILED_FIELD_NUMBER: _ClassVar[int]
    TASK_CANCELLED_FIELD_NUMBER: _ClassVar[int]
    TASK_EXPIRED_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    seq: int
    position: int
    time: _timestamp_pb2.Timestamp
    task_submitted: TaskSubmitted
    task_queued: TaskQueued
    task_started: TaskStarted
    turn_started: TurnStarted
    text_produced: TextProduced
    model_retried: ModelRetried
    model_responded: ModelResponded
    tool_called: ToolCalled
    tool_returned: ToolReturned
    sandbox_opened: SandboxOpened
    step_finished: StepFinished
    artifact_created: ArtifactCreated
    progress_reported: ProgressReported
    input_requested: InputRequested
    input_provided: InputProvided
    pause_requested: PauseRequested
    task_paused: TaskPaused
    task_resumed: TaskResumed
    task_succeeded: TaskSucceeded
    task_failed: TaskFailed
    task_cancelled: TaskCancelled
    task_expired: TaskExpired
    def __init__(self, task_id: _Optional[str] = ..., seq: _Optional[int] = ..., position: _Optional[int] = ..., time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., task_submitted: _Optional[_Union[TaskSubmitted, _Mapping]] = ..., task_queued: _Optional[_Union[TaskQueued, _Mapping]] = ..., task_started: _Optional[_Union[TaskStarted, _Mapping]] = ..., turn_started: _Optional[_Union[TurnStarted, _Mapping]] = ..., text_produced: _Optional[_Union[TextProduced, _Mapping]] = ..., model_retried: _Optional[_Union[ModelRetried, _Mapping]] = ..., model_responded: _Optional[_Union[ModelResponded, _Mapping]] = ..., tool_called: _Optional[_Union[ToolCalled, _Mapping]] = ..., tool_returned: _Optional[_Union[ToolReturned, _Mapping]] = ..., sandbox_opened: _Optional[_Union[SandboxOpened, _Mapping]] = ..., step_finished: _Optional[_Union[StepFinished, _Mapping]] = ..., artifact_created: _Optional[_Union[ArtifactCreated, _Mapping]] = ..., progress_reported: _Optional[_Union[ProgressReported, _Mapping]] = ..., input_requested: _Optional[_Union[InputRequested, _Mapping]] = ..., input_provided: _Optional[_Union[InputProvided, _Mapping]] = ..., pause_requested: _Optional[_Union[PauseRequested, _Mapping]] = ..., task_paused: _Optional[_Union[TaskPaused, _Mapping]] = ..., task_resumed: _Optional[_Union[TaskResumed, _Mapping]] = ..., task_succeeded: _Optional[_Union[TaskSucceeded, _Mapping]] = ..., task_failed: _Optional[_Union[TaskFailed, _Mapping]] = ..., task_cancelled: _Optional[_Union[TaskCancelled, _Mapping]] = ..., task_expired: _Optional[_Union[TaskExpired, _Mapping]] = ...) -> None: ...

class TaskSubmitted(_message.Message):
    __slots__ = ("instruction", "agent", "session_id")
    INSTRUCTION_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    instruction: str
    agent: str
    session_id: str
    def __init__(self, instruction: _Optional[str] = ..., agent: _Optional[str] = ..., session_id: _Optional[str] = ...) -> None: ...

class TaskQueued(_message.Message):
    __slots__ = ("cause",)
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    cause: str
    def __init__(self, cause: _Optional[str] = ...) -> None: ...

class TaskStarted(_message.Message):
    __slots__ = ("epoch",)
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    def __init__(self, epoch: _Optional[int] = ...) -> None: ...

class TurnStarted(_message.Message):
    __slots__ = ("turn", "model")
    TURN_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    turn: int
    model: str
    def __init__(self, turn: _Optional[int] = ..., model: _Optional[str] = ...) -> None: ...

class TextProduced(_message.Message):
    __slots__ = ("turn", "text")
    TURN_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    turn: int
    text: str
    def __init__(self, turn: _Optional[int] = ..., text: _Optional[str] = ...) -> None: ...

class ModelRetried(_message.Message):
    __slots__ = ("turn", "attempt", "reason", "delay_s")
    TURN_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DELAY_S_FIELD_NUMBER: _ClassVar[int]
    turn: int
    attempt: int
    reason: str
    delay_s: float
    def __init__(self, turn: _Optional[int] = ..., attempt: _Optional[int] = ..., reason: _Optional[str] = ..., delay_s: _Optional[float] = ...) -> None: ...

class ModelResponded(_message.Message):
    __slots__ = ("turn", "text", "tool_calls", "input_tokens", "output_tokens", "cost_usd")
    TURN_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    TOOL_CALLS_FIELD_NUMBER: _ClassVar[int]
    INPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    COST_USD_FIELD_NUMBER: _ClassVar[int]
    turn: int
    text: str
    tool_calls: int
    input_tokens: int
    output_tokens: int
    cost_usd: float
    def __init__(self, turn: _Optional[int] = ..., text: _Optional[str] = ..., tool_calls: _Optional[int] = ..., input_tokens: _Optional[int] = ..., output_tokens: _Optional[int] = ..., cost_usd: _Optional[float] = ...) -> None: ...

class ToolCalled(_message.Message):
    __slots__ = ("turn", "call_id", "tool", "arguments_json")
    TURN_FIELD_NUMBER: _ClassVar[int]
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    TOOL_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_JSON_FIELD_NUMBER: _ClassVar[int]
    turn: int
    call_id: str
    tool: str
    arguments_json: str
    def __init__(self, turn: _Optional[int] = ..., call_id: _Optional[str] = ..., tool: _Optional[str] = ..., arguments_json: _Optional[str] = ...) -> None: ...

class ToolReturned(_message.Message):
    __slots__ = ("turn", "call_id", "tool", "outcome", "output", "duration_s", "error_reason")
    TURN_FIELD_NUMBER: _ClassVar[int]
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    TOOL_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    DURATION_S_FIELD_NUMBER: _ClassVar[int]
    ERROR_REASON_FIELD_NUMBER: _ClassVar[int]
    turn: int
    call_id: str
    tool: str
    outcome: str
    output: str
    duration_s: float
    error_reason: str
    def __init__(self, turn: _Optional[int] = ..., call_id: _Optional[str] = ..., tool: _Optional[str] = ..., outcome: _Optional[str] = ..., output: _Optional[str] = ..., duration_s: _Optional[float] = ..., error_reason: _Optional[str] = ...) -> None: ...

class SandboxOpened(_message.Message):
    __slots__ = ("sandbox_id", "kind")
    SANDBOX_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    sandbox_id: str
    kind: str
    def __init__(self, sandbox_id: _Optional[str] = ..., kind: _Optional[str] = ...) -> None: ...

class StepFinished(_message.Message):
    __slots__ = ("step", "call_id", "action", "outcome", "duration_s", "output", "verified", "screenshot", "error_reason", "isolation")
    STEP_FIELD_NUMBER: _ClassVar[int]
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    DURATION_S_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    VERIFIED_FIELD_NUMBER: _ClassVar[int]
    SCREENSHOT_FIELD_NUMBER: _ClassVar[int]
    ERROR_REASON_FIELD_NUMBER: _ClassVar[int]
    ISOLATION_FIELD_NUMBER: _ClassVar[int]
    step: int
    call_id: str
    action: str
    outcome: str
    duration_s: float
    output: str
    verified: bool
    screenshot: _artifact_pb2.Artifact
    error_reason: str
    isolation: str
    def __init__(self, step: _Optional[int] = ..., call_id: _Optional[str] = ..., action: _Optional[str] = ..., outcome: _Optional[str] = ..., duration_s: _Optional[float] = ..., output: _Optional[str] = ..., verified: bool = ..., screenshot: _Optional[_Union[_artifact_pb2.Artifact, _Mapping]] = ..., error_reason: _Optional[str] = ..., isolation: _Optional[str] = ...) -> None: ...

class ArtifactCreated(_message.Message):
    __slots__ = ("artifact",)
    ARTIFACT_FIELD_NUMBER: _ClassVar[int]
    artifact: _artifact_pb2.Artifact
    def __init__(self, artifact: _Optional[_Union[_artifact_pb2.Artifact, _Mapping]] = ...) -> None: ...

class ProgressReported(_message.Message):
    __slots__ = ("message", "fraction")
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    FRACTION_FIELD_NUMBER: _ClassVar[int]
    message: str
    fraction: float
    def __init__(self, message: _Optional[str] = ..., fraction: _Optional[float] = ...) -> None: ...

class InputRequested(_message.Message):
    __slots__ = ("request",)
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    request: _task_pb2.InputRequest
    def __init__(self, request: _Optional[_Union[_task_pb2.InputRequest, _Mapping]] = ...) -> None: ...

class InputProvided(_message.Message):
    __slots__ = ("request_id", "approved", "text", "by")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    APPROVED_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    approved: bool
    text: str
    by: str
    def __init__(self, request_id: _Optional[str] = ..., approved: bool = ..., text: _Optional[str] = ..., by: _Optional[str] = ...) -> None: ...

class PauseRequested(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class TaskPaused(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class TaskResumed(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class TaskSucceeded(_message.Message):
    __slots__ = ("result", "statistics")
    RESULT_FIELD_NUMBER: _ClassVar[int]
    STATISTICS_FIELD_NUMBER: _ClassVar[int]
    result: _task_pb2.TaskResult
    statistics: _task_pb2.Statistics
    def __init__(self, result: _Optional[_Union[_task_pb2.TaskResult, _Mapping]] = ..., statistics: _Optional[_Union[_task_pb2.Statistics, _Mapping]] = ...) -> None: ...

class TaskFailed(_message.Message):
    __slots__ = ("reason", "message", "statistics")
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    STATISTICS_FIELD_NUMBER: _ClassVar[int]
    reason: str
    message: str
    statistics: _task_pb2.Statistics
    def __init__(self, reason: _Optional[str] = ..., message: _Optional[str] = ..., statistics: _Optional[_Union[_task_pb2.Statistics, _Mapping]] = ...) -> None: ...

class TaskCancelled(_message.Message):
    __slots__ = ("cause", "by", "statistics")
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    STATISTICS_FIELD_NUMBER: _ClassVar[int]
    cause: str
    by: str
    statistics: _task_pb2.Statistics
    def __init__(self, cause: _Optional[str] = ..., by: _Optional[str] = ..., statistics: _Optional[_Union[_task_pb2.Statistics, _Mapping]] = ...) -> None: ...

class TaskExpired(_message.Message):
    __slots__ = ("waited_in", "statistics")
    WAITED_IN_FIELD_NUMBER: _ClassVar[int]
    STATISTICS_FIELD_NUMBER: _ClassVar[int]
    waited_in: str
    statistics: _task_pb2.Statistics
    def __init__(self, waited_in: _Optional[str] = ..., statistics: _Optional[_Union[_task_pb2.Statistics, _Mapping]] = ...) -> None: ...
