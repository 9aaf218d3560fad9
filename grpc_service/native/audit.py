"""`AuditService`."""

from app.service.agent_service import AgentService
from grpc_service.errors import RpcContext
from grpc_service.gen.agentgateway.v1 import audit_service_pb2 as pb
from grpc_service.interceptors.calls import call_from
from grpc_service.native.mapping.audit import audit_filter_from_proto, entry_to_proto
from grpc_service.native.pages import fitting


class AuditServicer:
    """agentgateway.v1.AuditService over AgentService."""

    def __init__(self, agents: AgentService) -> None:
        self._agents = agents

    async def ListAuditEntries(
        self, request: pb.ListAuditEntriesRequest, context: RpcContext
    ) -> pb.ListAuditEntriesResponse:
        call, where = call_from(context), audit_filter_from_proto(request)

        async def page(size: int) -> pb.ListAuditEntriesResponse:
            found = await self._agents.audit.page(
                call, where, size=size, cursor=request.cursor, oldest_first=request.oldest_first
            )
            return pb.ListAuditEntriesResponse(
                entries=[entry_to_proto(entry) for entry in found.items], next_cursor=found.next_cursor or ""
            )

        return await fitting(page, request.page_size)
