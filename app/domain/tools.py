"""Tools as values: what a tool is, and what came of calling it."""

from dataclasses import dataclass, field
from enum import StrEnum

from app.domain.artifacts import ArtifactRef


class Danger(StrEnum):
    """How much harm a tool can do outside its sandbox."""

    SAFE = "safe"
    CAUTION = "caution"
    DANGEROUS = "dangerous"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolInfo:
    """What a model, a person or a dialect needs to know to call a tool.

    `parameters` is a JSON Schema (2020-12) object. `rate_limit_per_minute` is per tenant, None for
    none; `cache_ttl_s` 0 for no caching; `timeout_s` wall seconds for one call.
    """

    name: str
    title: str
    description: str
    parameters: dict[str, object]
    category: str
    tags: tuple[str, ...] = ()
    danger: Danger = Danger.SAFE
    requires_approval: bool = False
    permissions: tuple[str, ...] = ()
    rate_limit_per_minute: int | None = None
    cache_ttl_s: float = 0.0
    timeout_s: float = 30.0
    needs_sandbox: bool = False
    available: bool = True
    unavailable_reason: str | None = None
    version: str = "1"
    returns: dict[str, object] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolResult:
    """The outcome of one call. `output` is text for the model, `data` the same as JSON."""

    output: str
    ok: bool = True
    data: object = None
    artifacts: tuple[ArtifactRef, ...] = field(default_factory=tuple[ArtifactRef, ...])
    error_reason: str | None = None
    cached: bool = False
    duration_s: float = 0.0
