"""`ToolService`."""

from app.domain.ids import SandboxId
from app.service.agent_service import AgentService
from grpc_service.errors import RpcContext
from grpc_service.gen.agentgateway.v1 import tool_service_pb2 as pb
from grpc_service.interceptors.calls import call_from
from grpc_service.native.mapping.tools import tool_result_to_proto, tool_to_proto
from grpc_service.native.mapping.values import id_from_proto, json_object_from_proto


class ToolServicer:
    """agentgateway.v1.ToolService over AgentService."""

    def __init__(self, agents: AgentService) -> None:
        self._agents = agents

    async def ListTools(self, request: pb.ListToolsRequest, context: RpcContext) -> pb.ListToolsResponse:
        tools = await self._agents.tools.list(
            call_from(context),
            category=request.category or None,
            tag=request.tag or None,
            available_only=request.available_only,
        )
        return pb.ListToolsResponse(tools=[tool_to_proto(tool) for tool in tools])

    async def GetTool(self, request: pb.GetToolRequest, context: RpcContext) -> pb.GetToolResponse:
        tool = await self._agents.tools.get(call_from(context), id_from_proto("tool", "name", request.name))
        return pb.GetToolResponse(tool=tool_to_proto(tool))

    async def ExecuteTool(
        self, request: pb.ExecuteToolRequest, context: RpcContext
    ) -> pb.ExecuteToolResponse:
        sandbox_id = request.sandbox_id and id_from_proto("sandbox", "sandbox_id", request.sandbox_id)
        result = await self._agents.tools.execute(
            call_from(context),
            id_from_proto("tool", "name", request.name),
            json_object_from_proto("arguments_json", request.arguments_json),
            sandbox_id=SandboxId(sandbox_id) if sandbox_id else None,
        )
        return tool_result_to_proto(result)
