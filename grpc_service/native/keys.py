"""`KeyService`."""

from app.domain.ids import KeyId
from app.service.agent_service import AgentService
from grpc_service.errors import RpcContext
from grpc_service.gen.agentgateway.v1 import key_service_pb2 as pb
from grpc_service.interceptors.calls import call_from
from grpc_service.native.mapping.keys import key_to_proto, new_key_from_proto
from grpc_service.native.mapping.values import id_from_proto
from grpc_service.native.pages import fitting


class KeyServicer:
    """agentgateway.v1.KeyService over AgentService."""

    def __init__(self, agents: AgentService) -> None:
        self._agents = agents

    async def CreateKey(self, request: pb.CreateKeyRequest, context: RpcContext) -> pb.CreateKeyResponse:
        issued = await self._agents.keys.create(call_from(context), new_key_from_proto(request))
        return pb.CreateKeyResponse(key=key_to_proto(issued.key), secret=issued.secret.reveal())

    async def GetKey(self, request: pb.GetKeyRequest, context: RpcContext) -> pb.GetKeyResponse:
        key = await self._agents.keys.get(call_from(context), _key_id(request.key_id))
        return pb.GetKeyResponse(key=key_to_proto(key))

    async def ListKeys(self, request: pb.ListKeysRequest, context: RpcContext) -> pb.ListKeysResponse:
        call = call_from(context)

        async def page(size: int) -> pb.ListKeysResponse:
            found = await self._agents.keys.page(call, size=size, cursor=request.cursor)
            return pb.ListKeysResponse(
                keys=[key_to_proto(key) for key in found.items], next_cursor=found.next_cursor or ""
            )

        return await fitting(page, request.page_size)

    async def RotateKey(self, request: pb.RotateKeyRequest, context: RpcContext) -> pb.RotateKeyResponse:
        issued = await self._agents.keys.rotate(
            call_from(context), _key_id(request.key_id), overlap_s=request.overlap_s
        )
        return pb.RotateKeyResponse(key=key_to_proto(issued.key), secret=issued.secret.reveal())

    async def RevokeKey(self, request: pb.RevokeKeyRequest, context: RpcContext) -> pb.RevokeKeyResponse:
        await self._agents.keys.revoke(call_from(context), _key_id(request.key_id))
        return pb.RevokeKeyResponse()


def _key_id(value: str) -> KeyId:
    return KeyId(id_from_proto("key", "key_id", value))
