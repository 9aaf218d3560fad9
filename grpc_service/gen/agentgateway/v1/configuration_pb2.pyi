from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TaskLimits(_message.Message):
    __slots__ = ("max_steps", "wall_time_s", "max_tokens", "max_cost_usd")
    MAX_STEPS_FIELD_NUMBER: _ClassVar[int]
    WALL_TIME_S_FIELD_NUMBER: _ClassVar[int]
    MAX_TOKENS_FIELD_NUMBER: _ClassVar[int]
    MAX_COST_USD_FIELD_NUMBER: _ClassVar[int]
    max_steps: int
    wall_time_s: float
    max_tokens: int
    max_cost_usd: float
    def __init__(self, max_steps: _Optional[int] = ..., wall_time_s: _Optional[float] = ..., max_tokens: _Optional[int] = ..., max_cost_usd: _Optional[float] = ...) -> None: ...

class TaskConfiguration(_message.Message):
    __slots__ = ("model", "model_base_url", "model_api_key", "temperature", "max_output_tokens", "sandbox_kind", "tools", "limits")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    MODEL_BASE_URL_FIELD_NUMBER: _ClassVar[int]
    MODEL_API_KEY_FIELD_NUMBER: _ClassVar[int]
    TEMPERATURE_FIELD_NUMBER: _ClassVar[int]
    MAX_OUTPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    SANDBOX_KIND_FIELD_NUMBER: _ClassVar[int]
    TOOLS_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    model: str
    model_base_url: str
    model_api_key: str
    temperature: float
    max_output_tokens: int
    sandbox_kind: str
    tools: ToolSelection
    limits: TaskLimits
    def __init__(self, model: _Optional[str] = ..., model_base_url: _Optional[str] = ..., model_api_key: _Optional[str] = ..., temperature: _Optional[float] = ..., max_output_tokens: _Optional[int] = ..., sandbox_kind: _Optional[str] = ..., tools: _Optional[_Union[ToolSelection, _Mapping]] = ..., limits: _Optional[_Union[TaskLimits, _Mapping]] = ...) -> None: ...

class ToolSelection(_message.Message):
    __slots__ = ("names",)
    NAMES_FIELD_NUMBER: _ClassVar[int]
    names: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, names: _Optional[_Iterable[str]] = ...) -> None: ...

class Configuration(_message.Message):
    __slots__ = ("values", "etag", "update_time")
    VALUES_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    values: TaskConfiguration
    etag: str
    update_time: _timestamp_pb2.Timestamp
    def __init__(self, values: _Optional[_Union[TaskConfiguration, _Mapping]] = ..., etag: _Optional[str] = ..., update_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class GetConfigurationRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetConfigurationResponse(_message.Message):
    __slots__ = ("configuration",)
    CONFIGURATION_FIELD_NUMBER: _ClassVar[int]
    configuration: Configuration
    def __init__(self, configuration: _Optional[_Union[Configuration, _Mapping]] = ...) -> None: ...

class UpdateConfigurationRequest(_message.Message):
    __slots__ = ("values", "etag")
    VALUES_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    values: TaskConfiguration
    etag: str
    def __init__(self, values: _Optional[_Union[TaskConfiguration, _Mapping]] = ..., etag: _Optional[str] = ...) -> None: ...

class UpdateConfigurationResponse(_message.Message):
    __slots__ = ("configuration",)
    CONFIGURATION_FIELD_NUMBER: _ClassVar[int]
    configuration: Configuration
    def __init__(self, configuration: _Optional[_Union[Configuration, _Mapping]] = ...) -> None: ...
