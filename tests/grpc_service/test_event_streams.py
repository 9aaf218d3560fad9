"""Streams of events over a real channel."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import grpc
import grpc.aio
import pytest
from google.rpc import error_details_pb2, status_pb2

from app.domain.events import TextProduced
from app.domain.tasks import TaskState
from grpc_service.gen.agentgateway.v1 import task_pb2
from grpc_service.gen.agentgateway.v1 import task_service_pb2 as pb
from grpc_service.gen.agentgateway.v1.task_service_pb2_grpc import TaskServiceStub
from tests.grpc_service.workbench import AUTH, Workbench, open_workbench, trailers_of, until

Code = grpc.StatusCode


async def rest_of(call: Any) -> list[Any]:
    """The messages that are still to come."""
    answers: list[Any] = []
    end: Any = cast("Any", grpc.aio).EOF
    while (answer := await call.read()) is not end:
        answers.append(answer)
    return answers


async def seqs_of(call: Any) -> list[int]:
    return [event.seq for answer in await rest_of(call) for event in answer.events]


async def test_a_stream_ends_with_the_terminal_event(bench: Workbench) -> None:
    task_id = await bench.submitted()
    call = bench.tasks.WatchTask(pb.WatchTaskRequest(task_id=task_id), metadata=AUTH, timeout=10)
    assert [event.seq for event in (await call.read()).events] == [1, 2]

    await bench.claimed(task_id)
    await bench.reported(task_id, TextProduced(turn=1, text="hi"))
    await bench.succeeded(task_id)

    assert await seqs_of(call) == [3, 4, 5]
    assert await call.code() is Code.OK


async def test_a_stream_goes_on_behind_any_cursor(bench: Workbench) -> None:
    task_id = await bench.submitted()
    await bench.claimed(task_id)
    await bench.succeeded(task_id)

    for after in range(4):
        call = bench.tasks.WatchTask(
            pb.WatchTaskRequest(task_id=task_id, after_seq=after), metadata=AUTH, timeout=5
        )
        assert await seqs_of(call) == list(range(after + 1, 5))


async def test_the_end_of_an_ended_task_is_empty(bench: Workbench) -> None:
    task_id = await bench.submitted()
    await bench.claimed(task_id)
    ended = await bench.succeeded(task_id)

    call = bench.tasks.WatchTask(
        pb.WatchTaskRequest(task_id=task_id, after_seq=ended.last_seq), metadata=AUTH, timeout=5
    )

    assert [answer async for answer in call] == []
    assert await call.code() is Code.OK


@pytest.mark.parametrize(
    ("request_", "code", "reason"),
    [
        (pb.WatchTaskRequest(task_id="task_no"), Code.NOT_FOUND, "NOT_FOUND"),
        (pb.WatchTaskRequest(), Code.INVALID_ARGUMENT, "INVALID_REQUEST"),
        (pb.WatchTaskRequest(task_id="MINE", after_seq=-1), Code.INVALID_ARGUMENT, "INVALID_REQUEST"),
        (pb.WatchTaskRequest(task_id="MINE", after_seq=99), Code.INVALID_ARGUMENT, "INVALID_CURSOR"),
    ],
)
async def test_a_wrong_start_is_refused(
    bench: Workbench, request_: pb.WatchTaskRequest, code: grpc.StatusCode, reason: str
) -> None:
    task_id = await bench.submitted()
    request = pb.WatchTaskRequest(
        task_id=request_.task_id.replace("MINE", task_id), after_seq=request_.after_seq
    )

    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await seqs_of(bench.tasks.WatchTask(request, metadata=AUTH, timeout=5))

    status = status_pb2.Status.FromString(trailers_of(refused.value)["grpc-status-details-bin"])
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    assert (refused.value.code(), info.reason) == (code, reason)


async def test_run_tells_the_task_with_its_first_events(bench: Workbench) -> None:
    call = bench.tasks.RunTask(
        pb.RunTaskRequest(task={"instruction": "go"}, request_id="k-1"), metadata=AUTH, timeout=10
    )
    first = await call.read()
    assert first.task.id == first.events[0].task_id
    assert [event.seq for event in first.events] == [1, 2]

    await bench.claimed(first.task.id)
    await bench.succeeded(first.task.id)

    rest = await rest_of(call)
    assert [event.seq for answer in rest for event in answer.events] == [3, 4]
    assert not any(answer.HasField("task") for answer in rest)
    replay = [
        answer
        async for answer in bench.tasks.RunTask(
            pb.RunTaskRequest(task={"instruction": "go"}, request_id="k-1"), metadata=AUTH, timeout=5
        )
    ]
    assert replay[0].task.id == first.task.id
    assert replay[-1].events[-1].WhichOneof("event") == "task_succeeded"


async def test_one_stream_of_all_tasks(bench: Workbench) -> None:
    call = bench.tasks.WatchTasks(pb.WatchTasksRequest(after_position=0), metadata=AUTH)
    first, second = await bench.submitted(), await bench.submitted()

    positions: list[int] = []
    tasks: set[str] = set()
    async with asyncio.timeout(5):
        while len(positions) < 4:
            for event in (await call.read()).events:
                positions.append(event.position)
                tasks.add(event.task_id)

    assert positions == [1, 2, 3, 4]
    assert tasks == {first, second}
    call.cancel()
    await until(lambda: bench.feeds.readers == 0)


async def test_leaving_a_stream_closes_its_reader(bench: Workbench) -> None:
    task_id = await bench.submitted()
    calls = [bench.tasks.WatchTask(pb.WatchTaskRequest(task_id=task_id), metadata=AUTH) for _ in range(20)]
    for call in calls:
        await call.read()
    assert bench.feeds.readers == 20

    for call in calls:
        call.cancel()

    await until(lambda: bench.feeds.readers == 0)


async def test_a_lost_connection_closes_its_readers(bench: Workbench) -> None:
    task_id = await bench.submitted()
    async with grpc.aio.insecure_channel(bench.target) as channel:
        stub: Any = TaskServiceStub(channel)
        call = stub.WatchTask(pb.WatchTaskRequest(task_id=task_id), metadata=AUTH)
        await call.read()
        assert bench.feeds.readers == 1

    await until(lambda: bench.feeds.readers == 0)


async def test_a_reader_that_does_not_read_can_still_be_closed(bench: Workbench) -> None:
    """The server is stuck in a write (flow control) when the client goes."""
    task_id = await bench.submitted()
    await bench.claimed(task_id)
    call = bench.tasks.WatchTask(pb.WatchTaskRequest(task_id=task_id), metadata=AUTH)
    await call.read()
    for _ in range(40):
        await bench.reported(task_id, *(TextProduced(turn=1, text="x" * 16_000) for _ in range(16)))
    assert bench.feeds.readers == 1

    call.cancel()

    await until(lambda: bench.feeds.readers == 0)


async def test_a_slow_reader_gets_everything_in_order(bench: Workbench) -> None:
    task_id = await bench.submitted()
    await bench.claimed(task_id)
    call = bench.tasks.WatchTask(pb.WatchTaskRequest(task_id=task_id), metadata=AUTH, timeout=30)
    for _ in range(20):
        await bench.reported(task_id, *(TextProduced(turn=1, text="x" * 16_000) for _ in range(16)))
    ended = await bench.succeeded(task_id)

    assert await seqs_of(call) == list(range(1, ended.last_seq + 1))


@pytest.mark.parametrize(
    ("policy", "state"), [("CONTINUE", TaskState.RUNNING), ("CANCEL", TaskState.CANCELLED)]
)
async def test_leaving_the_stream_that_submitted_a_task(
    bench: Workbench, policy: str, state: TaskState
) -> None:
    call = bench.tasks.RunTask(
        pb.RunTaskRequest(
            task={
                "instruction": "go",
                "on_disconnect": task_pb2.OnDisconnect.Value(f"ON_DISCONNECT_{policy}"),
            }
        ),
        metadata=AUTH,
    )
    task = await bench.claimed((await call.read()).task.id)

    call.cancel()
    await until(lambda: bench.feeds.readers == 0)

    if state is TaskState.CANCELLED:
        events = bench.tasks.WatchTask(pb.WatchTaskRequest(task_id=task.id), metadata=AUTH, timeout=5)
        assert (await rest_of(events))[-1].events[-1].task_cancelled.cause == "the client left the stream"
    found = await bench.stores.tasks.find(task.id)
    assert found is not None
    assert found.state is state


async def test_a_draining_server_says_where_to_go_on(bench: Workbench) -> None:
    task_id = await bench.submitted()
    call = bench.tasks.WatchTask(pb.WatchTaskRequest(task_id=task_id), metadata=AUTH, timeout=10)
    await call.read()

    bench.feeds.drain()
    notice = (await call.read()).notice
    with pytest.raises(grpc.aio.AioRpcError) as ended:
        await call.read()

    assert notice.drain.cursor == 2
    assert notice.drain.retry_after.ToTimedelta() == timedelta(seconds=1)
    assert ended.value.code() is Code.UNAVAILABLE
    status = status_pb2.Status.FromString(trailers_of(ended.value)["grpc-status-details-bin"])
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    assert status.details[0].Unpack(info)
    assert info.reason == "DRAINING"
    assert status.details[2].Unpack(retry)
    assert retry.retry_delay.seconds == 1


async def test_a_quiet_stream_shows_that_it_lives(tmp_path: Path) -> None:
    async with open_workbench(tmp_path, heartbeat=timedelta(0)) as bench:
        task_id = await bench.submitted()
        call = bench.tasks.WatchTask(pb.WatchTaskRequest(task_id=task_id), metadata=AUTH, timeout=10)
        await call.read()

        def ticked() -> bool:  # as the process' clock does; the reader may not be waiting yet
            bench.feeds.tick()
            return reading.done()

        async with asyncio.TaskGroup() as group:
            reading = group.create_task(call.read())
            await until(ticked)
        assert reading.result().notice.WhichOneof("notice") == "heartbeat"
        call.cancel()


async def test_open_streams_are_counted(bench: Workbench) -> None:
    task_id = await bench.submitted()
    call = bench.tasks.WatchTask(pb.WatchTaskRequest(task_id=task_id), metadata=AUTH)
    await call.read()
    gauge = 'agentgateway_stream_readers{protocol="grpc"}'
    assert f"{gauge} 1.0" in bench.metrics.render().decode()

    call.cancel()

    await until(lambda: f"{gauge} 0.0" in bench.metrics.render().decode())


async def test_the_journal_page_by_page(bench: Workbench) -> None:
    task_id = await bench.submitted()
    await bench.claimed(task_id)
    await bench.reported(task_id, *(TextProduced(turn=1, text="é" * 16_000) for _ in range(200)))
    ended = await bench.succeeded(task_id)

    seen, after, pages = [], 0, 0
    while pages == 0 or after:
        page = await bench.tasks.ListTaskEvents(
            pb.ListTaskEventsRequest(task_id=task_id, after_seq=after, page_size=1_000),
            metadata=AUTH,
            timeout=10,
        )
        seen += [event.seq for event in page.events]
        after, pages = page.next_after_seq, pages + 1

    assert seen == list(range(1, ended.last_seq + 1))
    assert pages > 1
