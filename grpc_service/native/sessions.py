"""`SessionService`."""

from app.domain.ids import SessionId
from app.service.agent_service import AgentService
from grpc_service.errors import RpcContext
from grpc_service.gen.agentgateway.v1 import session_service_pb2 as pb
from grpc_service.interceptors.calls import call_from
from grpc_service.native.mapping.sessions import entry_to_proto, session_to_proto
from grpc_service.native.mapping.values import id_from_proto
from grpc_service.native.pages import fitting


class SessionServicer:
    """agentgateway.v1.SessionService over AgentService."""

    def __init__(self, agents: AgentService) -> None:
        self._agents = agents

    async def CreateSession(
        self, request: pb.CreateSessionRequest, context: RpcContext
    ) -> pb.CreateSessionResponse:
        session = await self._agents.sessions.create(
            call_from(context), title=request.title, metadata=dict(request.metadata)
        )
        return pb.CreateSessionResponse(session=session_to_proto(session))

    async def GetSession(self, request: pb.GetSessionRequest, context: RpcContext) -> pb.GetSessionResponse:
        session = await self._agents.sessions.get(call_from(context), _session_id(request.session_id))
        return pb.GetSessionResponse(session=session_to_proto(session))

    async def ListSessions(
        self, request: pb.ListSessionsRequest, context: RpcContext
    ) -> pb.ListSessionsResponse:
        call = call_from(context)

        async def page(size: int) -> pb.ListSessionsResponse:
            found = await self._agents.sessions.page(call, size=size, cursor=request.cursor)
            return pb.ListSessionsResponse(
                sessions=[session_to_proto(session) for session in found.items],
                next_cursor=found.next_cursor or "",
            )

        return await fitting(page, request.page_size)

    async def DeleteSession(
        self, request: pb.DeleteSessionRequest, context: RpcContext
    ) -> pb.DeleteSessionResponse:
        await self._agents.sessions.delete(call_from(context), _session_id(request.session_id))
        return pb.DeleteSessionResponse()

    async def GetTranscript(
        self, request: pb.GetTranscriptRequest, context: RpcContext
    ) -> pb.GetTranscriptResponse:
        entries = await self._agents.sessions.transcript(call_from(context), _session_id(request.session_id))
        return pb.GetTranscriptResponse(entries=[entry_to_proto(entry) for entry in entries])


def _session_id(value: str) -> SessionId:
    return SessionId(id_from_proto("session", "session_id", value))
