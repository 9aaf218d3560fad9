"""How a task is to be carried out; every field optional, merged field by field.

Precedence, weakest first: the process' settings, the tenant's global configuration, the agent
definition, the task's own request.
"""

from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import Final, TypeVar

from app.domain.secrets import Secret

MAX_STEPS_CEILING = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskLimits:
    """A task's own limits; None is 'inherit', and unlimited where nobody sets it.

    `wall_time_s` counts running time in seconds, not queued, paused or waiting time.
    """

    max_steps: int | None = None
    wall_time_s: float | None = None
    max_tokens: int | None = None
    max_cost_usd: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskConfiguration:
    """Model, sandbox, tools and limits. `model_api_key` is never stored in the clear."""

    model: str | None = None
    """A model reference such as `interpreter`, `openai:gpt-5` or `anthropic:claude-sonnet-4-5`."""
    model_base_url: str | None = None
    model_api_key: Secret | None = None
    temperature: float | None = None
    max_output_tokens: int | None = None
    sandbox_kind: str | None = None
    tools: tuple[str, ...] | None = None
    """Names of the tools the agent may call; None is all that are available."""
    limits: TaskLimits = field(default_factory=TaskLimits)


@dataclass(frozen=True, slots=True, kw_only=True)
class GlobalConfiguration:
    """A tenant's configuration; `version` is its ETag, from 0 for 'never set'."""

    values: TaskConfiguration = field(default_factory=TaskConfiguration)
    version: int = 0
    updated_at: datetime | None = None


_NOTHING: Final = TaskConfiguration()


def merged(base: TaskConfiguration, over: TaskConfiguration) -> TaskConfiguration:
    """`over` wins wherever it says something; limits are merged field by field too.

    A base URL and a key belong to the model they were given with: when `over` names another model
    (or endpoint), the key of `base` is not sent to it.
    """
    if over == _NOTHING:  # most tenants say nothing
        return base
    changes = _given(over) | {"limits": replace(base.limits, **_given(over.limits))}
    elsewhere = (over.model is not None and over.model != base.model) or over.model_base_url is not None
    if elsewhere:
        changes = {"model_base_url": over.model_base_url, "model_api_key": over.model_api_key} | changes
    return replace(base, **changes)


_Section = TypeVar("_Section", TaskLimits, TaskConfiguration)


def _given(section: _Section) -> dict[str, object]:
    values = {item.name: getattr(section, item.name) for item in fields(section)}
    return {name: value for name, value in values.items() if value is not None and name != "limits"}
