"""Agent definitions."""

from datetime import datetime

from app.domain.agents import AgentDefinition
from app.service.inputs import AgentInput
from rest_api.schemas.base import BodyIn, Out
from rest_api.schemas.configuration import ConfigurationFields


class AgentIn(BodyIn):
    """What a caller says of an agent."""

    description: str = ""
    instructions: str = ""
    runtime: str = "loop"
    """`loop` (model calls and tool calls) or the name of an in-process function agent."""
    configuration: ConfigurationFields | None = None

    def to_domain(self) -> AgentInput:
        """The input as the domain wants it; an empty runtime is the default one, as on gRPC."""
        given = {} if self.configuration is None else {"configuration": self.configuration.to_domain()}
        return AgentInput(
            description=self.description,
            instructions=self.instructions,
            runtime=self.runtime or "loop",
            **given,
        )


class CreateAgentIn(AgentIn):
    """A new agent."""

    id: str
    """1 to 64 of lower-case letters, digits, `-` and `_`."""


class AgentOut(Out):
    """Instructions, model, tools, sandbox and limits under a name."""

    id: str
    description: str
    instructions: str
    runtime: str
    configuration: ConfigurationFields
    built_in: bool
    """Built-in agents cannot be changed."""
    etag: str
    create_time: datetime | None = None
    update_time: datetime | None = None

    @classmethod
    def from_domain(cls, agent: AgentDefinition) -> "AgentOut":
        """The definition, for callers."""
        return cls(
            id=agent.id,
            description=agent.description,
            instructions=agent.instructions,
            runtime=agent.runtime,
            configuration=ConfigurationFields.from_domain(agent.configuration),
            built_in=agent.built_in,
            etag=str(agent.version),
            create_time=agent.created_at,
            update_time=agent.updated_at,
        )


class ListAgentsOut(Out):
    """The built-in agents first, then the tenant's by id."""

    agents: list[AgentOut]
    next_cursor: str | None = None
    """Absent on the last page."""
