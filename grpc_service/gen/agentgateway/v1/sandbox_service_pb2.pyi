from grpc_service.gen.agentgateway.v1 import artifact_pb2 as _artifact_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Availability(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    AVAILABILITY_UNSPECIFIED: _ClassVar[Availability]
    AVAILABILITY_OK: _ClassVar[Availability]
    AVAILABILITY_DEGRADED: _ClassVar[Availability]
    AVAILABILITY_UNAVAILABLE: _ClassVar[Availability]

class SandboxState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SANDBOX_STATE_UNSPECIFIED: _ClassVar[SandboxState]
    SANDBOX_STATE_OPEN: _ClassVar[SandboxState]
    SANDBOX_STATE_CLOSED: _ClassVar[SandboxState]
    SANDBOX_STATE_LOST: _ClassVar[SandboxState]
AVAILABILITY_UNSPECIFIED: Availability
AVAILABILITY_OK: Availability
AVAILABILITY_DEGRADED: Availability
AVAILABILITY_UNAVAILABLE: Availability
SANDBOX_STATE_UNSPECIFIED: SandboxState
SANDBOX_STATE_OPEN: SandboxState
SANDBOX_STATE_CLOSED: SandboxState
SANDBOX_STATE_LOST: SandboxState

class SandboxKind(_message.Message):
    __slots__ = ("kind", "description", "availability", "reasons", "install", "capabilities", "actions")
    KIND_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    AVAILABILITY_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    INSTALL_FIELD_NUMBER: _ClassVar[int]
    CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    ACTIONS_FIELD_NUMBER: _ClassVar[int]
    kind: str
    description: str
    availability: Availability
    reasons: _containers.RepeatedScalarFieldContainer[str]
    install: str
    capabilities: _containers.RepeatedScalarFieldContainer[str]
    actions: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, kind: _Optional[str] = ..., description: _Optional[str] = ..., availability: _Optional[_Union[Availability, str]] = ..., reasons: _Optional[_Iterable[str]] = ..., install: _Optional[str] = ..., capabilities: _Optional[_Iterable[str]] = ..., actions: _Optional[_Iterable[str]] = ...) -> None: ...

class Sandbox(_message.Message):
    __slots__ = ("id", "kind", "state", "create_time", "expire_time", "task_id", "session_id")
    ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    kind: str
    state: SandboxState
    create_time: _timestamp_pb2.Timestamp
    expire_time: _timestamp_pb2.Timestamp
    task_id: str
    session_id: str
    def __init__(self, id: _Optional[str] = ..., kind: _Optional[str] = ..., state: _Optional[_Union[SandboxState, str]] = ..., create_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., expire_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., task_id: _Optional[str] = ..., session_id: _Optional[str] = ...) -> None: ...

class StepResult(_message.Message):
    __slots__ = ("action", "status", "start_time", "duration_s", "output", "data_json", "screenshot", "artifacts", "verified", "error_reason", "isolation")
    ACTION_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    DURATION_S_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    DATA_JSON_FIELD_NUMBER: _ClassVar[int]
    SCREENSHOT_FIELD_NUMBER: _ClassVar[int]
    ARTIFACTS_FIELD_NUMBER: _ClassVar[int]
    VERIFIED_FIELD_NUMBER: _ClassVar[int]
    ERROR_REASON_FIELD_NUMBER: _ClassVar[int]
    ISOLATION_FIELD_NUMBER: _ClassVar[int]
    action: str
    status: str
    start_time: _timestamp_pb2.Timestamp
    duration_s: float
    output: str
    data_json: str
    screenshot: _artifact_pb2.Artifact
    artifacts: _containers.RepeatedCompositeFieldContainer[_artifact_pb2.Artifact]
    verified: Verification
    error_reason: str
    isolation: str
    def __init__(self, action: _Optional[str] = ..., status: _Optional[str] = ..., start_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., duration_s: _Optional[float] = ..., output: _Optional[str] = ..., data_json: _Optional[str] = ..., screenshot: _Optional[_Union[_artifact_pb2.Artifact, _Mapping]] = ..., artifacts: _Optional[_Iterable[_Union[_artifact_pb2.Artifact, _Mapping]]] = ..., verified: _Optional[_Union[Verification, _Mapping]] = ..., error_reason: _Optional[str] = ..., isolation: _Optional[str] = ...) -> None: ...

class Verification(_message.Message):
    __slots__ = ("expected", "seen", "ok")
    EXPECTED_FIELD_NUMBER: _ClassVar[int]
    SEEN_FIELD_NUMBER: _ClassVar[int]
    OK_FIELD_NUMBER: _ClassVar[int]
    expected: str
    seen: str
    ok: bool
    def __init__(self, expected: _Optional[str] = ..., seen: _Optional[str] = ..., ok: bool = ...) -> None: ...

class ListSandboxKindsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListSandboxKindsResponse(_message.Message):
    __slots__ = ("kinds",)
    KINDS_FIELD_NUMBER: _ClassVar[int]
    kinds: _containers.RepeatedCompositeFieldContainer[SandboxKind]
    def __init__(self, kinds: _Optional[_Iterable[_Union[SandboxKind, _Mapping]]] = ...) -> None: ...

class CreateSandboxRequest(_message.Message):
    __slots__ = ("kind", "max_life_s")
    KIND_FIELD_NUMBER: _ClassVar[int]
    MAX_LIFE_S_FIELD_NUMBER: _ClassVar[int]
    kind: str
    max_life_s: int
    def __init__(self, kind: _Optional[str] = ..., max_life_s: _Optional[int] = ...) -> None: ...

class CreateSandboxResponse(_message.Message):
    __slots__ = ("sandbox",)
    SANDBOX_FIELD_NUMBER: _ClassVar[int]
    sandbox: Sandbox
    def __init__(self, sandbox: _Optional[_Union[Sandbox, _Mapping]] = ...) -> None: ...

class GetSandboxRequest(_message.Message):
    __slots__ = ("sandbox_id",)
    SANDBOX_ID_FIELD_NUMBER: _ClassVar[int]
    sandbox_id: str
    def __init__(self, sandbox_id: _Optional[str] = ...) -> None: ...

class GetSandboxResponse(_message.Message):
    __slots__ = ("sandbox",)
    SANDBOX_FIELD_NUMBER: _ClassVar[int]
    sandbox: Sandbox
    def __init__(self, sandbox: _Optional[_Union[Sandbox, _Mapping]] = ...) -> None: ...

class ListSandboxesRequest(_message.Message):
    __slots__ = ("page_size", "cursor")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    cursor: str
    def __init__(self, page_size: _Optional[int] = ..., cursor: _Optional[str] = ...) -> None: ...

class ListSandboxesResponse(_message.Message):
    __slots__ = ("sandboxes", "next_cursor")
    SANDBOXES_FIELD_NUMBER: _ClassVar[int]
    NEXT_CURSOR_FIELD_NUMBER: _ClassVar[int]
    sandboxes: _containers.RepeatedCompositeFieldContainer[Sandbox]
    next_cursor: str
    def __init__(self, sandboxes: _Optional[_Iterable[_Union[Sandbox, _Mapping]]] = ..., next_cursor: _Optional[str] = ...) -> None: ...

class ActInSandboxRequest(_message.Message):
    __slots__ = ("sandbox_id", "action", "arguments_json")
    SANDBOX_ID_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_JSON_FIELD_NUMBER: _ClassVar[int]
    sandbox_id: str
    action: str
    arguments_json: str
    def __init__(self, sandbox_id: _Optional[str] = ..., action: _Optional[str] = ..., arguments_json: _Optional[str] = ...) -> None: ...

class ActInSandboxResponse(_message.Message):
    __slots__ = ("result",)
    RESULT_FIELD_NUMBER: _ClassVar[int]
    result: StepResult
    def __init__(self, result: _Optional[_Union[StepResult, _Mapping]] = ...) -> None: ...

class CaptureScreenshotRequest(_message.Message):
    __slots__ = ("sandbox_id",)
    SANDBOX_ID_FIELD_NUMBER: _ClassVar[int]
    sandbox_id: str
    def __init__(self, sandbox_id: _Optional[str] = ...) -> None: ...

class CaptureScreenshotResponse(_message.Message):
    __slots__ = ("screenshot",)
    SCREENSHOT_FIELD_NUMBER: _ClassVar[int]
    screenshot: _artifact_pb2.Artifact
    def __init__(self, screenshot: _Optional[_Union[_artifact_pb2.Artifact, _Mapping]] = ...) -> None: ...

class DeleteSandboxRequest(_message.Message):
    __slots__ = ("sandbox_id",)
    SANDBOX_ID_FIELD_NUMBER: _ClassVar[int]
    sandbox_id: str
    def __init__(self, sandbox_id: _Optional[str] = ...) -> None: ...

class DeleteSandboxResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
