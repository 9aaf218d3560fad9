"""Clients that go without a word: nothing is left behind, nothing is called an error."""

import asyncio
import logging
from typing import Any

import grpc.aio
import pytest

from app.domain.events import TextProduced
from grpc_service.gen.agentgateway.v1 import task_service_pb2 as pb
from grpc_service.gen.agentgateway.v1.task_service_pb2_grpc import TaskServiceStub
from tests.grpc_service.workbench import AUTH, Workbench, until

CLIENTS = 40


async def test_nothing_is_left_of_clients_that_go_in_the_middle(
    bench: Workbench, caplog: pytest.LogCaptureFixture
) -> None:
    task_id = await bench.submitted()
    await bench.claimed(task_id)
    await bench.reported(task_id, *(TextProduced(turn=1, text="x" * 16_000) for _ in range(64)))
    await asyncio.sleep(0)
    before = len(asyncio.all_tasks())

    async def come_and_go(reads: int) -> None:
        async with grpc.aio.insecure_channel(
            bench.target, options=[("grpc.use_local_subchannel_pool", 1)]
        ) as channel:
            stub: Any = TaskServiceStub(channel)
            call = stub.WatchTask(pb.WatchTaskRequest(task_id=task_id), metadata=AUTH)
            unary = stub.GetTask(pb.GetTaskRequest(task_id=task_id), metadata=AUTH)
            for _ in range(reads):
                await call.read()
            unary.cancel()

    for _ in range(3):
        await asyncio.gather(*(come_and_go(number % 4) for number in range(CLIENTS)))
        await bench.reported(task_id, TextProduced(turn=1, text="x"))

    await until(lambda: bench.feeds.readers == 0 and len(asyncio.all_tasks()) <= before)
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []
    gauge = 'agentgateway_stream_readers{protocol="grpc"} 0.0'
    assert gauge in bench.metrics.render().decode()
