"""Which streams go on from a cursor, told from the request's bytes: admission stands before its parsing."""

from collections.abc import Callable, Mapping
from typing import Final

from google.protobuf.message import DecodeError

from grpc_service.gen.agentgateway.v1 import task_service_pb2 as pb


def _watches_on(raw: bytes) -> bool:
    return pb.WatchTaskRequest.FromString(raw).after_seq > 0


def _watches_all_on(raw: bytes) -> bool:
    return pb.WatchTasksRequest.FromString(raw).after_position > 0


_CURSORS: Final[Mapping[str, Callable[[bytes], bool]]] = {
    "/agentgateway.v1.TaskService/WatchTask": _watches_on,
    "/agentgateway.v1.TaskService/WatchTasks": _watches_all_on,
}


def resumes(method: str, request: object) -> bool:
    """Whether the call of `method` (full name) with these request bytes goes on from a cursor."""
    has_cursor = _CURSORS.get(method)
    if has_cursor is None or not isinstance(request, bytes):
        return False
    try:
        return has_cursor(request)
    except DecodeError:
        return False  # refused when it is parsed
