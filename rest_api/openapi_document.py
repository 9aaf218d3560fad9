"""The OpenAPI document: what FastAPI makes, finished with what it cannot know."""

from collections.abc import Iterator
from typing import Any, Final

import orjson
from pydantic import TypeAdapter
from pydantic.json_schema import models_json_schema

from app.policy.admission import MAX_TIMEOUT_S
from app.policy.quota_fields import NAMES
from app.policy.use_cases import USE_CASES
from rest_api.browsers import SECURE_NAME, TICKET
from rest_api.errors import MEDIA_TYPE, STANDARD_TYPES, TYPES
from rest_api.negotiation import ETAG_PATTERN, SHORTEST_TIMEOUT_S
from rest_api.operations import OPERATIONS, PACKAGE, PUBLIC, STREAMED, operation_id_of
from rest_api.schemas.events import DrainOut, EventOut, GapOut
from rest_api.schemas.problem import Problem

Document = dict[str, Any]

DESCRIPTION: Final = """\
One process that puts AI agents behind every protocol their users speak. This API and the gRPC package
`agentgateway.v1` are the same use cases under the same names, limits and error reasons.

**Errors** are `application/problem+json` (RFC 9457); `reason` says what happened.
**Streams** are server-sent events: `id` is the cursor to come back with (`Last-Event-ID`), `event` the
type, `data` the same JSON as in a page of events. A stream ends with the task's terminal event, or
with `drain` when the server shuts down; an end without either means that the connection was cut.
**Deadlines**: `Request-Timeout` (seconds) ends the call, never the task (unless `on_disconnect` says so).
**Limits**: where they are set, `RateLimit-Policy` and `RateLimit` tell how they stand; a refusal is 429
with `Retry-After`.
"""

TAGS: Final[list[dict[str, Any]]] = [
    {"name": "tasks", "description": "An instruction carried out by an agent: submit, read, steer, forget."},
    {"name": "events", "description": "Everything that happens to a task, in pages or as a stream."},
    {"name": "sessions", "description": "A later task continues an earlier one's conversation and sandbox."},
    {"name": "sandboxes", "description": "Where actions are carried out; callers may drive their own."},
    {"name": "artifacts", "description": "Files and screenshots, by the digest of their bytes."},
    {"name": "tools", "description": "What agents can do; callers may call a tool directly."},
    {"name": "agents", "description": "Instructions, model, tools, sandbox and limits under a name."},
    {"name": "configuration", "description": "The tenant's defaults, merged under every task's own."},
    {"name": "access", "description": "Who am I, and how a browser gets in: sessions, tickets for streams."},
    {"name": "budgets", "description": "What the tenant may use in a day, and what is left of it."},
    {"name": "keys", "description": "Who may call: API keys of the tenant, their scopes, rotation and end."},
    {"name": "server", "description": "What this process is, and the models it can use."},
    {"name": "health", "description": "Probes and metrics; served without credentials."},
]

_STREAM_EXAMPLE: Final = """\
retry: 1000

id: 1
event: task.submitted
data: {"type":"task.submitted","task_id":"task_01k...","seq":1,"position":7,"time":"...","instruction":"..."}

: hb

id: 9
event: task.succeeded
data: {"type":"task.succeeded","task_id":"task_01k...","seq":9,"position":15,"time":"...","result":{...}}
"""

_REF: Final = "#/components/schemas/"
_STREAM_DATA: Final = ("Event", "GapOut", "DrainOut", "Problem")
_STREAM_ITEM: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "id": {"type": "string", "description": "The cursor to come back with."},
        "event": {"type": "string"},
        "data": {
            "type": "string",
            "contentMediaType": "application/json",
            "contentSchema": {"anyOf": [{"$ref": f"{_REF}{name}"} for name in _STREAM_DATA]},
        },
    },
}
"""One server-sent event, in OpenAPI 3.2's word for it; readers of 3.1 skip it."""

_BODY_EXAMPLES: Final[dict[str, dict[str, Any]]] = {
    "submitTask": {
        "a file": {
            "summary": "Write and read a file, without any model",
            "value": {"instruction": "write hello into greeting.txt, then read it back"},
        },
        "a model": {
            "summary": "A model of one's own choice, with limits",
            "value": {
                "instruction": "Summarise report.txt in three sentences.",
                "configuration": {"model": "openai:gpt-5", "limits": {"max_steps": 20, "wall_time_s": 120}},
                "metadata": {"team": "docs"},
            },
        },
    },
    "cancelTask": {"a reason": {"value": {"reason": "no longer needed"}}},
    "provideInput": {
        "an approval": {"value": {"approved": True}},
        "words": {"value": {"text": "the blue one"}},
    },
    "actInSandbox": {
        "write a file": {
            "value": {"action": "write_file", "arguments": {"path": "notes.txt", "content": "hello"}}
        }
    },
    "executeTool": {"a calculation": {"value": {"arguments": {"expression": "6 * 7"}}}},
    "updateConfiguration": {"a model": {"value": {"values": {"model": "interpreter"}}}},
    "createStreamTicket": {"events of a task": {"value": {"path": "/v1/tasks/task_01k.../events"}}},
    "createKey": {
        "a reader": {
            "value": {"name": "dashboard", "scopes": ["tasks:read"], "expire_time": "2030-01-01T00:00:00Z"}
        }
    },
    "rotateKey": {"a day to change it": {"value": {"overlap_s": 86400}}},
    "createAgent": {
        "a careful one": {
            "value": {"id": "careful", "instructions": "Check every result.", "description": "Checks twice."}
        }
    },
}

_MESSAGES: Final = {
    "AgentIn": "AgentInput",
    "ConfigurationFields": "TaskConfiguration",
    "LimitsFields": "TaskLimits",
    "ServerInfoOut": "GetServerInfoResponse",
    "TaskIn": "TaskInput",
}

_IDEMPOTENCY_KEY: Final[dict[str, Any]] = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "Makes a retry safe: the same key and request get the first answer (with "
    "`Idempotency-Replayed: true`; a task with 200). While the first is under way: 409. With another "
    "request: 422. A quoted string of at most 255 characters.",
    "schema": {"type": "string"},
    "example": '"8e03978e-40d5-43e8-bc93-6894a57f9324"',
}
_KEYED: Final = frozenset(operation_id_of(name) for name, use_case in USE_CASES.items() if use_case.takes_key)
_LAST_EVENT_ID: Final[dict[str, Any]] = {
    "name": "Last-Event-ID",
    "in": "header",
    "description": "The id of the last event seen; browsers send it by themselves.",
    "schema": {"type": "integer", "format": "int64"},
}
_TIMEOUT: Final[dict[str, Any]] = {
    "name": "Request-Timeout",
    "in": "header",
    "description": "Seconds after which the call (not the task) ends with 504; 60 where a call gives none.",
    "schema": {"type": "number", "minimum": SHORTEST_TIMEOUT_S, "maximum": MAX_TIMEOUT_S},
}


_LIMIT_HEADERS: Final[Document] = {
    "RateLimit-Policy": {
        "description": "The limits this call met (draft-ietf-httpapi-ratelimit-headers-11): `q` calls in `w` "
        "seconds, or at a time (`qu`). Only where limits are set.",
        "schema": {"type": "string"},
        "example": '"principal-submit";q=600;w=60, "tenant-open-calls";q=50;qu="concurrent-requests"',
    },
    "RateLimit": {
        "description": "What is left of them: `r` more calls within `t` seconds.",
        "schema": {"type": "string"},
        "example": '"principal-submit";r=598;t=1, "tenant-open-calls";r=49',
    },
    "X-RateLimit-Limit": {"description": "The tightest limit.", "schema": {"type": "integer"}},
    "X-RateLimit-Remaining": {"description": "What is left of it.", "schema": {"type": "integer"}},
    "X-RateLimit-Reset": {
        "description": "Seconds until it is whole; when nothing is left, until one more call is let through.",
        "schema": {"type": "integer"},
    },
    "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}},
}


def finished(document: Document) -> Document:
    """FastAPI's document with our errors, streams, headers, examples and credentials, and no nulls."""
    components = document.setdefault("components", {})
    schemas: Document = components.setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    _, more = models_json_schema(
        [(Problem, "serialization"), (GapOut, "serialization"), (DrainOut, "serialization")],
        ref_template=_REF + "{model}",
    )
    event = TypeAdapter(EventOut).json_schema(mode="serialization", ref_template=_REF + "{model}")
    schemas.update(more["$defs"])
    schemas.update(event.pop("$defs"))
    schemas["Event"] = {"title": "Event", **event}
    components["headers"] = dict(_LIMIT_HEADERS)
    components["responses"] = {"Limited": _limited_response(), "Problem": _problem_response()}
    components["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer"},
        "apiKey": {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
        "browserSession": {"type": "apiKey", "in": "cookie", "name": SECURE_NAME},
        "streamTicket": {"type": "apiKey", "in": "query", "name": TICKET},
    }
    schemes = ("bearer", "apiKey", "browserSession")
    document["security"] = [{}, *({scheme: []} for scheme in schemes)]
    for path, method, operation in _operations(document):
        _finish(path, operation)
        if method == "get" and path not in PUBLIC:
            operation["security"] = [*document["security"], {"streamTicket": []}]
    _without_nulls(document)
    components["schemas"] = {name: schemas[name] for name in sorted(schemas)}
    return _renamed(document)


def _renamed(document: Document) -> Document:
    """Schemas under the names that the same messages have in `agentgateway.v1`."""
    names = {name: _message_name(name) for name in document["components"]["schemas"]}
    text = orjson.dumps(document).decode()
    for name, better in names.items():
        text = text.replace(f'"{_REF}{name}"', f'"{_REF}{better}"')
    renamed: Document = orjson.loads(text)
    schemas = renamed["components"]["schemas"]
    found = sorted((better, schemas[name] | {"title": better}) for name, better in names.items())
    renamed["components"]["schemas"] = dict(found)
    return renamed


def _message_name(name: str) -> str:
    if name in _MESSAGES:
        return _MESSAGES[name]
    if name.endswith("Out"):
        stem = name.removesuffix("Out")
        return (
            f"{stem}Response"
            if stem.startswith(("Get", "List", "Execute", "Capture", "Create", "Rotate"))
            else stem
        )
    return f"{name.removesuffix('In')}Request" if name.endswith("In") else name


def _operations(document: Document) -> Iterator[tuple[str, str, Document]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield path, method, operation


def _finish(path: str, operation: Document) -> None:
    name = operation["operationId"]
    responses: Document = operation["responses"]
    responses.pop("422", None)
    if path in PUBLIC:
        operation["security"] = []
    else:
        for response in responses.values():
            response["headers"] = {**response.get("headers", {}), **_header_refs()}
        responses["429"] = {"$ref": "#/components/responses/Limited"}
        responses["default"] = {"$ref": "#/components/responses/Problem"}
        methods = _methods_of(name)
        if methods:  # none of those in REST_ONLY
            operation["x-grpc-methods"] = methods
    _finish_parameters(name, operation, public=path in PUBLIC)
    for response in responses.values():
        stream = response.get("content", {}).get("text/event-stream")
        if stream is not None:
            stream["example"] = _STREAM_EXAMPLE
            stream["itemSchema"] = _STREAM_ITEM
    examples = _BODY_EXAMPLES.get(name)
    if examples:
        operation["requestBody"]["content"]["application/json"]["examples"] = examples


def _finish_parameters(name: str, operation: Document, *, public: bool) -> None:
    parameters: list[Document] = operation.setdefault("parameters", [])
    if not public:
        if name in _KEYED:
            parameters.append(dict(_IDEMPOTENCY_KEY))
        if name in {"listTaskEvents", "watchTasks"}:
            parameters.append(dict(_LAST_EVENT_ID))
        parameters.append(dict(_TIMEOUT))
    for parameter in parameters:
        if parameter["name"] == "If-Match":
            parameter["schema"]["pattern"] = ETAG_PATTERN
        if parameter["name"] == "metadata":
            parameter |= {"style": "form", "explode": True, "name": "metadata.KEY"}
            parameter["schema"] = {"type": "string"}
    if not parameters:
        del operation["parameters"]


def _methods_of(operation_id: str) -> list[str]:
    rpcs = [rpc for rpc in OPERATIONS if operation_id_of(rpc) == operation_id]
    rpcs += [STREAMED[rpc] for rpc in rpcs if rpc in STREAMED]
    return [PACKAGE + rpc for rpc in rpcs]


def _header_refs(*more: str) -> Document:
    names = [*NAMES, *more]
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _limited_response() -> Document:
    return {
        "description": "A limit is used up; `violated-policies` and `reason` say which.",
        "headers": _header_refs("Retry-After"),
        "content": {
            MEDIA_TYPE: {
                "schema": {"$ref": "#/components/schemas/Problem"},
                "example": {
                    "type": STANDARD_TYPES + "quota-exceeded",
                    "title": "Quota exceeded",
                    "status": 429,
                    "detail": "your 600 calls in 60 s are used up (principal-submit)",
                    "instance": "/v1/tasks",
                    "reason": "RATE_LIMITED",
                    "domain": "agent-gateway",
                    "request_id": "4bf92f3577b34da6a3ce929d0e0e4736",
                    "retry_after": 1,
                    "violated-policies": ["principal-submit"],
                },
            }
        },
    }


def _problem_response() -> Document:
    return {
        "description": "The call failed; `reason` says why.",
        "content": {
            MEDIA_TYPE: {
                "schema": {"$ref": "#/components/schemas/Problem"},
                "example": {
                    "type": TYPES + "invalid-request",
                    "title": "Invalid request",
                    "status": 400,
                    "detail": "instruction: must not be empty",
                    "instance": "/v1/tasks",
                    "reason": "INVALID_REQUEST",
                    "domain": "agent-gateway",
                    "request_id": "4bf92f3577b34da6a3ce929d0e0e4736",
                    "errors": [
                        {"detail": "must not be empty", "pointer": "#/instruction", "reason": "REQUIRED"}
                    ],
                },
            }
        },
    }


def _without_nulls(node: Any) -> None:
    """`X or null` becomes X: what is not set is left out, and generators drop or garble such unions."""
    if isinstance(node, list):
        for item in node:  # pyright: ignore[reportUnknownVariableType]
            _without_nulls(item)
        return
    if not isinstance(node, dict):
        return
    schema: Document = node  # pyright: ignore[reportUnknownVariableType]
    for item in schema.values():
        _without_nulls(item)
    choices = schema.get("anyOf")
    if isinstance(choices, list) and {"type": "null"} in choices:
        left: list[Document] = [choice for choice in choices if choice != {"type": "null"}]  # pyright: ignore[reportUnknownVariableType]
        if len(left) == 1:
            del schema["anyOf"]
            for name, value in left[0].items():
                schema.setdefault(name, value)
        if schema.get("default", ...) is None:
            del schema["default"]
