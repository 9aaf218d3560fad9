"""Tools: what there is, and what came of a call."""

from typing import Any

from app.domain.tools import Danger, ToolInfo, ToolResult
from rest_api.schemas.artifacts import ArtifactOut
from rest_api.schemas.base import BodyIn, JsonObject, Out, QueryIn


class ToolsQuery(QueryIn):
    """Which tools to list."""

    category: str | None = None
    tag: str | None = None
    available_only: bool = False


class ExecuteToolIn(BodyIn):
    """One direct call, outside any task."""

    arguments: JsonObject | None = None
    sandbox_id: str | None = None
    """The sandbox for tools that need one; absent opens one for this call only."""


class ToolOut(Out):
    """One tool."""

    name: str
    title: str
    description: str
    parameters: dict[str, Any]
    """A JSON Schema (2020-12)."""
    category: str
    tags: list[str]
    danger: Danger
    requires_approval: bool
    permissions: list[str]
    rate_limit_per_minute: int | None = None
    """Calls per minute and tenant."""
    cache_ttl_s: float
    timeout_s: float
    needs_sandbox: bool
    available: bool
    unavailable_reason: str | None = None
    version: str

    @classmethod
    def from_domain(cls, tool: ToolInfo) -> "ToolOut":
        """The tool, for callers."""
        return cls(
            name=tool.name,
            title=tool.title,
            description=tool.description,
            parameters=tool.parameters,
            category=tool.category,
            tags=list(tool.tags),
            danger=tool.danger,
            requires_approval=tool.requires_approval,
            permissions=list(tool.permissions),
            rate_limit_per_minute=tool.rate_limit_per_minute,
            cache_ttl_s=tool.cache_ttl_s,
            timeout_s=tool.timeout_s,
            needs_sandbox=tool.needs_sandbox,
            available=tool.available,
            unavailable_reason=tool.unavailable_reason,
            version=tool.version,
        )


class ListToolsOut(Out):
    """The tools, by name."""

    tools: list[ToolOut]


class ExecuteToolOut(Out):
    """What came of the call. A tool that fails in its own words answers `ok: false`."""

    ok: bool
    output: str
    data: Any = None
    artifacts: list[ArtifactOut]
    error_reason: str | None = None
    cached: bool
    duration_s: float

    @classmethod
    def from_domain(cls, result: ToolResult) -> "ExecuteToolOut":
        """The result, for callers."""
        return cls(
            ok=result.ok,
            output=result.output,
            data=result.data,
            artifacts=ArtifactOut.list_of(result.artifacts),
            error_reason=result.error_reason,
            cached=result.cached,
            duration_s=result.duration_s,
        )
