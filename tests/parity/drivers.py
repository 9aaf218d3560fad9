"""One client, two protocols: the same requests in, the same plain answers or refusals out.


A request is the RPC's message as plain values: enums in lower case, `arguments` as JSON values,
times as RFC 3339 text. Each driver puts it on its wire and brings the answer back to that form.
"""

# protobuf types its descriptors twice (pure Python and upb), and grpc leaves its metadata half open.
# pyright: reportArgumentType=false, reportOptionalMemberAccess=false, reportGeneralTypeIssues=false, reportAttributeAccessIssue=false

import json
import re
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Protocol
from urllib.parse import quote

import grpc.aio
import httpx
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2, status_pb2

from rest_api.operations import OPERATIONS

Plain = dict[str, Any]
FILES = (
    "access_service",
    "agent",
    "artifact",
    "budget_service",
    "configuration",
    "key_service",
    "sandbox_service",
    "server_service",
    "session_service",
    "task_service",
    "tool_service",
)
TIMEOUT_S = 30.0


@dataclass
class RefusedError(Exception):
    """A refusal, the same on both protocols. `fields` are those a violation names, sorted."""

    reason: str
    fields: list[str] = field(default_factory=list)
    retry: bool = False


class Driver(Protocol):
    """A caller of the native API."""

    name: str

    async def call(self, rpc: str, **request: Any) -> Plain: ...

    def stream(self, rpc: str, **request: Any) -> AsyncGenerator[Plain]: ...


def services() -> dict[str, ServiceDescriptor]:
    """The native services by short name."""
    found: dict[str, ServiceDescriptor] = {}
    for file in FILES:
        module = import_module(f"grpc_service.gen.agentgateway.v1.{file}_pb2")
        found |= dict(module.DESCRIPTOR.services_by_name)
    return found


SERVICES = services()


class GrpcDriver:
    """Over gRPC, by the descriptors alone."""

    name = "grpc"

    def __init__(self, channel: grpc.aio.Channel, metadata: tuple[tuple[str, str], ...] = ()) -> None:
        self._channel = channel
        self._metadata = metadata

    async def call(self, rpc: str, **request: Any) -> Plain:
        service, method = rpc.split("/")
        descriptor = SERVICES[service].methods_by_name[method]
        call = self._channel.unary_unary(
            f"/agentgateway.v1.{rpc}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=GetMessageClass(descriptor.output_type).FromString,
        )
        metadata = self._metadata
        if "request_id" in request and "request_id" not in descriptor.input_type.fields_by_name:
            metadata = (*metadata, ("idempotency-key", json.dumps(request.pop("request_id"))))
        try:
            answer = await call(
                _message(descriptor.input_type, request), timeout=TIMEOUT_S, metadata=metadata
            )
        except grpc.aio.AioRpcError as error:
            raise _refusal(error) from None
        plain = _plain(answer)
        if method == "ListTaskEvents":
            plain["events"] = [_flat(event) for event in plain["events"]]
        return _unwrapped(plain, descriptor.output_type)

    async def stream(self, rpc: str, **request: Any) -> AsyncGenerator[Plain]:
        service, method = rpc.split("/")
        descriptor = SERVICES[service].methods_by_name[method]
        open_call = self._channel.unary_stream(
            f"/agentgateway.v1.{rpc}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=GetMessageClass(descriptor.output_type).FromString,
        )
        call = open_call(_message(descriptor.input_type, request), timeout=TIMEOUT_S, metadata=self._metadata)
        try:
            async for message in call:
                if method == "ReadArtifact":
                    yield {"data": message.data}
                    continue
                plain = _plain(message)
                if "task" in plain:
                    yield {"task": plain["task"]}
                for event in plain.get("events", []):
                    yield _flat(event)
                if "notice" in plain and "heartbeat" not in plain["notice"]:
                    yield {"notice": plain["notice"]}
        except grpc.aio.AioRpcError as error:
            raise _refusal(error) from None
        finally:
            call.cancel()


class RestDriver:
    """Over REST, by the table of operations."""

    name = "rest"

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def call(self, rpc: str, **request: Any) -> Plain:
        method, path, headers, query, body = _http(rpc, dict(request))
        answer = await self._client.request(
            method, path, headers=headers, params=query, json=body, timeout=TIMEOUT_S
        )
        _check(answer)
        if answer.status_code == 204:
            return {}
        plain = answer.json()
        if rpc == "ArtifactService/GetArtifact" and "artifact" not in plain:
            create_time = plain.pop("create_time", None)
            return {"artifact": plain, "create_time": create_time}
        return plain

    async def stream(self, rpc: str, **request: Any) -> AsyncGenerator[Plain]:
        method, path, headers, query, body = _http(rpc, dict(request))
        if rpc != "ArtifactService/ReadArtifact":
            headers["Accept"] = "text/event-stream"
        async with self._client.stream(
            method, path, headers=headers, params=query, json=body, timeout=TIMEOUT_S
        ) as answer:
            if answer.status_code >= 400:
                await answer.aread()
            _check(answer)
            if rpc == "ArtifactService/ReadArtifact":
                async for chunk in answer.aiter_bytes():
                    yield {"data": chunk}
                return
            async for name, data in _sse(answer):
                if name == "task":
                    yield {"task": data}
                elif name in ("gap", "drain"):
                    yield {"notice": {name: data}}
                else:
                    yield data


async def _sse(answer: httpx.Response) -> AsyncGenerator[tuple[str, Any]]:
    name, data = "message", ""
    async for line in answer.aiter_lines():
        if line.startswith("event: "):
            name = line[7:]
        elif line.startswith("data: "):
            data += line[6:]
        elif not line:
            if data:
                yield name, json.loads(data)
            name, data = "message", ""


def _http(rpc: str, request: Plain) -> tuple[str, str, dict[str, str], list[tuple[str, str]], Plain | None]:
    method, template = OPERATIONS[rpc]
    headers: dict[str, str] = {}
    path = re.sub(r"\{(\w+)\}", lambda match: quote(str(request.pop(match[1])), safe=""), template)
    if "request_id" in request:
        headers["Idempotency-Key"] = json.dumps(request.pop("request_id"))
    if "wait" in request:
        headers["Prefer"] = "wait=" + request.pop("wait").removesuffix("s")
    if request.get("etag"):
        headers["If-Match"] = '"' + request.pop("etag") + '"'
    request.pop("etag", None)
    for nested in ("task", "agent"):
        if isinstance(request.get(nested), dict):
            request |= request.pop(nested)
    if rpc == "ArtifactService/ReadArtifact":
        offset, length = request.pop("offset", 0), request.pop("length", 0)
        if offset or length:
            headers["Range"] = f"bytes={offset}-" + (str(offset + length - 1) if length else "")
    query: list[tuple[str, str]] = []
    if method in ("GET", "DELETE"):
        for asked, value in request.items():
            name = {"states": "state", "after_seq": "after", "after_position": "after"}.get(asked, asked)
            if isinstance(value, dict):
                query += [(f"{name}.{key}", one) for key, one in value.items()]
            else:
                query += [(name, _query(one)) for one in (value if isinstance(value, list) else [value])]
        return method, path, headers, query, None
    return method, path, headers, query, request


def _query(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _check(answer: httpx.Response) -> None:
    if answer.status_code < 400:
        return
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    problem = answer.json()
    assert problem["status"] == answer.status_code
    fields = sorted(
        error["pointer"].removeprefix("#/").replace("/", ".")
        for error in problem.get("errors", [])
        if "pointer" in error
    )
    raise RefusedError(problem["reason"], fields, "Retry-After" in answer.headers)


def _refusal(error: grpc.aio.AioRpcError) -> RefusedError:
    refused = RefusedError(reason=f"grpc {error.code().name}: {error.details()}")
    for name, value in error.trailing_metadata() or ():
        if name != "grpc-status-details-bin":
            continue
        status = status_pb2.Status.FromString(value)
        for detail in status.details:
            info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
            if detail.Unpack(info):
                refused.reason = info.reason
            elif detail.Unpack(bad):
                refused.fields = sorted(violation.field for violation in bad.field_violations)
            elif detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR):
                refused.retry = True
    return refused


def _message(descriptor: Descriptor, request: Plain) -> Message:
    message = GetMessageClass(descriptor)()
    json_format.ParseDict(_wire(descriptor, request), message)
    return message


def _wire(descriptor: Descriptor, request: Plain) -> Plain:
    """Plain values as proto JSON."""
    wired: Plain = {}
    for name, value in request.items():
        if name not in descriptor.fields_by_name and f"{name}_json" in descriptor.fields_by_name:
            wired[f"{name}_json"] = json.dumps(value)
            continue
        spec = descriptor.fields_by_name[name]
        if name == "tools" and spec.message_type is not None and spec.message_type.name == "ToolSelection":
            wired[name] = {"names": value}
        elif spec.enum_type is not None:
            prefix = _prefix(spec)
            wired[name] = (
                [prefix + one.upper() for one in value] if isinstance(value, list) else prefix + value.upper()
            )
        elif (
            spec.message_type is not None
            and isinstance(value, dict)
            and not spec.message_type.GetOptions().map_entry
        ):
            wired[name] = _wire(spec.message_type, value)
        else:
            wired[name] = value
    return wired


def _plain(message: Message) -> Plain:
    plain: Plain = {}
    for spec in message.DESCRIPTOR.fields:
        if spec.has_presence and not message.HasField(spec.name):
            continue
        value = getattr(message, spec.name)
        if spec.message_type is not None and spec.message_type.GetOptions().map_entry:
            value = dict(value)
        elif spec.is_repeated:
            value = [_one(spec, one) for one in value]
        else:
            value = _one(spec, value)
        name = spec.name
        if name.endswith("_json"):
            name, value = name.removesuffix("_json"), json.loads(value) if value else None
        if isinstance(value, str) and value == "" and name.endswith(("_id", "next_cursor", "etag")):
            continue  # what is not set is left out on REST
        plain[name] = value
    return plain


def _one(spec: FieldDescriptor, value: Any) -> Any:
    if spec.enum_type is not None:
        return spec.enum_type.values_by_number[value].name.removeprefix(_prefix(spec)).lower()
    if spec.message_type is None:
        return value
    if spec.message_type.full_name in ("google.protobuf.Timestamp", "google.protobuf.Duration"):
        return value.ToJsonString()
    if spec.message_type.name == "ToolSelection":
        return list(value.names)
    return _plain(value)


def _prefix(spec: FieldDescriptor) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", spec.enum_type.name).upper() + "_"


def _flat(event: Plain) -> Plain:
    """An event as REST shows it: its type by name, its fields beside the envelope's."""
    envelope = {name: event[name] for name in ("task_id", "seq", "position", "time")}
    ((kind, fields),) = ((name, value) for name, value in event.items() if name not in envelope)
    return {"type": kind.replace("_", ".", 1), **envelope, **fields}


def _unwrapped(plain: Plain, descriptor: Descriptor) -> Plain:
    """REST answers with the resource itself where the RPC's response holds just one."""
    if len(descriptor.fields) == 1 and descriptor.fields[0].message_type is not None:
        only = descriptor.fields[0]
        if not only.is_repeated and descriptor.name != "CaptureScreenshotResponse":
            return plain.get(only.name, {})
    return plain
