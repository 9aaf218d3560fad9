"""`ServerService` and `ModelService`."""

from app.service.agent_service import AgentService
from grpc_service.errors import RpcContext
from grpc_service.gen.agentgateway.v1 import server_service_pb2 as pb
from grpc_service.interceptors.calls import call_from
from grpc_service.native.mapping.server import models_to_proto, server_info_to_proto


class ServerServicer:
    """agentgateway.v1.ServerService over AgentService."""

    def __init__(self, agents: AgentService) -> None:
        self._agents = agents

    async def GetServerInfo(
        self, request: pb.GetServerInfoRequest, context: RpcContext
    ) -> pb.GetServerInfoResponse:
        del request
        return server_info_to_proto(await self._agents.server.info(call_from(context)))


class ModelServicer:
    """agentgateway.v1.ModelService over AgentService."""

    def __init__(self, agents: AgentService) -> None:
        self._agents = agents

    async def ListModels(self, request: pb.ListModelsRequest, context: RpcContext) -> pb.ListModelsResponse:
        del request
        models, default = await self._agents.models.list(call_from(context))
        return models_to_proto(models, default)
