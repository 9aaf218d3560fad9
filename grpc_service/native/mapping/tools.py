"""Tools and what calling one gave."""

from typing import Final

from app.domain.tools import Danger, ToolInfo, ToolResult
from grpc_service.gen.agentgateway.v1 import tool_service_pb2 as pb
from grpc_service.native.mapping.artifacts import artifact_to_proto
from grpc_service.native.mapping.values import json_to_proto, text_to_proto

DANGERS: Final[dict[Danger, pb.Danger]] = {
    Danger.SAFE: pb.DANGER_SAFE,
    Danger.CAUTION: pb.DANGER_CAUTION,
    Danger.DANGEROUS: pb.DANGER_DANGEROUS,
}


def tool_to_proto(tool: ToolInfo) -> pb.Tool:
    """What there is to know to call a tool."""
    return pb.Tool(
        name=tool.name,
        title=tool.title,
        description=tool.description,
        parameters_json=json_to_proto(tool.parameters),
        category=tool.category,
        tags=tool.tags,
        danger=DANGERS[tool.danger],
        requires_approval=tool.requires_approval,
        permissions=tool.permissions,
        rate_limit_per_minute=tool.rate_limit_per_minute,
        cache_ttl_s=tool.cache_ttl_s,
        timeout_s=tool.timeout_s,
        needs_sandbox=tool.needs_sandbox,
        available=tool.available,
        unavailable_reason=tool.unavailable_reason,
        version=tool.version,
    )


def tool_result_to_proto(result: ToolResult) -> pb.ExecuteToolResponse:
    """The outcome of one call."""
    return pb.ExecuteToolResponse(
        ok=result.ok,
        output=text_to_proto(result.output),
        data_json=None if result.data is None else json_to_proto(result.data),
        artifacts=[artifact_to_proto(artifact) for artifact in result.artifacts],
        error_reason=result.error_reason,
        cached=result.cached,
        duration_s=result.duration_s,
    )
