"""What one model call used, as our counters have it."""

from dataclasses import dataclass

from pydantic_ai.usage import RequestUsage

from app.models.base import ModelSource, ResolvedModel


@dataclass(frozen=True, slots=True, kw_only=True)
class CallUsage:
    """Tokens and US dollars of one model call; `cost_usd` None when nobody knows the price."""

    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = 0.0


def usage_of(models: ModelSource, resolved: ResolvedModel, usage: RequestUsage) -> CallUsage:
    """The call's usage. A deterministic planner uses none, whatever its library estimates."""
    if resolved.planner == "deterministic":
        return CallUsage()
    cost = models.cost_of(resolved.spec, usage)
    return CallUsage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cost_usd=None if cost is None else float(cost),
    )
