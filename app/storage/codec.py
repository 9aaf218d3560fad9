"""Domain values <-> the JSON bytes that rows keep.

Unknown stored fields are ignored and fields with defaults may be missing, so rows written by an
older or a newer version stay readable. API keys never pass: they are sealed and stored apart.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TypeVar

from pydantic import TypeAdapter
from pydantic_core import from_json, to_json

from app.domain.agents import AgentDefinition
from app.domain.configuration import TaskConfiguration
from app.domain.events import EVENT_TYPES, TaskEvent, TaskQueued, TaskStarted, TaskSubmitted
from app.domain.identity import Principal
from app.domain.tasks import Task, TaskSpec

T = TypeVar("T")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WITHOUT_SPEC = {"spec"}


@cache
def _adapter(kind: type[T]) -> TypeAdapter[T]:
    """Built when first needed: all of them at import would cost every start."""
    return TypeAdapter(kind)


def warm_up() -> None:
    """Build now what the first task would otherwise wait for: 50 ms. Other events take 5 ms each."""
    for kind in (TaskSpec, Task, TaskSubmitted, TaskQueued, TaskStarted):
        _adapter(kind)


def without_keys(spec: TaskSpec) -> TaskSpec:
    """The spec as it is kept: without the API keys of its configurations."""
    if spec.configuration.model_api_key is None and spec.agent.configuration.model_api_key is None:
        return spec
    return replace(spec, configuration=_without_key(spec.configuration), agent=_agent_without_key(spec.agent))


def encode_spec(spec: TaskSpec) -> bytes:
    """What was asked for; written once, as it never changes."""
    return _adapter(TaskSpec).dump_json(without_keys(spec))


def encode_principal(principal: Principal) -> bytes:
    """Whom a browser session or ticket stands for."""
    return _adapter(Principal).dump_json(principal)


def decode_principal(body: bytes) -> Principal:
    """The principal that `encode_principal` wrote."""
    return _adapter(Principal).validate_json(body)


def encode_task(task: Task) -> bytes:
    """Everything of a task but its spec."""
    return _adapter(Task).dump_json(task, exclude=_WITHOUT_SPEC)


def decode_task(spec: bytes, body: bytes) -> Task:
    """The task that `encode_spec` and `encode_task` took apart."""
    values = from_json(body)
    values["spec"] = _adapter(TaskSpec).validate_json(spec)
    return _adapter(Task).validate_python(values)


def decode_ticket(body: bytes) -> int:
    """`Task.ticket`, without the rest."""
    return int(from_json(body).get("ticket", 0))


def encode_event(event: TaskEvent) -> bytes:
    """The fields of an event; its `type` is kept beside them."""
    return _adapter(type(event)).dump_json(event)


def decode_event(kind: str, body: bytes) -> TaskEvent:
    """The event of that type."""
    return _adapter(EVENT_TYPES[kind]).validate_json(body)


def encode_agent(agent: AgentDefinition) -> bytes:
    """An agent definition without its key."""
    return _adapter(AgentDefinition).dump_json(_agent_without_key(agent))


def decode_agent(body: bytes) -> AgentDefinition:
    """The definition that `encode_agent` wrote."""
    return _adapter(AgentDefinition).validate_json(body)


def encode_configuration(configuration: TaskConfiguration) -> bytes:
    """A configuration without its key."""
    return _adapter(TaskConfiguration).dump_json(_without_key(configuration))


def decode_configuration(body: bytes) -> TaskConfiguration:
    """The configuration that `encode_configuration` wrote."""
    return _adapter(TaskConfiguration).validate_json(body)


def encode_pairs(pairs: Mapping[str, str]) -> bytes:
    """A flat mapping of texts."""
    return to_json(dict(pairs))


def decode_pairs(body: bytes) -> dict[str, str]:
    """The mapping that `encode_pairs` wrote."""
    return {str(key): str(value) for key, value in from_json(body).items()}


def to_us(at: datetime) -> int:
    """Microseconds since 1970 (UTC): how both databases keep a time."""
    return round(at.timestamp() * 1_000_000)


def to_us_or_none(at: datetime | None) -> int | None:
    """`to_us`, None for None."""
    return None if at is None else to_us(at)


def from_us(us: int) -> datetime:
    """The time that `to_us` was given."""
    return _EPOCH + timedelta(microseconds=us)


def from_us_or_none(us: int | None) -> datetime | None:
    """`from_us`, None for None."""
    return None if us is None else from_us(us)


def _without_key(configuration: TaskConfiguration) -> TaskConfiguration:
    if configuration.model_api_key is None:
        return configuration
    return replace(configuration, model_api_key=None)


def _agent_without_key(agent: AgentDefinition) -> AgentDefinition:
    return replace(agent, configuration=_without_key(agent.configuration))
