"""`AgentDefinitionService`."""

from app.domain.ids import AgentId
from app.service.agent_service import AgentService
from grpc_service.errors import RpcContext
from grpc_service.gen.agentgateway.v1 import agent_pb2 as pb
from grpc_service.interceptors.calls import call_from
from grpc_service.native.mapping.agents import agent_from_proto, agent_to_proto
from grpc_service.native.mapping.values import etag_from_proto, id_from_proto
from grpc_service.native.pages import fitting


class AgentDefinitionServicer:
    """agentgateway.v1.AgentDefinitionService over AgentService."""

    def __init__(self, agents: AgentService) -> None:
        self._agents = agents

    async def CreateAgent(
        self, request: pb.CreateAgentRequest, context: RpcContext
    ) -> pb.CreateAgentResponse:
        agent = await self._agents.agents.create(
            call_from(context), AgentId(request.id), agent_from_proto(request.agent)
        )
        return pb.CreateAgentResponse(agent=agent_to_proto(agent))

    async def GetAgent(self, request: pb.GetAgentRequest, context: RpcContext) -> pb.GetAgentResponse:
        agent = await self._agents.agents.get(call_from(context), _agent_id(request.agent_id))
        return pb.GetAgentResponse(agent=agent_to_proto(agent))

    async def ListAgents(self, request: pb.ListAgentsRequest, context: RpcContext) -> pb.ListAgentsResponse:
        call = call_from(context)

        async def page(size: int) -> pb.ListAgentsResponse:
            found = await self._agents.agents.page(call, size=size, cursor=request.cursor)
            return pb.ListAgentsResponse(
                agents=[agent_to_proto(agent) for agent in found.items], next_cursor=found.next_cursor or ""
            )

        return await fitting(page, request.page_size)

    async def UpdateAgent(
        self, request: pb.UpdateAgentRequest, context: RpcContext
    ) -> pb.UpdateAgentResponse:
        agent = await self._agents.agents.update(
            call_from(context),
            _agent_id(request.agent_id),
            agent_from_proto(request.agent),
            expected_version=etag_from_proto(request.etag),
        )
        return pb.UpdateAgentResponse(agent=agent_to_proto(agent))

    async def DeleteAgent(
        self, request: pb.DeleteAgentRequest, context: RpcContext
    ) -> pb.DeleteAgentResponse:
        await self._agents.agents.delete(
            call_from(context), _agent_id(request.agent_id), expected_version=etag_from_proto(request.etag)
        )
        return pb.DeleteAgentResponse()


def _agent_id(value: str) -> AgentId:
    return AgentId(id_from_proto("agent", "agent_id", value))
