"""Submit a task over gRPC and watch it to its end.

    python examples/grpc_client.py "write a haiku about queues"

GATEWAY (default 127.0.0.1:50051) is where the gateway listens, GATEWAY_KEY its API key if it wants one.
"""

import asyncio
import os
import sys

import grpc.aio

from grpc_service.gen.agentgateway.v1 import task_service_pb2 as pb
from grpc_service.gen.agentgateway.v1.task_service_pb2_grpc import TaskServiceStub


async def watch(tasks: TaskServiceStub, task_id: str, metadata: tuple[tuple[str, str], ...]) -> None:
    """Print the task's events; after a cut, go on behind the last one seen."""
    seen = 0
    while True:
        try:
            request = pb.WatchTaskRequest(task_id=task_id, after_seq=seen)
            async for answer in tasks.WatchTask(request, metadata=metadata):
                for event in answer.events:
                    seen = event.seq
                    kind = event.WhichOneof("event") or "?"
                    print(f"{event.seq:>4}  {kind}  {getattr(event, kind)}".replace("\n", " "))
            return  # a stream that ends without an error has told the end
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.UNAVAILABLE:
                raise
            print(f"      cut off ({error.details()}), trying again")
            await asyncio.sleep(1)


async def main(instruction: str) -> None:
    key = os.environ.get("GATEWAY_KEY")
    metadata = (("authorization", f"Bearer {key}"),) if key else ()
    async with grpc.aio.insecure_channel(os.environ.get("GATEWAY", "127.0.0.1:50051")) as channel:
        tasks = TaskServiceStub(channel)
        accepted = await tasks.SubmitTask(
            pb.SubmitTaskRequest(task=pb.TaskInput(instruction=instruction)), metadata=metadata, timeout=10
        )
        await watch(tasks, accepted.task.id, metadata)
        ended = await tasks.GetTask(
            pb.GetTaskRequest(task_id=accepted.task.id), metadata=metadata, timeout=10
        )
        print(ended.task.result.output or ended.task.failure.message)


if __name__ == "__main__":
    asyncio.run(main(" ".join(sys.argv[1:]) or "calculate 6 * 7"))
