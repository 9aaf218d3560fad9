"""`ArtifactService`."""

from collections.abc import AsyncGenerator

from app.domain.errors import InvalidRequestError
from app.domain.ids import Digest, TaskId
from app.service.agent_service import AgentService
from app.service.artifacts import CHUNK_BYTES
from grpc_service.errors import RpcContext
from grpc_service.gen.agentgateway.v1 import artifact_pb2 as pb
from grpc_service.interceptors.calls import call_from
from grpc_service.native.mapping.artifacts import artifact_to_proto, described_artifact_to_proto
from grpc_service.native.mapping.values import id_from_proto


class ArtifactServicer:
    """agentgateway.v1.ArtifactService over AgentService."""

    def __init__(self, agents: AgentService) -> None:
        self._agents = agents

    async def GetArtifact(
        self, request: pb.GetArtifactRequest, context: RpcContext
    ) -> pb.GetArtifactResponse:
        artifact = await self._agents.artifacts.get(call_from(context), _digest(request.digest))
        return described_artifact_to_proto(artifact)

    async def ListArtifacts(
        self, request: pb.ListArtifactsRequest, context: RpcContext
    ) -> pb.ListArtifactsResponse:
        task_id = TaskId(id_from_proto("task", "task_id", request.task_id))
        artifacts = await self._agents.artifacts.of_task(call_from(context), task_id)
        return pb.ListArtifactsResponse(artifacts=[artifact_to_proto(item.ref) for item in artifacts])

    async def ReadArtifact(
        self, request: pb.ReadArtifactRequest, context: RpcContext
    ) -> AsyncGenerator[pb.ReadArtifactResponse, None]:
        """At least one message, so that the reader of nothing learns the size."""
        call, digest = call_from(context), _digest(request.digest)
        size = (await self._agents.artifacts.get(call, digest)).ref.size_bytes
        offset = request.offset
        if not 0 <= offset <= size:
            raise InvalidRequestError.of("offset", f"must be from 0 to the size, {size}", "OUT_OF_RANGE")
        if request.length < 0:
            raise InvalidRequestError.of("length", "must be 0 or more", "OUT_OF_RANGE")
        end = min(size, offset + request.length) if request.length else size
        while True:
            data = await self._agents.artifacts.read(
                call, digest, offset=offset, length=min(CHUNK_BYTES, end - offset)
            )
            yield pb.ReadArtifactResponse(data=data, offset=offset, size_bytes=size)
            offset += len(data)
            if offset >= end or not data:
                return


def _digest(value: str) -> Digest:
    return Digest(id_from_proto("artifact", "digest", value))
