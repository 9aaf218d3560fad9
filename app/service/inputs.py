"""What callers may say, and the limits of each field: one place for every protocol."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from app.domain.agents import DEFAULT_AGENT
from app.domain.configuration import MAX_STEPS_CEILING, TaskConfiguration, TaskLimits
from app.domain.errors import FieldViolation, InvalidRequestError
from app.domain.ids import MAX_ID_LENGTH, AgentId, SandboxId, SessionId
from app.domain.tasks import (
    MAX_INSTRUCTION_CHARS,
    MAX_METADATA_KEY_CHARS,
    MAX_METADATA_PAIRS,
    MAX_METADATA_VALUE_CHARS,
)

MAX_TITLE_CHARS = 200
MAX_INSTRUCTIONS_CHARS = 100_000
MAX_DESCRIPTION_CHARS = 2_000
MAX_TOOLS = 256
MAX_WALL_TIME_S = 7 * 86_400.0
_AGENT_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,199}")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTask:
    """What a caller wants done; see the `TaskInput` message for the limits."""

    instruction: str
    agent_id: AgentId = DEFAULT_AGENT
    session_id: SessionId | None = None
    sandbox_id: SandboxId | None = None
    configuration: TaskConfiguration = field(default_factory=TaskConfiguration)
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    on_disconnect: Literal["continue", "cancel"] = "continue"


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentInput:
    """What a caller says of an agent definition."""

    description: str = ""
    instructions: str = ""
    runtime: str = "loop"
    configuration: TaskConfiguration = field(default_factory=TaskConfiguration)


class Checks:
    """Collects what is wrong with a request, then raises it all at once."""

    def __init__(self) -> None:
        self.violations: list[FieldViolation] = []

    def no(self, name: str, description: str, reason: str = "INVALID") -> None:
        """Note one violation."""
        self.violations.append(FieldViolation(field=name, description=description, reason=reason))

    def text(self, name: str, value: str, longest: int, *, required: bool = False) -> None:
        """A string of at most `longest` characters, without NUL or lone surrogates."""
        if required and not value.strip():
            self.no(name, "must not be empty", "REQUIRED")
        if len(value) > longest:
            self.no(name, f"must have at most {longest} characters, has {len(value)}", "TOO_LONG")
        elif "\0" in value or any("\ud800" <= char <= "\udfff" for char in value):
            self.no(name, "must not contain NUL or unpaired surrogates", "BAD_TEXT")

    def number(self, name: str, value: float | None, low: float, high: float) -> None:
        """None, or a finite number from `low` to `high`."""
        if value is not None and not (math.isfinite(value) and low <= value <= high):
            self.no(name, f"must be from {low:g} to {high:g}", "OUT_OF_RANGE")

    def identifier(self, name: str, value: str | None) -> None:
        """None, or something that can be an id."""
        if value is not None and not 0 < len(value) <= MAX_ID_LENGTH:
            self.no(name, f"must have 1 to {MAX_ID_LENGTH} characters", "INVALID_ID")

    def done(self) -> None:
        """Raise InvalidRequestError with every violation noted."""
        if self.violations:
            first = self.violations[0]
            raise InvalidRequestError(f"{first.field}: {first.description}", violations=self.violations)


def check_task(new: NewTask) -> None:
    """Raises InvalidRequestError naming every field that is wrong."""
    checks = Checks()
    checks.text("instruction", new.instruction, MAX_INSTRUCTION_CHARS, required=True)
    if not _AGENT_ID.fullmatch(new.agent_id):
        checks.no("agent_id", "must be 1 to 64 of a-z, 0-9, - and _", "INVALID_ID")
    checks.identifier("session_id", new.session_id)
    checks.identifier("sandbox_id", new.sandbox_id)
    metadata_into(checks, new.metadata)
    configuration_into(checks, new.configuration, "configuration")
    checks.done()


def check_agent(agent_id: str, agent: AgentInput) -> None:
    """Raises InvalidRequestError naming every field that is wrong."""
    checks = Checks()
    if not _AGENT_ID.fullmatch(agent_id):
        checks.no("id", "must be 1 to 64 of a-z, 0-9, - and _", "INVALID_ID")
    checks.text("description", agent.description, MAX_DESCRIPTION_CHARS)
    checks.text("instructions", agent.instructions, MAX_INSTRUCTIONS_CHARS)
    checks.text("runtime", agent.runtime, 64, required=True)
    configuration_into(checks, agent.configuration, "configuration")
    checks.done()


def check_configuration(values: TaskConfiguration) -> None:
    """Raises InvalidRequestError naming every field that is wrong."""
    checks = Checks()
    configuration_into(checks, values, "values")
    checks.done()


def metadata_into(checks: Checks, metadata: Mapping[str, str]) -> None:
    """Labels a caller puts on its task or session."""
    if len(metadata) > MAX_METADATA_PAIRS:
        checks.no("metadata", f"must have at most {MAX_METADATA_PAIRS} pairs", "TOO_MANY")
    for key, value in list(metadata.items())[:MAX_METADATA_PAIRS]:
        checks.text(f"metadata.{key[:40]}", key, MAX_METADATA_KEY_CHARS, required=True)
        checks.text(f"metadata.{key[:40]}", value, MAX_METADATA_VALUE_CHARS)


def configuration_into(checks: Checks, values: TaskConfiguration, at: str) -> None:
    """Every field of a configuration that is set."""
    if values.model is not None and not _MODEL.fullmatch(values.model):
        checks.no(f"{at}.model", "is not a model reference", "INVALID_MODEL")
    if values.model_base_url is not None:
        checks.text(f"{at}.model_base_url", values.model_base_url, 2_000)
        if not _is_http_url(values.model_base_url):
            checks.no(
                f"{at}.model_base_url", "must be an http or https URL without credentials", "INVALID_URL"
            )
    if values.model_api_key is not None:
        key = values.model_api_key.reveal()
        if not 0 < len(key) <= 4_096 or not key.isprintable():
            checks.no(f"{at}.model_api_key", "must have 1 to 4096 printable characters", "INVALID_KEY")
    checks.number(f"{at}.temperature", values.temperature, 0, 2)
    checks.number(f"{at}.max_output_tokens", values.max_output_tokens, 1, 1_000_000)
    if values.sandbox_kind is not None:
        checks.text(f"{at}.sandbox_kind", values.sandbox_kind, 64, required=True)
    if values.tools is not None:
        if len(values.tools) > MAX_TOOLS:
            checks.no(f"{at}.tools", f"must name at most {MAX_TOOLS} tools", "TOO_MANY")
        for index, tool in enumerate(values.tools[:MAX_TOOLS]):
            checks.text(f"{at}.tools.{index}", tool, 128, required=True)
    _limits_into(checks, values.limits, f"{at}.limits")


def _limits_into(checks: Checks, limits: TaskLimits, at: str) -> None:
    checks.number(f"{at}.max_steps", limits.max_steps, 1, MAX_STEPS_CEILING)
    checks.number(f"{at}.wall_time_s", limits.wall_time_s, 0.1, MAX_WALL_TIME_S)
    checks.number(f"{at}.max_tokens", limits.max_tokens, 1, 1e12)
    checks.number(f"{at}.max_cost_usd", limits.max_cost_usd, 0, 1e6)


def _is_http_url(value: str) -> bool:
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.username is None
