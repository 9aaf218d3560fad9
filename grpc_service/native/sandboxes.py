"""`SandboxService`."""

from app.domain.ids import SandboxId
from app.service.agent_service import AgentService
from grpc_service.errors import RpcContext
from grpc_service.gen.agentgateway.v1 import sandbox_service_pb2 as pb
from grpc_service.interceptors.calls import call_from
from grpc_service.native.mapping.artifacts import artifact_to_proto
from grpc_service.native.mapping.sandboxes import (
    action_from_proto,
    kind_to_proto,
    sandbox_to_proto,
    step_to_proto,
)
from grpc_service.native.mapping.values import id_from_proto


class SandboxServicer:
    """agentgateway.v1.SandboxService over AgentService."""

    def __init__(self, agents: AgentService) -> None:
        self._agents = agents

    async def ListSandboxKinds(
        self, request: pb.ListSandboxKindsRequest, context: RpcContext
    ) -> pb.ListSandboxKindsResponse:
        del request
        kinds = await self._agents.sandboxes.kinds(call_from(context))
        return pb.ListSandboxKindsResponse(kinds=[kind_to_proto(kind) for kind in kinds])

    async def CreateSandbox(
        self, request: pb.CreateSandboxRequest, context: RpcContext
    ) -> pb.CreateSandboxResponse:
        sandbox = await self._agents.sandboxes.create(
            call_from(context), kind=request.kind or None, max_life_s=request.max_life_s or None
        )
        return pb.CreateSandboxResponse(sandbox=sandbox_to_proto(sandbox))

    async def GetSandbox(self, request: pb.GetSandboxRequest, context: RpcContext) -> pb.GetSandboxResponse:
        sandbox = await self._agents.sandboxes.get(call_from(context), _sandbox_id(request.sandbox_id))
        return pb.GetSandboxResponse(sandbox=sandbox_to_proto(sandbox))

    async def ListSandboxes(
        self, request: pb.ListSandboxesRequest, context: RpcContext
    ) -> pb.ListSandboxesResponse:
        page = await self._agents.sandboxes.page(
            call_from(context), size=request.page_size, cursor=request.cursor
        )
        return pb.ListSandboxesResponse(
            sandboxes=[sandbox_to_proto(sandbox) for sandbox in page.items],
            next_cursor=page.next_cursor or "",
        )

    async def ActInSandbox(
        self, request: pb.ActInSandboxRequest, context: RpcContext
    ) -> pb.ActInSandboxResponse:
        step = await self._agents.sandboxes.act(
            call_from(context), _sandbox_id(request.sandbox_id), action_from_proto(request)
        )
        return pb.ActInSandboxResponse(result=step_to_proto(step))

    async def CaptureScreenshot(
        self, request: pb.CaptureScreenshotRequest, context: RpcContext
    ) -> pb.CaptureScreenshotResponse:
        ref = await self._agents.sandboxes.screenshot(call_from(context), _sandbox_id(request.sandbox_id))
        return pb.CaptureScreenshotResponse(screenshot=artifact_to_proto(ref))

    async def DeleteSandbox(
        self, request: pb.DeleteSandboxRequest, context: RpcContext
    ) -> pb.DeleteSandboxResponse:
        await self._agents.sandboxes.delete(call_from(context), _sandbox_id(request.sandbox_id))
        return pb.DeleteSandboxResponse()


def _sandbox_id(value: str) -> SandboxId:
    return SandboxId(id_from_proto("sandbox", "sandbox_id", value))
