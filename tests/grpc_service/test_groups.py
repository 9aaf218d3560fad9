"""The other services over a real channel: artifacts, configuration, agents, sessions, models."""

import hashlib
import json
import os

import grpc
import grpc.aio
import pytest

from app.domain.identity import DEFAULT_TENANT
from app.domain.ids import TaskId
from grpc_service.gen.agentgateway.v1 import (
    agent_pb2,
    agent_pb2_grpc,
    artifact_pb2,
    artifact_pb2_grpc,
    configuration_pb2,
    configuration_pb2_grpc,
    sandbox_service_pb2,
    sandbox_service_pb2_grpc,
    server_service_pb2,
    server_service_pb2_grpc,
    session_service_pb2,
    session_service_pb2_grpc,
    task_service_pb2,
    tool_service_pb2,
    tool_service_pb2_grpc,
)
from tests.grpc_service.workbench import AUTH, Workbench

Code = grpc.StatusCode
TWENTY_MB = 20 * 1000 * 1000


async def test_twenty_megabytes_reach_a_default_client(bench: Workbench) -> None:
    data = os.urandom(TWENTY_MB)
    ref = await bench.stores.artifacts.put(
        DEFAULT_TENANT, data, name="screen.png", media_type="image/png", task_id=None
    )
    stub = artifact_pb2_grpc.ArtifactServiceStub(bench.channel)

    chunks = [
        chunk
        async for chunk in stub.ReadArtifact(
            artifact_pb2.ReadArtifactRequest(digest=ref.digest), metadata=AUTH, timeout=30
        )
    ]

    whole = b"".join(chunk.data for chunk in chunks)
    assert f"sha256:{hashlib.sha256(whole).hexdigest()}" == ref.digest
    assert max(len(chunk.data) for chunk in chunks) == 256 * 1024
    assert [chunk.offset for chunk in chunks] == list(range(0, TWENTY_MB, 256 * 1024))
    assert {chunk.size_bytes for chunk in chunks} == {TWENTY_MB}


@pytest.mark.parametrize(
    ("offset", "length", "expected"),
    [(0, 0, b"0123456789"), (3, 4, b"3456"), (8, 100, b"89"), (10, 0, b""), (0, 1, b"0")],
)
async def test_a_part_of_an_artifact(bench: Workbench, offset: int, length: int, expected: bytes) -> None:
    ref = await bench.stores.artifacts.put(
        DEFAULT_TENANT, b"0123456789", name="n.txt", media_type="text/plain", task_id=None
    )
    stub = artifact_pb2_grpc.ArtifactServiceStub(bench.channel)

    chunks = [
        chunk
        async for chunk in stub.ReadArtifact(
            artifact_pb2.ReadArtifactRequest(digest=ref.digest, offset=offset, length=length),
            metadata=AUTH,
            timeout=5,
        )
    ]

    assert b"".join(chunk.data for chunk in chunks) == expected
    assert chunks[0].size_bytes == 10


@pytest.mark.parametrize(
    ("digest", "offset", "length", "code"),
    [
        ("", 0, 0, Code.INVALID_ARGUMENT),
        ("sha256:" + "0" * 64, 0, 0, Code.NOT_FOUND),
        ("../../etc/passwd", 0, 0, Code.NOT_FOUND),
        (None, -1, 0, Code.INVALID_ARGUMENT),
        (None, 11, 0, Code.INVALID_ARGUMENT),
        (None, 0, -1, Code.INVALID_ARGUMENT),
    ],
)
async def test_a_part_that_is_not_there(
    bench: Workbench, digest: str | None, offset: int, length: int, code: grpc.StatusCode
) -> None:
    ref = await bench.stores.artifacts.put(
        DEFAULT_TENANT, b"0123456789", name="n.txt", media_type="text/plain", task_id=None
    )
    request = artifact_pb2.ReadArtifactRequest(
        digest=ref.digest if digest is None else digest, offset=offset, length=length
    )

    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await (
            artifact_pb2_grpc.ArtifactServiceStub(bench.channel)
            .ReadArtifact(request, metadata=AUTH, timeout=5)
            .read()
        )

    assert refused.value.code() is code


async def test_the_artifacts_of_a_task(bench: Workbench) -> None:
    task_id = await bench.submitted()
    await bench.stores.artifacts.put(
        DEFAULT_TENANT, b"1", name="one", media_type="text/plain", task_id=TaskId(task_id)
    )
    stub = artifact_pb2_grpc.ArtifactServiceStub(bench.channel)

    listed = await stub.ListArtifacts(
        artifact_pb2.ListArtifactsRequest(task_id=task_id), metadata=AUTH, timeout=5
    )
    one = await stub.GetArtifact(
        artifact_pb2.GetArtifactRequest(digest=listed.artifacts[0].digest), metadata=AUTH, timeout=5
    )

    assert one.artifact == listed.artifacts[0]
    assert one.create_time.seconds > 0


async def test_a_configuration_is_replaced_once_per_etag(bench: Workbench) -> None:
    stub = configuration_pb2_grpc.ConfigurationServiceStub(bench.channel)
    before = await stub.GetConfiguration(
        configuration_pb2.GetConfigurationRequest(), metadata=AUTH, timeout=5
    )
    change = configuration_pb2.UpdateConfigurationRequest(
        values={"model": "openai:gpt-5", "model_api_key": "sk-1"}, etag=before.configuration.etag
    )

    after = await stub.UpdateConfiguration(change, metadata=AUTH, timeout=5)
    with pytest.raises(grpc.aio.AioRpcError) as stale:
        await stub.UpdateConfiguration(change, metadata=AUTH, timeout=5)
    change.etag = "mine"
    with pytest.raises(grpc.aio.AioRpcError) as malformed:
        await stub.UpdateConfiguration(change, metadata=AUTH, timeout=5)

    assert after.configuration.values.model_api_key == "********"
    assert after.configuration.etag != before.configuration.etag
    assert stale.value.code() is Code.ABORTED
    assert malformed.value.code() is Code.INVALID_ARGUMENT


async def test_an_agent_lives(bench: Workbench) -> None:
    stub = agent_pb2_grpc.AgentDefinitionServiceStub(bench.channel)
    agent_input = {"description": "d", "instructions": "be brief"}
    made = (
        await stub.CreateAgent(
            agent_pb2.CreateAgentRequest(id="mine", agent=agent_input), metadata=AUTH, timeout=5
        )
    ).agent

    with pytest.raises(grpc.aio.AioRpcError) as again:
        await stub.CreateAgent(
            agent_pb2.CreateAgentRequest(id="mine", agent=agent_input), metadata=AUTH, timeout=5
        )
    updated = (
        await stub.UpdateAgent(
            agent_pb2.UpdateAgentRequest(agent_id="mine", agent={"description": "e"}, etag=made.etag),
            metadata=AUTH,
            timeout=5,
        )
    ).agent
    listed = await stub.ListAgents(agent_pb2.ListAgentsRequest(), metadata=AUTH, timeout=5)
    await stub.DeleteAgent(
        agent_pb2.DeleteAgentRequest(agent_id="mine", etag=updated.etag), metadata=AUTH, timeout=5
    )
    with pytest.raises(grpc.aio.AioRpcError) as gone:
        await stub.GetAgent(agent_pb2.GetAgentRequest(agent_id="mine"), metadata=AUTH, timeout=5)

    assert made.runtime == "loop"
    assert again.value.code() is Code.ALREADY_EXISTS
    assert [agent.id for agent in listed.agents] == ["default", "echo", "mine"]
    assert gone.value.code() is Code.NOT_FOUND


async def test_a_session_lives(bench: Workbench) -> None:
    stub = session_service_pb2_grpc.SessionServiceStub(bench.channel)
    made = (
        await stub.CreateSession(
            session_service_pb2.CreateSessionRequest(title="t", metadata={"a": "b"}), metadata=AUTH, timeout=5
        )
    ).session
    task_id = await bench.submitted(session_id=made.id)

    got = (
        await stub.GetSession(
            session_service_pb2.GetSessionRequest(session_id=made.id), metadata=AUTH, timeout=5
        )
    ).session
    with pytest.raises(grpc.aio.AioRpcError) as busy:
        await bench.submitted(session_id=made.id)

    assert (got.task_count, got.last_task_id, dict(got.metadata)) == (1, task_id, {"a": "b"})
    assert busy.value.code() is Code.FAILED_PRECONDITION


async def test_models_and_sandbox_kinds_are_told(bench: Workbench) -> None:
    models = await server_service_pb2_grpc.ModelServiceStub(bench.channel).ListModels(
        server_service_pb2.ListModelsRequest(), metadata=AUTH, timeout=5
    )
    kinds = await sandbox_service_pb2_grpc.SandboxServiceStub(bench.channel).ListSandboxKinds(
        sandbox_service_pb2.ListSandboxKindsRequest(), metadata=AUTH, timeout=5
    )

    assert (models.default_model, models.models[0].deterministic) == ("interpreter", True)
    assert [kind.kind for kind in kinds.kinds] == ["local"]
    assert "write_file" in kinds.kinds[0].actions


async def test_a_sandbox_lives(bench: Workbench) -> None:
    stub = sandbox_service_pb2_grpc.SandboxServiceStub(bench.channel)

    async def act(action: str, **arguments: object) -> sandbox_service_pb2.StepResult:
        request = sandbox_service_pb2.ActInSandboxRequest(
            sandbox_id=sandbox.id, action=action, arguments_json=json.dumps(arguments)
        )
        return (await stub.ActInSandbox(request, metadata=AUTH, timeout=20)).result

    sandbox = (
        await stub.CreateSandbox(
            sandbox_service_pb2.CreateSandboxRequest(kind="local", max_life_s=60), metadata=AUTH, timeout=20
        )
    ).sandbox
    written = await act("write_file", path="a.txt", content="héllo")
    read = await act("read_file", path="a.txt")
    listed = await stub.ListSandboxes(sandbox_service_pb2.ListSandboxesRequest(), metadata=AUTH, timeout=5)
    with pytest.raises(grpc.aio.AioRpcError) as unknown:
        await act("teleport")
    with pytest.raises(grpc.aio.AioRpcError) as no_screen:
        await stub.CaptureScreenshot(
            sandbox_service_pb2.CaptureScreenshotRequest(sandbox_id=sandbox.id), metadata=AUTH, timeout=5
        )
    await stub.DeleteSandbox(
        sandbox_service_pb2.DeleteSandboxRequest(sandbox_id=sandbox.id), metadata=AUTH, timeout=5
    )
    with pytest.raises(grpc.aio.AioRpcError) as closed:
        await act("read_file", path="a.txt")

    assert (written.status, read.status) == ("ok", "ok")
    assert "héllo" in read.output
    assert [item.id for item in listed.sandboxes] == [sandbox.id]
    assert unknown.value.code() is Code.INVALID_ARGUMENT
    assert no_screen.value.code() is Code.UNIMPLEMENTED
    assert closed.value.code() is Code.FAILED_PRECONDITION


async def test_tools_are_described_and_called(bench: Workbench) -> None:
    stub = tool_service_pb2_grpc.ToolServiceStub(bench.channel)
    listed = await stub.ListTools(tool_service_pb2.ListToolsRequest(), metadata=AUTH, timeout=5)
    tool = next(tool for tool in listed.tools if "calc" in tool.name)

    called = await stub.ExecuteTool(
        tool_service_pb2.ExecuteToolRequest(name=tool.name, arguments_json='{"expression": "6 * 7"}'),
        metadata=AUTH,
        timeout=20,
    )

    assert json.loads(tool.parameters_json)["type"] == "object"
    assert called.ok
    assert "42" in called.output


@pytest.mark.parametrize(
    "arguments",
    [
        "[]",
        "{",
        '{"a":' * 5_000,
        '{"a":' * 100 + "1" + "}" * 100,
        '{"x": "\\ud800"}',
        "nonsense",
        '{"expression": 1}',
    ],
)
async def test_arguments_that_are_none_are_refused(bench: Workbench, arguments: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await tool_service_pb2_grpc.ToolServiceStub(bench.channel).ExecuteTool(
            tool_service_pb2.ExecuteToolRequest(name="calculator", arguments_json=arguments),
            metadata=AUTH,
            timeout=5,
        )

    assert refused.value.code() is Code.INVALID_ARGUMENT


async def test_steering_a_task(bench: Workbench) -> None:
    task_id = await bench.submitted()

    paused = await bench.tasks.PauseTask(
        task_service_pb2.PauseTaskRequest(task_id=task_id), metadata=AUTH, timeout=5
    )
    resumed = await bench.tasks.ResumeTask(
        task_service_pb2.ResumeTaskRequest(task_id=task_id), metadata=AUTH, timeout=5
    )
    cancelled = await bench.tasks.CancelTask(
        task_service_pb2.CancelTaskRequest(task_id=task_id, reason="enough"), metadata=AUTH, timeout=5
    )
    with pytest.raises(grpc.aio.AioRpcError) as over:
        await bench.tasks.PauseTask(
            task_service_pb2.PauseTaskRequest(task_id=task_id), metadata=AUTH, timeout=5
        )
    await bench.tasks.DeleteTask(
        task_service_pb2.DeleteTaskRequest(task_id=task_id), metadata=AUTH, timeout=5
    )

    assert [paused.task.state, resumed.task.state, cancelled.task.state] == [5, 2, 8]
    assert (cancelled.task.failure.reason, cancelled.task.failure.message) == ("CANCELLED", "enough")
    assert over.value.code() is Code.FAILED_PRECONDITION
