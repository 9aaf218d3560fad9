"""Configurations: model, sandbox, tools and limits."""

from datetime import datetime

from pydantic import Field

from app.domain.configuration import GlobalConfiguration, TaskConfiguration, TaskLimits
from app.domain.secrets import Secret
from rest_api.schemas.base import BodyIn, Out


class LimitsFields(BodyIn):
    """A task's own limits. What is not set is inherited: settings, configuration, agent, task."""

    max_steps: int | None = Field(default=None, json_schema_extra={"minimum": 1, "maximum": 10_000})
    """Sandbox actions."""
    wall_time_s: float | None = None
    """Seconds of running time (not queued, paused or waiting)."""
    max_tokens: int | None = None
    """Input and output tokens together."""
    max_cost_usd: float | None = None
    """US dollars."""

    def to_domain(self) -> TaskLimits:
        """The limits as the domain knows them."""
        return TaskLimits(
            max_steps=self.max_steps,
            wall_time_s=self.wall_time_s,
            max_tokens=self.max_tokens,
            max_cost_usd=self.max_cost_usd,
        )

    @classmethod
    def from_domain(cls, limits: TaskLimits) -> "LimitsFields | None":
        """None when no limit is set."""
        if limits == _NO_LIMITS:
            return None
        return cls(
            max_steps=limits.max_steps,
            wall_time_s=limits.wall_time_s,
            max_tokens=limits.max_tokens,
            max_cost_usd=limits.max_cost_usd,
        )


_NO_LIMITS = TaskLimits()


class ConfigurationFields(BodyIn):
    """Every field optional, and merged field by field."""

    model: str | None = Field(default=None, examples=["openai:gpt-5"])
    """`interpreter`, `openai:gpt-5`, `anthropic:claude-sonnet-4-5`, `google:gemini-2.5-pro`, ..."""
    model_base_url: str | None = None
    """Endpoint of an OpenAI-compatible or self-hosted provider."""
    model_api_key: str | None = Field(default=None, json_schema_extra={"format": "password"})
    """Answers show `********` when one is set. `********` on the way in keeps it."""
    temperature: float | None = Field(default=None, json_schema_extra={"minimum": 0, "maximum": 2})
    max_output_tokens: int | None = None
    sandbox_kind: str | None = None
    """See `GET /v1/sandboxes/kinds`."""
    tools: list[str] | None = None
    """Names of the tools the agent may call; not set means all available ones, `[]` none."""
    limits: LimitsFields | None = None

    def to_domain(self) -> TaskConfiguration:
        """The configuration as the domain knows it."""
        key = self.model_api_key
        return TaskConfiguration(
            model=self.model,
            model_base_url=self.model_base_url,
            model_api_key=None if key is None else Secret(key),
            temperature=self.temperature,
            max_output_tokens=self.max_output_tokens,
            sandbox_kind=self.sandbox_kind,
            tools=None if self.tools is None else tuple(self.tools),
            limits=_NO_LIMITS if self.limits is None else self.limits.to_domain(),
        )

    @classmethod
    def from_domain(cls, values: TaskConfiguration) -> "ConfigurationFields":
        """The configuration for callers: a key reads as its mask."""
        return cls(
            model=values.model,
            model_base_url=values.model_base_url,
            model_api_key=None if values.model_api_key is None else str(values.model_api_key),
            temperature=values.temperature,
            max_output_tokens=values.max_output_tokens,
            sandbox_kind=values.sandbox_kind,
            tools=None if values.tools is None else list(values.tools),
            limits=LimitsFields.from_domain(values.limits),
        )


class UpdateConfigurationIn(BodyIn):
    """The configuration to replace the tenant's with."""

    values: ConfigurationFields


class ConfigurationOut(Out):
    """A tenant's configuration. `etag` changes with every update."""

    values: ConfigurationFields
    etag: str
    update_time: datetime | None = None

    @classmethod
    def from_domain(cls, configuration: GlobalConfiguration) -> "ConfigurationOut":
        """The configuration, as GET and PUT answer it."""
        return cls(
            values=ConfigurationFields.from_domain(configuration.values),
            etag=str(configuration.version),
            update_time=configuration.updated_at,
        )
