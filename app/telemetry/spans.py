"""The spans we make: name, kind and the attributes that samplers must see at the start.

One trace reads: server span -> (queue.wait | task -> invoke_agent -> (chat | execute_tool -> sandbox.step)).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from opentelemetry.trace import SpanKind

from app.telemetry import names

AttributeValue = str | bool | int | float | Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanPlan:
    """A span that is not started yet."""

    name: str
    kind: SpanKind = SpanKind.INTERNAL
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict[str, AttributeValue])


def rpc_server(method: str, *, request_id: str | None = None) -> SpanPlan:
    """One RPC served; `method` is `package.Service/Method`, with or without a leading slash."""
    method = method.removeprefix("/")
    return SpanPlan(
        name=method,
        kind=SpanKind.SERVER,
        attributes=_known(
            {names.RPC_SYSTEM_NAME: "grpc", names.RPC_METHOD: method, names.REQUEST_ID: request_id}
        ),
    )


def http_server(method: str, path: str, *, scheme: str = "http", request_id: str | None = None) -> SpanPlan:
    """One HTTP request served. The route is known later: rename to `{method} {route}`, set HTTP_ROUTE."""
    return SpanPlan(
        name=method,
        kind=SpanKind.SERVER,
        attributes=_known(
            {
                names.HTTP_REQUEST_METHOD: method,
                names.URL_PATH: path,
                names.URL_SCHEME: scheme,
                names.REQUEST_ID: request_id,
            }
        ),
    )


def task(task_id: str, *, tenant: str, epoch: int, session_id: str | None = None) -> SpanPlan:
    """One run of a task by one owner; each run of a resumed task is a child of the call that submitted it."""
    return SpanPlan(
        name="task",
        kind=SpanKind.CONSUMER,
        attributes=_known(
            {
                names.TASK_ID: task_id,
                names.TENANT: tenant,
                names.TASK_EPOCH: epoch,
                names.GEN_AI_CONVERSATION_ID: session_id,
            }
        ),
    )


def queue_wait(task_id: str, *, tenant: str, epoch: int) -> SpanPlan:
    """From queued to claimed; `epoch` is that of the claim. A sibling of the run that follows."""
    return SpanPlan(
        name="queue.wait",
        attributes={names.TASK_ID: task_id, names.TENANT: tenant, names.TASK_EPOCH: epoch},
    )


def invoke_agent(
    name: str,
    *,
    provider: str,
    model: str,
    agent_id: str | None = None,
    session_id: str | None = None,
    task_id: str | None = None,
) -> SpanPlan:
    """The loop of one task."""
    return SpanPlan(
        name=f"invoke_agent {name}",
        attributes=_known(
            {
                names.GEN_AI_OPERATION_NAME: "invoke_agent",
                names.GEN_AI_PROVIDER_NAME: provider,
                names.GEN_AI_AGENT_NAME: name,
                names.GEN_AI_AGENT_ID: agent_id,
                names.GEN_AI_REQUEST_MODEL: model,
                names.GEN_AI_CONVERSATION_ID: session_id,
                names.TASK_ID: task_id,
            }
        ),
    )


def chat(
    model: str,
    *,
    provider: str,
    stream: bool = False,
    session_id: str | None = None,
    server_address: str | None = None,
    server_port: int | None = None,
) -> SpanPlan:
    """One request to a model, its retries included."""
    return SpanPlan(
        name=f"chat {model}",
        kind=SpanKind.CLIENT,
        attributes=_known(
            {
                names.GEN_AI_OPERATION_NAME: "chat",
                names.GEN_AI_PROVIDER_NAME: provider,
                names.GEN_AI_REQUEST_MODEL: model,
                names.GEN_AI_REQUEST_STREAM: stream or None,
                names.GEN_AI_CONVERSATION_ID: session_id,
                names.SERVER_ADDRESS: server_address,
                names.SERVER_PORT: server_port,
            }
        ),
    )


def execute_tool(tool: str, *, call_id: str | None = None, kind: str = "function") -> SpanPlan:
    """One tool call. Arguments and result are content and stay out."""
    return SpanPlan(
        name=f"execute_tool {tool}",
        attributes=_known(
            {
                names.GEN_AI_OPERATION_NAME: "execute_tool",
                names.GEN_AI_TOOL_NAME: tool,
                names.GEN_AI_TOOL_CALL_ID: call_id,
                names.GEN_AI_TOOL_TYPE: kind,
            }
        ),
    )


def sandbox_step(
    action: str, *, make: str, sandbox_id: str | None = None, step: int | None = None
) -> SpanPlan:
    """One action carried out by a sandbox; its events say when input was done, settled and captured."""
    return SpanPlan(
        name="sandbox.step",
        attributes=_known(
            {
                names.ACTION: action,
                names.SANDBOX_MAKE: make,
                names.SANDBOX_ID: sandbox_id,
                names.STEP: step,
            }
        ),
    )


def _known(attributes: Mapping[str, AttributeValue | None]) -> dict[str, AttributeValue]:
    return {name: value for name, value in attributes.items() if value is not None}
