"""Tenants are walls on both protocols: what is another's reads as what is not there."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc.aio
import httpx
import pytest

from app.bootstrap.gateway import Gateway, open_gateway
from app.settings import Settings
from grpc_service.interceptors.gate import PUBLIC_METHODS
from rest_api.operations import OPERATIONS
from tests.parity.drivers import SERVICES, Driver, GrpcDriver, Plain, RefusedError, RestDriver
from tests.parity.webhooks_made import A_WEBHOOK, a_webhook, webhook_requests

KEYS = {"a": "key-of-tenant-a-0001", "b": "key-of-tenant-b-0001"}
STREAMS = {
    f"{service}/{method.name}"
    for service, found in SERVICES.items()
    for method in found.methods
    if method.server_streaming
}
NOBODYS = "sha256:" + "0" * 64


@dataclass(frozen=True)
class Callers:
    """Tenant a and tenant b, each on both protocols, and ways to come without a key of theirs."""

    gateway: Gateway
    a: tuple[Driver, Driver]
    b: tuple[Driver, Driver]
    stack: AsyncExitStack

    async def with_key(self, key: str | None, *, header: str = "x-api-key") -> tuple[Driver, Driver]:
        return await _drivers(self.stack, self.gateway, key, header)


async def _drivers(
    stack: AsyncExitStack, gateway: Gateway, key: str | None, header: str = "x-api-key"
) -> tuple[Driver, Driver]:
    headers = {} if key is None else {header: key}
    channel = await stack.enter_async_context(
        grpc.aio.insecure_channel(
            f"127.0.0.1:{gateway.grpc_port}", options=[("grpc.use_local_subchannel_pool", 1)]
        )
    )
    client = await stack.enter_async_context(
        httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{gateway.rest_port}", headers=headers, timeout=30, trust_env=False
        )
    )
    return GrpcDriver(channel, tuple(headers.items())), RestDriver(client)


@pytest.fixture(scope="module")
async def callers(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Callers]:
    data: Path = tmp_path_factory.mktemp("walls")
    # The same subject: it is the tenant that counts.
    keys = [{"key": key, "subject": "robot", "tenant": f"tenant-{name}"} for name, key in KEYS.items()]
    settings = Settings(
        rest={"port": 0},  # pyright: ignore[reportArgumentType]
        grpc={"port": 0},  # pyright: ignore[reportArgumentType]
        storage={"data_dir": data},  # pyright: ignore[reportArgumentType]
        auth={"keys": keys},  # pyright: ignore[reportArgumentType]
        webhooks={"deliver": False},  # pyright: ignore[reportArgumentType]
    )
    async with open_gateway(settings) as gateway, AsyncExitStack() as stack:
        a = await _drivers(stack, gateway, KEYS["a"])
        b = await _drivers(stack, gateway, KEYS["b"])
        yield Callers(gateway, a, b, stack)


@dataclass(frozen=True)
class Belongings:
    """One of everything, tenant a's."""

    task: str
    waiting: str
    session: str
    sandbox: str
    agent: str
    digest: str
    key: str
    webhook: str = "webhook_none"
    delivery: str = "delivery_none"


@pytest.fixture(scope="module")
async def mine(callers: Callers) -> Belongings:
    api = callers.a[0]
    session = await api.call("SessionService/CreateSession", title="mine")
    agent = await api.call("AgentDefinitionService/CreateAgent", id="mine", agent={"instructions": "x"})
    sandbox = await api.call("SandboxService/CreateSandbox", kind="local")
    written = await api.call(
        "SandboxService/ActInSandbox",
        sandbox_id=sandbox["id"],
        action="write_file",
        arguments={"path": "mine.txt", "content": "bytes of tenant a"},
    )
    task = await api.call(
        "TaskService/SubmitTask",
        task={"instruction": "hi", "agent_id": "echo", "session_id": session["id"]},
        wait="20s",
    )
    waiting = await api.call("TaskService/SubmitTask", task={"instruction": "Ask me for my name"}, wait="1s")
    key = await api.call("KeyService/CreateKey", scopes=["tasks:read"])
    return Belongings(
        task["id"],
        waiting["id"],
        session["id"],
        sandbox["id"],
        agent["id"],
        written["artifacts"][0]["digest"],
        key["key"]["id"],
        *(await a_webhook(api)),
    )


def requests_for(what: Belongings) -> dict[str, Plain | None]:
    """A request for each RPC that names what is another's; None where an RPC names nothing."""
    task, sandbox, session, agent, key = (
        {"task_id": what.task},
        {"sandbox_id": what.sandbox},
        {"session_id": what.session},
        {"agent_id": what.agent},
        {"key_id": what.key},
    )
    return {
        "TaskService/SubmitTask": {"task": {"instruction": "x", **agent}},
        "TaskService/RunTask": {"task": {"instruction": "x", **session}},
        "TaskService/GetTask": task,
        "TaskService/ListTasks": None,
        "TaskService/WatchTask": task,
        "TaskService/WatchTasks": None,
        "TaskService/ListTaskEvents": task,
        "TaskService/CancelTask": {"task_id": what.waiting},
        "TaskService/PauseTask": {"task_id": what.waiting},
        "TaskService/ResumeTask": {"task_id": what.waiting},
        "TaskService/ProvideInput": {"task_id": what.waiting, "input_id": "any", "text": "x"},
        "TaskService/DeleteTask": task,
        "SessionService/CreateSession": None,
        "SessionService/GetSession": session,
        "SessionService/ListSessions": None,
        "SessionService/DeleteSession": session,
        "SessionService/GetTranscript": session,
        "SandboxService/ListSandboxKinds": None,
        "SandboxService/CreateSandbox": None,
        "SandboxService/GetSandbox": sandbox,
        "SandboxService/ListSandboxes": None,
        "SandboxService/ActInSandbox": {**sandbox, "action": "list_files", "arguments": {}},
        "SandboxService/CaptureScreenshot": sandbox,
        "SandboxService/DeleteSandbox": sandbox,
        "ArtifactService/GetArtifact": {"digest": what.digest},
        "ArtifactService/ListArtifacts": task,
        "ArtifactService/ReadArtifact": {"digest": what.digest},
        "ToolService/ListTools": None,
        "ToolService/GetTool": None,
        "ToolService/ExecuteTool": {
            "name": "read_file",
            "arguments": {"path": "mine.txt"},
            "sandbox_id": what.sandbox,
        },
        "AgentDefinitionService/CreateAgent": None,
        "AgentDefinitionService/GetAgent": agent,
        "AgentDefinitionService/ListAgents": None,
        "AgentDefinitionService/UpdateAgent": {**agent, "agent": {"instructions": "y"}},
        "AgentDefinitionService/DeleteAgent": agent,
        "ConfigurationService/GetConfiguration": None,
        "ConfigurationService/UpdateConfiguration": None,
        "BudgetService/GetBudget": None,
        "AuditService/ListAuditEntries": None,
        "KeyService/CreateKey": None,
        "KeyService/GetKey": key,
        "KeyService/ListKeys": None,
        "KeyService/RotateKey": key,
        "KeyService/RevokeKey": key,
        **webhook_requests(what.webhook, what.delivery),
        "ModelService/ListModels": None,
        "ServerService/GetServerInfo": None,
        "AccessService/GetCaller": None,
        "AccessService/CreateStreamTicket": None,
    }


NAMELESS: dict[str, Plain] = {
    "KeyService/CreateKey": {"scopes": ["keys:write"]},
    "ToolService/GetTool": {"name": "calculator"},
    "WebhookService/CreateWebhook": A_WEBHOOK,
    "AgentDefinitionService/CreateAgent": {"id": "x", "agent": {}},
    "ConfigurationService/UpdateConfiguration": {"values": {}},
    "AccessService/CreateStreamTicket": {"path": "/v1/events"},
}
"""Valid requests of RPCs that name nothing of a tenant's, where an empty one is not valid."""

NOWHERE = Belongings("task_none", "task_none", "session_none", "sandbox_none", "nobody", NOBODYS, "key_none")


async def _outcome(driver: Driver, rpc: str, request: Plain) -> str:
    try:
        if rpc in STREAMS:
            async with aclosing(driver.stream(rpc, **request)) as items:
                await anext(items)
        else:
            await driver.call(rpc, **request)
    except RefusedError as error:
        return error.reason
    return "OK"


def test_the_table_has_every_rpc() -> None:
    assert set(requests_for(NOWHERE)) == set(OPERATIONS)


@pytest.mark.parametrize("rpc", [rpc for rpc, request in requests_for(NOWHERE).items() if request])
async def test_what_is_another_tenant_s_is_not_there(rpc: str, callers: Callers, mine: Belongings) -> None:
    for driver in callers.b:
        theirs = requests_for(mine)[rpc]
        nobodys = requests_for(NOWHERE)[rpc]
        assert theirs is not None
        assert nobodys is not None

        assert (await _outcome(driver, rpc, theirs), await _outcome(driver, rpc, nobodys)) == (
            "NOT_FOUND",
            "NOT_FOUND",
        ), driver.name


@pytest.mark.parametrize("field", ["agent_id", "session_id", "sandbox_id"])
@pytest.mark.parametrize("rpc", ["TaskService/SubmitTask", "TaskService/RunTask"])
async def test_a_task_cannot_use_what_is_another_tenant_s(
    rpc: str, field: str, callers: Callers, mine: Belongings
) -> None:
    value = getattr(mine, field.removesuffix("_id"))
    for driver in callers.b:
        assert await _outcome(driver, rpc, {"task": {"instruction": "x", field: value}}) == "NOT_FOUND"


async def test_listings_have_nothing_of_another_tenant(callers: Callers, mine: Belongings) -> None:
    for driver in callers.b:
        for where in (
            {},
            {"session_id": mine.session},
            {"agent_id": mine.agent},
            {"states": ["succeeded", "waiting"]},
        ):
            listed = (await driver.call("TaskService/ListTasks", page_size=1000, **where))["tasks"]
            assert {task["id"] for task in listed} & {mine.task, mine.waiting} == set()
        sessions = (await driver.call("SessionService/ListSessions"))["sessions"]
        sandboxes = (await driver.call("SandboxService/ListSandboxes"))["sandboxes"]
        agents = (await driver.call("AgentDefinitionService/ListAgents"))["agents"]
        keys = (await driver.call("KeyService/ListKeys"))["keys"]
        hooks = (await driver.call("WebhookService/ListWebhooks"))["webhooks"]
        seen = {one["id"] for one in [*sessions, *sandboxes, *agents, *keys, *hooks]}
        assert seen & {mine.session, mine.sandbox, mine.agent, mine.key, mine.webhook} == set()


async def test_a_cursor_of_another_tenant_leads_into_one_s_own_listing(
    callers: Callers, mine: Belongings
) -> None:
    assert mine.task
    for driver_a, driver_b in zip(callers.a, callers.b, strict=True):
        page = await driver_a.call("TaskService/ListTasks", page_size=1)
        listed = await driver_b.call("TaskService/ListTasks", cursor=page["next_cursor"], page_size=1000)
        assert {task["id"] for task in listed["tasks"]} & {mine.task, mine.waiting} == set()


async def test_the_stream_of_all_tasks_is_one_tenant_s(callers: Callers) -> None:
    for driver_a, driver_b in zip(callers.a, callers.b, strict=True):
        async with aclosing(driver_b.stream("TaskService/WatchTasks", after_position=0)) as items:
            task = {"instruction": "hi", "agent_id": "echo"}
            foreign = await driver_a.call("TaskService/SubmitTask", task=task, wait="20s")
            own = await driver_b.call("TaskService/SubmitTask", task=task, wait="20s")
            seen: set[str] = set()
            async with asyncio.timeout(20):
                async for item in items:
                    seen.add(item.get("task_id", ""))
                    if (item.get("task_id"), item.get("type")) == (own["id"], "task.succeeded"):
                        break
        assert foreign["id"] not in seen


async def test_the_same_idempotency_key_of_two_tenants_is_two_keys(callers: Callers) -> None:
    ids: set[str] = set()
    for number, driver in enumerate([*callers.a, *callers.b]):
        title = f"of tenant {number // 2}"
        task = {"instruction": title, "agent_id": "echo"}
        ids.add((await driver.call("TaskService/SubmitTask", task=task, request_id="once"))["id"])
        ids.add((await driver.call("SessionService/CreateSession", title=title, request_id="once"))["id"])

    assert len(ids) == 4  # a task and a session of each tenant, whatever the protocol


async def test_answers_of_tools_are_kept_for_one_tenant_only(callers: Callers) -> None:
    call: dict[str, Any] = {"name": "calculator", "arguments": {"expression": "123456 * 654321"}}
    cached = [
        (await driver.call("ToolService/ExecuteTool", **call))["cached"]
        for driver in [*callers.a, *callers.b]
    ]

    assert cached == [False, True, False, True]


async def test_a_configuration_is_one_tenant_s(callers: Callers) -> None:
    values = {"model": "openai:of-tenant-a", "model_api_key": "sk-of-tenant-a", "limits": {"max_steps": 7}}
    await callers.a[0].call("ConfigurationService/UpdateConfiguration", values=values)
    try:
        for driver in callers.b:
            told = await driver.call("ConfigurationService/GetConfiguration")
            models = await driver.call("ModelService/ListModels")
            task = await driver.call(
                "TaskService/SubmitTask", task={"instruction": "x", "agent_id": "echo"}, wait="20s"
            )
            assert "tenant-a" not in str((told, models, task))
            assert task["configuration"]["limits"]["max_steps"] != 7
    finally:
        await callers.a[0].call("ConfigurationService/UpdateConfiguration", values={})


async def test_the_same_bytes_are_another_artifact_for_another_tenant(
    callers: Callers, mine: Belongings
) -> None:
    api = callers.b[1]
    sandbox = await api.call("SandboxService/CreateSandbox", kind="local")
    await api.call(
        "SandboxService/ActInSandbox",
        sandbox_id=sandbox["id"],
        action="write_file",
        arguments={"path": "other.txt", "content": "bytes of tenant a, and b's"},
    )
    for driver in callers.b:
        assert await _outcome(driver, "ArtifactService/ReadArtifact", {"digest": mine.digest}) == "NOT_FOUND"
    await api.call(
        "SandboxService/ActInSandbox",
        sandbox_id=sandbox["id"],
        action="write_file",
        arguments={"path": "theirs.txt", "content": "bytes of tenant a"},
    )
    for driver in callers.b:
        artifact = (await driver.call("ArtifactService/GetArtifact", digest=mine.digest))["artifact"]
        assert artifact["name"] == "theirs.txt"  # by its content it is known, but as b's own


WRONG = [
    pytest.param(None, "x-api-key", id="none"),
    pytest.param("", "x-api-key", id="empty"),
    pytest.param("key-of-nobody-at-all-01", "x-api-key", id="unknown"),
    pytest.param(KEYS["a"][:-1], "x-api-key", id="shorter"),
    pytest.param(KEYS["a"] + "0", "x-api-key", id="longer"),
    pytest.param(f"Bearer {KEYS['a']}x", "authorization", id="bearer"),
    pytest.param("Bearer", "authorization", id="no token"),
    pytest.param(f"Basic {KEYS['a']}", "authorization", id="scheme"),
    pytest.param(KEYS["a"], "authorization", id="no scheme"),
]


@pytest.mark.parametrize(("key", "header"), WRONG)
async def test_without_a_valid_key_every_rpc_is_refused_in_the_same_words(
    callers: Callers, mine: Belongings, key: str | None, header: str
) -> None:
    for driver in await callers.with_key(key, header=header):
        outcomes = {
            rpc: await _outcome(driver, rpc, request or NAMELESS.get(rpc, {}))
            for rpc, request in requests_for(mine).items()
        }
        assert set(outcomes.values()) == {"UNAUTHENTICATED"}, (driver.name, outcomes)


@pytest.mark.parametrize("header", ["authorization", "x-api-key"])
async def test_a_key_is_taken_from_either_header(callers: Callers, mine: Belongings, header: str) -> None:
    key = f"bearer {KEYS['a']}" if header == "authorization" else KEYS["a"]
    for driver in await callers.with_key(key, header=header):
        assert (await driver.call("TaskService/GetTask", task_id=mine.task))["id"] == mine.task
        assert await _outcome(driver, "TaskService/WatchTask", {"task_id": mine.task}) == "OK"


async def test_health_needs_no_key_and_is_all_that_does_not(callers: Callers) -> None:
    grpc_server = callers.gateway._grpc  # pyright: ignore[reportPrivateUsage]
    assert grpc_server is not None
    native = {f"/agentgateway.v1.{rpc}" for rpc in OPERATIONS}
    assert grpc_server.methods - native == PUBLIC_METHODS
    assert native & PUBLIC_METHODS == set()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{callers.gateway.rest_port}") as client:
        assert (await client.get("/healthz/live")).status_code == 200
        assert (await client.get("/healthz/ready")).status_code == 200
        answers = [
            (await client.get("/v1/server", headers=headers)).json() | {"request_id": ""}
            for headers in ({}, {"x-api-key": ""}, {"x-api-key": "wrong" * 9}, {"authorization": "x"})
        ]
    assert all(answer == answers[0] for answer in answers)
