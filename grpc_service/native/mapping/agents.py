"""Agent definitions."""

from app.domain.agents import AgentDefinition
from app.service.inputs import AgentInput
from grpc_service.gen.agentgateway.v1 import agent_pb2 as pb
from grpc_service.native.mapping.configuration import configuration_from_proto, configuration_to_proto
from grpc_service.native.mapping.values import etag_to_proto, timestamp_to_proto


def agent_to_proto(agent: AgentDefinition) -> pb.Agent:
    """A definition, built in or the tenant's own."""
    return pb.Agent(
        id=agent.id,
        description=agent.description,
        instructions=agent.instructions,
        runtime=agent.runtime,
        configuration=configuration_to_proto(agent.configuration),
        built_in=agent.built_in,
        etag=etag_to_proto(agent.version),
        create_time=timestamp_to_proto(agent.created_at),
        update_time=timestamp_to_proto(agent.updated_at),
    )


def agent_from_proto(agent: pb.AgentInput) -> AgentInput:
    """What a caller says of an agent; no runtime means the loop."""
    return AgentInput(
        description=agent.description,
        instructions=agent.instructions,
        runtime=agent.runtime or "loop",
        configuration=configuration_from_proto(agent.configuration),
    )
