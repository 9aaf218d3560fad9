"""What probes and tools ask for, without credentials."""

import asyncio

import grpc
import grpc.aio
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2

from app.service.readiness import READY, Finding, Report
from grpc_service.health import MAX_WATCHERS
from grpc_service.server import SERVED_SERVICES
from tests.grpc_service.workbench import Workbench

Serving = health_pb2.HealthCheckResponse


def health_of(bench: Workbench) -> health_pb2_grpc.HealthStub:
    return health_pb2_grpc.HealthStub(bench.channel)


@pytest.mark.parametrize("service", ["", *SERVED_SERVICES])
async def test_every_service_is_serving(bench: Workbench, service: str) -> None:
    answer = await health_of(bench).Check(health_pb2.HealthCheckRequest(service=service), timeout=5)

    assert answer.status == Serving.SERVING


async def test_an_unknown_service_is_not_found(bench: Workbench) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await health_of(bench).Check(health_pb2.HealthCheckRequest(service="no.such.Service"), timeout=5)

    assert refused.value.code() is grpc.StatusCode.NOT_FOUND


async def test_list_tells_all(bench: Workbench) -> None:
    answer = await health_of(bench).List(health_pb2.HealthListRequest(), timeout=5)

    assert {name: item.status for name, item in answer.statuses.items()} == dict.fromkeys(
        ("", *SERVED_SERVICES), Serving.SERVING
    )


async def test_a_watcher_sees_the_drain_and_does_not_hold_up_the_stop(bench: Workbench) -> None:
    call = health_of(bench).Watch(health_pb2.HealthCheckRequest(), timeout=20)
    assert (await call.read()).status == Serving.SERVING

    await bench.server.enter_drain()
    assert (await call.read()).status == Serving.NOT_SERVING
    async with asyncio.timeout(5):
        await bench.server.stop(60)

    with pytest.raises(grpc.aio.AioRpcError) as ended:
        await call.read()
    assert ended.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_watching_an_unknown_service_goes_on(bench: Workbench) -> None:
    call = health_of(bench).Watch(health_pb2.HealthCheckRequest(service="no.such.Service"), timeout=20)

    assert (await call.read()).status == Serving.SERVICE_UNKNOWN
    await bench.server.enter_drain()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await call.read()
    call.cancel()


async def test_watchers_are_bounded_and_make_room(bench: Workbench) -> None:
    stub = health_of(bench)
    calls = [stub.Watch(health_pb2.HealthCheckRequest()) for _ in range(MAX_WATCHERS)]
    for call in calls:
        await call.read()

    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.Watch(health_pb2.HealthCheckRequest(), timeout=5).read()
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED

    for call in calls:
        call.cancel()
    async with asyncio.timeout(10):
        while True:
            try:
                await stub.Watch(health_pb2.HealthCheckRequest(), timeout=5).read()
                break
            except grpc.aio.AioRpcError as error:
                assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED  # noqa: PT017


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
async def test_reflection_describes_everything_that_is_served(bench: Workbench, version: str) -> None:
    ask = bench.channel.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    call = ask(timeout=10)

    await call.write(reflection_pb2.ServerReflectionRequest(list_services=""))
    listed = {service.name for service in (await call.read()).list_services_response.service}
    for name in listed:
        await call.write(reflection_pb2.ServerReflectionRequest(file_containing_symbol=name))
        files = (await call.read()).file_descriptor_response.file_descriptor_proto
        found = [FileDescriptorProto.FromString(file) for file in files]
        assert any(f"{file.package}.{service.name}" == name for file in found for service in file.service), (
            name
        )
    await call.done_writing()

    assert listed == {
        *SERVED_SERVICES,
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
    }
    assert await call.code() is grpc.StatusCode.OK


async def test_reflection_knows_what_it_does_not_know(bench: Workbench) -> None:
    call = bench.channel.stream_stream(
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )(timeout=10)

    await call.write(reflection_pb2.ServerReflectionRequest(file_containing_symbol="no.such.Thing"))

    assert (await call.read()).error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]
    await call.done_writing()


async def test_a_watcher_sees_its_service_go_and_come_back(bench: Workbench) -> None:
    watching = {
        name: health_of(bench).Watch(health_pb2.HealthCheckRequest(service=name), timeout=20)
        for name in ("", "agentgateway.v1.SandboxService")
    }
    for call in watching.values():
        assert (await call.read()).status == Serving.SERVING

    lacking = Finding(name="sandbox-remote", ok=False, reason="SANDBOX_UNAVAILABLE")
    bench.server.show(Report(status="unavailable", findings=(lacking,)))

    for call in watching.values():
        assert (await call.read()).status == Serving.NOT_SERVING
    listed = await health_of(bench).List(health_pb2.HealthListRequest(), timeout=5)
    assert listed.statuses["agentgateway.v1.SandboxService"].status == Serving.NOT_SERVING
    assert listed.statuses["agentgateway.v1.ModelService"].status == Serving.SERVING

    bench.server.show(READY)
    for call in watching.values():
        assert (await call.read()).status == Serving.SERVING
        call.cancel()
