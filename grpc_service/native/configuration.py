"""`ConfigurationService`."""

from app.service.agent_service import AgentService
from grpc_service.errors import RpcContext
from grpc_service.gen.agentgateway.v1 import configuration_pb2 as pb
from grpc_service.interceptors.calls import call_from
from grpc_service.native.mapping.configuration import configuration_from_proto, global_configuration_to_proto
from grpc_service.native.mapping.values import etag_from_proto


class ConfigurationServicer:
    """agentgateway.v1.ConfigurationService over AgentService."""

    def __init__(self, agents: AgentService) -> None:
        self._agents = agents

    async def GetConfiguration(
        self, request: pb.GetConfigurationRequest, context: RpcContext
    ) -> pb.GetConfigurationResponse:
        del request
        configuration = await self._agents.configuration.get(call_from(context))
        return pb.GetConfigurationResponse(configuration=global_configuration_to_proto(configuration))

    async def UpdateConfiguration(
        self, request: pb.UpdateConfigurationRequest, context: RpcContext
    ) -> pb.UpdateConfigurationResponse:
        configuration = await self._agents.configuration.update(
            call_from(context),
            configuration_from_proto(request.values),
            expected_version=etag_from_proto(request.etag),
        )
        return pb.UpdateConfigurationResponse(configuration=global_configuration_to_proto(configuration))
