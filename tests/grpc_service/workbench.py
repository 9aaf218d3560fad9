"""A gRPC server over the desk."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc.aio

from app.policy.admission import Admission
from grpc_service.gen.agentgateway.v1 import task_service_pb2
from grpc_service.gen.agentgateway.v1.task_service_pb2_grpc import TaskServiceStub
from grpc_service.server import GrpcOptions, GrpcServer, build_grpc_server
from tests.workbench import KEY, Desk, open_desk

AUTH = (("authorization", f"Bearer {KEY}"),)


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop turn until the server has noticed; fails after five seconds."""
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0)


def trailers_of(error: grpc.aio.AioRpcError) -> dict[str, Any]:
    """The trailing metadata of a failed call."""
    metadata: Any = error.trailing_metadata()
    return dict(metadata)


@dataclass(frozen=True, slots=True)
class Workbench(Desk):
    """What a test drives."""

    server: GrpcServer
    channel: Any
    target: str

    @property
    def tasks(self) -> Any:
        return TaskServiceStub(self.channel)

    async def submitted(self, **task: object) -> str:
        """The id of a new task."""
        request = task_service_pb2.SubmitTaskRequest(task={"instruction": "say hello", **task})
        return (await self.tasks.SubmitTask(request, metadata=AUTH, timeout=10)).task.id


@asynccontextmanager
async def open_workbench(
    path: Path,
    *,
    options: GrpcOptions | None = None,
    heartbeat: timedelta = timedelta(seconds=30),
    admission: Admission | None = None,
) -> AsyncGenerator[Workbench]:
    """Serve on a free port of 127.0.0.1, with one client channel of default options."""
    async with open_desk(path, heartbeat=heartbeat, admission=admission) as desk:
        server = build_grpc_server(
            desk.service,
            desk.admission,
            desk.tracing,
            desk.metrics,
            options=replace(options or GrpcOptions(), port=0),
        )
        target = f"127.0.0.1:{await server.start()}"
        async with grpc.aio.insecure_channel(target) as channel:
            try:
                yield Workbench(desk.parts, desk.service, desk.admission, desk.spans, server, channel, target)
            finally:
                desk.feeds.drain()
                await server.stop(0.5)
