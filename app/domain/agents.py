"""Agent definitions: instructions, model, tools, sandbox and limits under a name."""

from dataclasses import dataclass, field
from datetime import datetime

from app.domain.configuration import TaskConfiguration
from app.domain.identity import TenantId
from app.domain.ids import AgentId

DEFAULT_AGENT = AgentId("default")


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentDefinition:
    """Who carries a task out. A task keeps the definition it was submitted with.

    `runtime` names the make of the loop: `loop` (model calls and tool calls) or the name of an
    in-process function agent. Built-in agents cannot be edited; their `version` is 0.
    """

    id: AgentId
    tenant: TenantId
    description: str = ""
    instructions: str = ""
    runtime: str = "loop"
    configuration: TaskConfiguration = field(default_factory=TaskConfiguration)
    version: int = 1
    built_in: bool = False
    created_at: datetime | None = None
    updated_at: datetime | None = None
