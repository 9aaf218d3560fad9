"""`AccessService`."""

from app.service.agent_service import AgentService
from grpc_service.errors import RpcContext
from grpc_service.gen.agentgateway.v1 import access_service_pb2 as pb
from grpc_service.interceptors.calls import call_from
from grpc_service.native.mapping.access import caller_to_proto, ticket_to_proto


class AccessServicer:
    """agentgateway.v1.AccessService over AgentService."""

    def __init__(self, agents: AgentService) -> None:
        self._agents = agents

    async def GetCaller(self, request: pb.GetCallerRequest, context: RpcContext) -> pb.GetCallerResponse:
        del request
        caller = await self._agents.access.caller(call_from(context))
        return pb.GetCallerResponse(caller=caller_to_proto(caller))

    async def CreateStreamTicket(
        self, request: pb.CreateStreamTicketRequest, context: RpcContext
    ) -> pb.CreateStreamTicketResponse:
        return ticket_to_proto(await self._agents.access.create_ticket(call_from(context), request.path))
