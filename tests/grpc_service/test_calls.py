"""Calls over a real channel: what is answered, refused, cut short."""

import asyncio
import logging
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import grpc
import grpc.aio
import pytest
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2, status_pb2

from app.domain.call import CallContext
from app.policy.admission import Admission
from app.policy.authentication.chain import OpenAuthenticator
from app.telemetry.metrics import Metrics
from app.telemetry.tracing import Tracing
from grpc_service.gen.agentgateway.v1 import server_service_pb2 as server_pb
from grpc_service.gen.agentgateway.v1 import task_service_pb2 as pb
from grpc_service.gen.agentgateway.v1.server_service_pb2_grpc import ServerServiceStub
from grpc_service.interceptors.gate import PUBLIC_METHODS
from grpc_service.server import SERVED_SERVICES, GrpcOptions, ListenError, build_grpc_server
from tests.grpc_service.workbench import AUTH, Workbench, open_workbench, trailers_of

Code = grpc.StatusCode
POOL = descriptor_pool.Default()
ANSWERED = {code for code in Code if code not in {Code.INTERNAL, Code.UNKNOWN, Code.UNIMPLEMENTED}}


def status_in(error: grpc.aio.AioRpcError) -> tuple[error_details_pb2.ErrorInfo, status_pb2.Status]:
    """The error's ErrorInfo and its whole status; its code and message are those of the call."""
    status = status_pb2.Status.FromString(trailers_of(error)["grpc-status-details-bin"])
    assert (status.code, status.message) == (error.code().value[0], error.details())
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    return info, status


def unary_methods() -> list[str]:
    services = [POOL.FindServiceByName(name) for name in SERVED_SERVICES]
    return [
        f"/{service.full_name}/{method.name}"
        for service in services
        for method in service.methods
        if not method.server_streaming
    ]


async def test_every_method_of_the_contract_is_served(bench: Workbench) -> None:
    contract = {
        f"/{name}/{method.name}"
        for name in SERVED_SERVICES
        for method in POOL.FindServiceByName(name).methods
    }

    assert bench.server.methods == contract | PUBLIC_METHODS


@pytest.mark.parametrize("metadata", [(), (("authorization", "Bearer wrong"),), (("x-api-key", ""),)])
async def test_without_a_valid_key_only_the_public_methods_answer(
    bench: Workbench, metadata: tuple[tuple[str, str], ...]
) -> None:
    for method in sorted(bench.server.methods - PUBLIC_METHODS):
        call = bench.channel.unary_stream(method)(b"", metadata=metadata, timeout=5)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call.read()
        assert refused.value.code() is Code.UNAUTHENTICATED, method
        assert status_in(refused.value)[0].reason == "UNAUTHENTICATED"


async def test_the_key_may_come_as_x_api_key(bench: Workbench) -> None:
    await ServerServiceStub(bench.channel).GetServerInfo(
        server_pb.GetServerInfoRequest(), metadata=(("x-api-key", "desk-key"),), timeout=5
    )


async def test_a_request_id_comes_back(bench: Workbench) -> None:
    stub = ServerServiceStub(bench.channel)

    given = stub.GetServerInfo(
        server_pb.GetServerInfoRequest(), metadata=(*AUTH, ("x-request-id", "r-1")), timeout=5
    )
    stream = bench.tasks.WatchTasks(pb.WatchTasksRequest(), metadata=AUTH, timeout=5)
    failed = bench.tasks.GetTask(
        pb.GetTaskRequest(task_id="no"), metadata=(*AUTH, ("x-request-id", "r-2")), timeout=5
    )
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await failed

    assert dict(await given.initial_metadata())["x-request-id"] == "r-1"
    assert len(dict(await stream.initial_metadata())["x-request-id"]) == 32
    assert trailers_of(refused.value)["x-request-id"] == "r-2"
    info = error_details_pb2.RequestInfo()
    assert status_in(refused.value)[1].details[1].Unpack(info)
    assert info.request_id == "r-2"


async def test_the_server_span_is_the_parent_of_what_is_submitted(bench: Workbench) -> None:
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    traceparent = f"00-{trace_id}-b7ad6b7169203331-01"

    answer = await bench.tasks.SubmitTask(
        pb.SubmitTaskRequest(task={"instruction": "go"}),
        metadata=(*AUTH, ("traceparent", traceparent)),
        timeout=5,
    )

    task = await bench.claimed(answer.task.id)
    [span] = bench.spans.get_finished_spans()
    assert span.context is not None
    assert span.name == "agentgateway.v1.TaskService/SubmitTask"
    assert f"{span.context.trace_id:032x}" == trace_id
    assert task.traceparent is not None
    assert f"{span.context.span_id:016x}" in task.traceparent


async def test_each_call_is_counted_once_by_its_outcome(bench: Workbench) -> None:
    task_id = await bench.submitted()
    for _ in range(2):
        with pytest.raises(grpc.aio.AioRpcError):
            await bench.tasks.GetTask(pb.GetTaskRequest(task_id="no"), metadata=AUTH, timeout=5)
    await bench.tasks.GetTask(pb.GetTaskRequest(task_id=task_id), metadata=AUTH, timeout=5)

    text = bench.metrics.render().decode()
    method = 'method="agentgateway.v1.TaskService/GetTask"'
    for code, outcome, count in (("NOT_FOUND", "NOT_FOUND", 2), ("OK", "ok", 1)):
        labels = f'code="{code}",{method},outcome="{outcome}",protocol="grpc"'
        assert f"agentgateway_requests_total{{{labels}}} {count}.0" in text


async def test_an_unknown_method_is_unimplemented_and_leaves_no_trace(bench: Workbench) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await bench.channel.unary_unary("/agentgateway.v1.TaskService/Guess")(b"", metadata=AUTH, timeout=5)

    assert refused.value.code() is Code.UNIMPLEMENTED
    assert b"Guess" not in bench.metrics.render()


@pytest.mark.parametrize("raw", [b"\xff\xff\xff", b"\x0a\x05abc", b"\x0a\x02\xff\xfe"])
async def test_what_is_no_message_is_refused_by_name(bench: Workbench, raw: bytes) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await bench.channel.unary_unary("/agentgateway.v1.TaskService/GetTask")(raw, metadata=AUTH, timeout=5)

    assert refused.value.code() is Code.INVALID_ARGUMENT
    assert "agentgateway.v1.GetTaskRequest" in (refused.value.details() or "")


async def test_a_request_beyond_the_limit_is_refused_by_size(bench: Workbench) -> None:
    request = pb.SubmitTaskRequest(task={"instruction": "x" * (4 * 1024 * 1024)})

    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await bench.tasks.SubmitTask(request, metadata=AUTH, timeout=5)

    assert refused.value.code() is Code.RESOURCE_EXHAUSTED


async def test_every_wrong_field_is_named_at_once(bench: Workbench) -> None:
    request = pb.SubmitTaskRequest(
        task={
            "instruction": " ",
            "agent_id": "No Such Form",
            "configuration": {"temperature": 9, "limits": {"max_steps": -1}},
        }
    )

    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await bench.tasks.SubmitTask(request, metadata=AUTH, timeout=5)

    info, status = status_in(refused.value)
    bad = error_details_pb2.BadRequest()
    assert status.details[-1].Unpack(bad)
    assert (refused.value.code(), info.reason) == (Code.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert {item.field for item in bad.field_violations} == {
        "instruction",
        "agent_id",
        "configuration.temperature",
        "configuration.limits.max_steps",
    }


NASTY_TEXTS = ("", "\0", "x" * 200, "é" * 120_000, "../..", "a\nb", "{", "9" * 40, "null")
NASTY_NUMBERS = (-1, 2**31 - 1, -(2**31))


def nasty_messages(kind: Descriptor, depth: int = 0) -> Iterator[Message]:
    """Messages of a type with one field at a time set to something unpleasant."""
    make = GetMessageClass(kind)
    yield make()
    for field in kind.fields:
        for value in _nasty_values(field, depth):
            message = make()
            _put(message, field, value)
            yield message


def _nasty_values(field: FieldDescriptor, depth: int) -> Iterator[object]:
    if field.type == field.TYPE_STRING:
        yield from NASTY_TEXTS
    elif field.type == field.TYPE_MESSAGE and depth < 3 and field.message_type is not None:
        yield from nasty_messages(field.message_type, depth + 1)
    elif field.type in {field.TYPE_DOUBLE}:
        yield from (float("nan"), float("inf"), -1.0, 1e300)
    elif field.type == field.TYPE_BOOL:
        yield True
    elif field.type in {field.TYPE_INT32, field.TYPE_INT64, field.TYPE_ENUM}:
        yield from NASTY_NUMBERS
        if field.type == field.TYPE_INT64:
            yield from (2**63 - 1, -(2**63))


def _put(message: Message, field: FieldDescriptor, value: object) -> None:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        getattr(message, field.name)[value.key] = value.value  # pyright: ignore[reportAttributeAccessIssue]
    elif field.is_repeated:
        getattr(message, field.name).MergeFrom([value])
    elif isinstance(value, Message):
        getattr(message, field.name).CopyFrom(value)
        getattr(message, field.name).SetInParent()
    else:
        setattr(message, field.name, value)


@pytest.mark.parametrize("method", unary_methods())
async def test_no_request_ends_as_internal(
    bench: Workbench, method: str, caplog: pytest.LogCaptureFixture
) -> None:
    _, service, name = method.split("/")
    kind = POOL.FindServiceByName(service).methods_by_name[name].input_type
    call = bench.channel.unary_unary(method)
    codes: set[grpc.StatusCode] = set()

    for message in nasty_messages(kind):
        try:
            await call(message.SerializeToString(), metadata=AUTH, timeout=10)
        except grpc.aio.AioRpcError as error:
            codes.add(error.code())

    assert codes <= ANSWERED
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_a_bug_tells_the_caller_a_request_id_and_the_log_everything(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(self: object, call: CallContext, task_id: str) -> None:
        raise RuntimeError("password=hunter2 in row 7")

    monkeypatch.setattr(type(bench.service.tasks), "get", broken)

    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await bench.tasks.GetTask(
            pb.GetTaskRequest(task_id="task_1"), metadata=(*AUTH, ("x-request-id", "r-9")), timeout=5
        )

    assert failed.value.code() is Code.INTERNAL
    assert "hunter2" not in str(failed.value) + str(failed.value.trailing_metadata())
    assert trailers_of(failed.value)["x-request-id"] == "r-9"
    [record] = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert record.exc_info is not None
    assert "hunter2" in str(record.exc_info[1])


async def test_the_callers_deadline_ends_the_call_not_the_task(bench: Workbench) -> None:
    request = pb.SubmitTaskRequest(task={"instruction": "go"}, request_id="k-1")
    request.wait.FromTimedelta(timedelta(seconds=60))

    with pytest.raises(grpc.aio.AioRpcError) as late:
        await bench.tasks.SubmitTask(request, metadata=AUTH, timeout=0.3)
    again = await bench.tasks.SubmitTask(
        pb.SubmitTaskRequest(task={"instruction": "go"}, request_id="k-1"), metadata=AUTH, timeout=5
    )

    assert late.value.code() is Code.DEADLINE_EXCEEDED
    assert again.task.state == 2  # queued


async def test_a_call_without_a_deadline_gets_the_servers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped = asyncio.Event()

    async def slow(self: object, call: CallContext, task_id: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    async with open_workbench(tmp_path, options=GrpcOptions(default_deadline_s=0.2)) as bench:
        monkeypatch.setattr(type(bench.service.tasks), "get", slow)
        calls = [bench.tasks.GetTask(pb.GetTaskRequest(task_id="task_1"), metadata=AUTH) for _ in range(3)]
        for call in calls:
            with pytest.raises(grpc.aio.AioRpcError) as late:
                await call
            assert late.value.code() is Code.DEADLINE_EXCEEDED
            assert status_in(late.value)[0].reason == "DEADLINE_EXCEEDED"
        assert stopped.is_set()


async def test_a_wait_is_added_to_the_servers_deadline(tmp_path: Path) -> None:
    async with open_workbench(tmp_path, options=GrpcOptions(default_deadline_s=0.1)) as bench:
        request = pb.SubmitTaskRequest(task={"instruction": "go"})
        request.wait.FromTimedelta(timedelta(seconds=0.5))

        answer = await bench.tasks.SubmitTask(request, metadata=AUTH)

        assert answer.task.id


async def test_leaving_a_call_cancels_its_handler(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    started, stopped = asyncio.Event(), asyncio.Event()

    async def slow(self: object, call: CallContext, task_id: str) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    monkeypatch.setattr(type(bench.service.tasks), "get", slow)

    call = bench.tasks.GetTask(pb.GetTaskRequest(task_id="task_1"), metadata=AUTH)
    await asyncio.wait_for(started.wait(), 5)
    call.cancel()
    await asyncio.wait_for(stopped.wait(), 5)


async def test_a_taken_port_fails_at_once_and_by_name(bench: Workbench) -> None:
    options = GrpcOptions(port=int(bench.target.rpartition(":")[2]))
    second = build_grpc_server(
        bench.service, Admission(OpenAuthenticator()), Tracing(), Metrics(), options=options
    )

    with pytest.raises(ListenError, match=bench.target):
        await second.start()


async def test_an_idempotency_key_is_the_requests_own(bench: Workbench) -> None:
    request = pb.SubmitTaskRequest(task={"instruction": "go"}, request_id="k-1")
    other = pb.SubmitTaskRequest(task={"instruction": "stop"}, request_id="k-1")

    first = await bench.tasks.SubmitTask(request, metadata=AUTH, timeout=5)
    second = await bench.tasks.SubmitTask(request, metadata=AUTH, timeout=5)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await bench.tasks.SubmitTask(other, metadata=AUTH, timeout=5)

    assert first.task.id == second.task.id
    assert status_in(refused.value)[0].reason == "IDEMPOTENCY_KEY_REUSED"


async def test_a_page_too_big_for_a_client_becomes_smaller_pages(bench: Workbench) -> None:
    ids = [await bench.submitted(instruction="x" * 100_000, metadata={"k": "é" * 4_096}) for _ in range(40)]

    seen: list[str] = []
    cursor, pages = "", 0
    while pages == 0 or cursor:
        page = await bench.tasks.ListTasks(
            pb.ListTasksRequest(page_size=1_000, cursor=cursor), metadata=AUTH, timeout=10
        )
        seen += [task.id for task in page.tasks]
        cursor, pages = page.next_cursor, pages + 1

    assert seen == ids[::-1]
    assert pages > 1
