from grpc_service.gen.agentgateway.v1 import artifact_pb2 as _artifact_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Danger(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DANGER_UNSPECIFIED: _ClassVar[Danger]
    DANGER_SAFE: _ClassVar[Danger]
    DANGER_CAUTION: _ClassVar[Danger]
    DANGER_DANGEROUS: _ClassVar[Danger]
DANGER_UNSPECIFIED: Danger
DANGER_SAFE: Danger
DANGER_CAUTION: Danger
DANGER_DANGEROUS: Danger

class Tool(_message.Message):
    __slots__ = ("name", "title", "description", "parameters_json", "category", "tags", "danger", "requires_approval", "permissions", "rate_limit_per_minute", "cache_ttl_s", "timeout_s", "needs_sandbox", "available", "unavailable_reason", "version")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_JSON_FIELD_NUMBER: _ClassVar[int]
    CATEGORY_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    DANGER_FIELD_NUMBER: _ClassVar[int]
    REQUIRES_APPROVAL_FIELD_NUMBER: _ClassVar[int]
    PERMISSIONS_FIELD_NUMBER: _ClassVar[int]
    RATE_LIMIT_PER_MINUTE_FIELD_NUMBER: _ClassVar[int]
    CACHE_TTL_S_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_S_FIELD_NUMBER: _ClassVar[int]
    NEEDS_SANDBOX_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_FIELD_NUMBER: _ClassVar[int]
    UNAVAILABLE_REASON_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    name: str
    title: str
    description: str
    parameters_json: str
    category: str
    tags: _containers.RepeatedScalarFieldContainer[str]
    danger: Danger
    requires_approval: bool
    permissions: _containers.RepeatedScalarFieldContainer[str]
    rate_limit_per_minute: int
    cache_ttl_s: float
    timeout_s: float
    needs_sandbox: bool
    available: bool
    unavailable_reason: str
    version: str
    def __init__(self, name: _Optional[str] = ..., title: _Optional[str] = ..., description: _Optional[str] = ..., parameters_json: _Optional[str] = ..., category: _Optional[str] = ..., tags: _Optional[_Iterable[str]] = ..., danger: _Optional[_Union[Danger, str]] = ..., requires_approval: bool = ..., permissions: _Optional[_Iterable[str]] = ..., rate_limit_per_minute: _Optional[int] = ..., cache_ttl_s: _Optional[float] = ..., timeout_s: _Optional[float] = ..., needs_sandbox: bool = ..., available: bool = ..., unavailable_reason: _Optional[str] = ..., version: _Optional[str] = ...) -> None: ...

class ListToolsRequest(_message.Message):
    __slots__ = ("category", "tag", "available_only")
    CATEGORY_FIELD_NUMBER: _ClassVar[int]
    TAG_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_ONLY_FIELD_NUMBER: _ClassVar[int]
    category: str
    tag: str
    available_only: bool
    def __init__(self, category: _Optional[str] = ..., tag: _Optional[str] = ..., available_only: bool = ...) -> None: ...

class ListToolsResponse(_message.Message):
    __slots__ = ("tools",)
    TOOLS_FIELD_NUMBER: _ClassVar[int]
    tools: _containers.RepeatedCompositeFieldContainer[Tool]
    def __init__(self, tools: _Optional[_Iterable[_Union[Tool, _Mapping]]] = ...) -> None: ...

class GetToolRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetToolResponse(_message.Message):
    __slots__ = ("tool",)
    TOOL_FIELD_NUMBER: _ClassVar[int]
    tool: Tool
    def __init__(self, tool: _Optional[_Union[Tool, _Mapping]] = ...) -> None: ...

class ExecuteToolRequest(_message.Message):
    __slots__ = ("name", "arguments_json", "sandbox_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_JSON_FIELD_NUMBER: _ClassVar[int]
    SANDBOX_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    arguments_json: str
    sandbox_id: str
    def __init__(self, name: _Optional[str] = ..., arguments_json: _Optional[str] = ..., sandbox_id: _Optional[str] = ...) -> None: ...

class ExecuteToolResponse(_message.Message):
    __slots__ = ("ok", "output", "data_json", "artifacts", "error_reason", "cached", "duration_s")
    OK_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    DATA_JSON_FIELD_NUMBER: _ClassVar[int]
    ARTIFACTS_FIELD_NUMBER: _ClassVar[int]
    ERROR_REASON_FIELD_NUMBER: _ClassVar[int]
    CACHED_FIELD_NUMBER: _ClassVar[int]
    DURATION_S_FIELD_NUMBER: _ClassVar[int]
    ok: bool
    output: str
    data_json: str
    artifacts: _containers.RepeatedCompositeFieldContainer[_artifact_pb2.Artifact]
    error_reason: str
    cached: bool
    duration_s: float
    def __init__(self, ok: bool = ..., output: _Optional[str] = ..., data_json: _Optional[str] = ..., artifacts: _Optional[_Iterable[_Union[_artifact_pb2.Artifact, _Mapping]]] = ..., error_reason: _Optional[str] = ..., cached: bool = ..., duration_s: _Optional[float] = ...) -> None: ...
