"""A collector gets every step of a task: from a real process, over both forms of OTLP."""

import asyncio
import json
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from app.bootstrap.gateway import open_gateway
from app.settings import Settings
from app.telemetry import names
from tests.collectors import COLLECTORS, Collected, attributes_of
from tests.faults.clients import clients_of
from tests.processes import GatewayProcess, gateway_process

KEY = "key-of-the-caller-1"
HEADER = "hush-collector-key"
TRACES = {"grpc": "4bf92f3577b34da6a3ce929d0e0e4736", "rest": "0af7651916cd43dd8448eb211c80319c"}
CALLER = "00f067aa0ba902b7"
SERVER = {"grpc": "agentgateway.v1.TaskService/SubmitTask", "rest": "POST /v1/tasks"}
WRITES = {
    "instruction": "Compute (42 + 58) * 3 and save the result to total.txt",
    "metadata": {"note": "hush-note"},
}


def exporting(collected: Collected, protocol: str) -> dict[str, Any]:
    return {
        "GATEWAY_AUTH__KEYS": json.dumps([{"key": KEY, "subject": "ada"}]),
        "GATEWAY_TRACES__ENDPOINT": collected.endpoint,
        "GATEWAY_TRACES__PROTOCOL": protocol,
        "GATEWAY_TRACES__HEADERS": json.dumps({"X-Collector-Key": HEADER}),
        "GATEWAY_TRACES__INTERVAL": "0.05",
    }


async def submit(gateway: GatewayProcess, over: str) -> None:
    """One task, submitted and awaited as part of a trace of the caller's."""
    trace = f"00-{TRACES[over]}-{CALLER}-01"
    async with clients_of(gateway, KEY, traceparent=trace) as clients:
        driver = clients.grpc if over == "grpc" else clients.rest
        done = await driver.call("TaskService/SubmitTask", task=WRITES, wait="20s")
    assert done["state"] == "succeeded"


@pytest.mark.parametrize("protocol", COLLECTORS)
async def test_a_collector_gets_the_whole_tree(tmp_path: Path, protocol: str) -> None:
    async with COLLECTORS[protocol]() as collected:
        async with gateway_process(tmp_path, **exporting(collected, protocol)) as gateway:
            await submit(gateway, "grpc")
            await submit(gateway, "rest")
            gateway.signal(signal.SIGTERM)  # what is not exported by now is flushed
            assert await gateway.ended(30) == 0
        for over, trace_id in TRACES.items():
            server = SERVER[over]
            agent = f"{server} > task > invoke_agent default"
            write = f"{agent} > execute_tool write_file"
            assert collected.paths(trace_id) == [
                server,
                f"{server} > queue.wait",
                f"{server} > task",
                agent,
                f"{agent} > chat interpreter",
                f"{agent} > execute_tool calculator",
                f"{agent} > chat interpreter",
                write,
                f"{write} > sandbox.step",
                f"{agent} > chat interpreter",
            ]
            [root] = [span for span in collected.named(server) if span.trace_id.hex() == trace_id]
            assert (root.parent_span_id.hex(), root.kind) == (CALLER, Span.SPAN_KIND_SERVER)

    assert collected.headers["x-collector-key"] == HEADER
    facts = {span.name: attributes_of(span) for span in collected.spans}
    assert (
        facts[SERVER["grpc"]].items()
        >= {
            names.RPC_SYSTEM_NAME: "grpc",
            names.RPC_METHOD: SERVER["grpc"],
            names.RPC_STATUS_CODE: "OK",
        }.items()
    )
    assert (
        facts[SERVER["rest"]].items()
        >= {
            names.HTTP_REQUEST_METHOD: "POST",
            names.HTTP_ROUTE: "/v1/tasks",
            names.HTTP_RESPONSE_STATUS_CODE: 201,
        }.items()
    )
    assert (
        facts["invoke_agent default"].items()
        >= {
            names.GEN_AI_OPERATION_NAME: "invoke_agent",
            names.GEN_AI_AGENT_NAME: "default",
            names.GEN_AI_PROVIDER_NAME: "interpreter",
            names.GEN_AI_REQUEST_MODEL: "interpreter",
        }.items()
    )
    assert facts["execute_tool write_file"][names.GEN_AI_TOOL_NAME] == "write_file"
    assert facts["sandbox.step"].items() >= {names.ACTION: "write_file", names.STEP: 1}.items()
    [step, _] = collected.named("sandbox.step")
    assert [event.name for event in step.events] == ["sandbox.input", "sandbox.settle", "sandbox.capture"]
    [chat, *_] = collected.named("chat interpreter")
    assert (chat.kind, chat.status.code) == (Span.SPAN_KIND_CLIENT, Status.STATUS_CODE_UNSET)
    for request in collected.requests:
        [sent] = request.resource_spans
        resource = attributes_of(sent.resource)
        assert {"service.name", "service.version", "service.instance.id"} <= resource.keys()
        assert {scope.schema_url for scope in sent.scope_spans} == {names.SCHEMA_URL}
    for raw in collected.raw:
        for secret in (KEY, HEADER, "hush-note", "Compute (42"):
            assert secret.encode() not in raw


@asynccontextmanager
async def gateway_to(endpoint: str, path: Path, **traces: Any) -> AsyncGenerator[httpx.AsyncClient]:
    """A gateway in this process that exports over gRPC, and a client of it."""
    settings = Settings.model_validate(
        {
            "rest": {"port": 0},
            "grpc": {"enabled": False},
            "storage": {"data_dir": path},
            "traces": {"endpoint": endpoint, "protocol": "grpc", "interval": 0.05, **traces},
        }
    )
    async with (
        open_gateway(settings) as gateway,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{gateway.rest_port}") as client,
    ):
        yield client


async def test_an_outage_is_told_once_and_costs_nothing_but_spans(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with COLLECTORS["grpc"]() as collected, gateway_to(collected.endpoint, tmp_path) as client:
        collected.refusing = True
        for _ in range(3):
            before = collected.tries
            assert (await client.get("/v1/tasks")).status_code == 200
            await collected.until(lambda before=before: collected.tries > before)
        collected.refusing = False
        assert (await client.get("/v1/tools")).status_code == 200
        await collected.until(lambda: bool(collected.named("GET /v1/tools")))
        metrics = (await client.get("/metrics")).text
    told = [record.getMessage() for record in caplog.records if "spans" in record.getMessage()]
    assert len(told) == 2
    assert "PERMISSION_DENIED" in told[0]
    assert "again; 3 were lost" in told[1]
    assert 'agentgateway_spans_lost_total{reason="export_failed"} 3.0' in metrics


async def test_a_collector_that_is_not_there_does_not_hold_the_exit_up(tmp_path: Path) -> None:
    async with asyncio.timeout(20):
        async with gateway_to("http://127.0.0.1:9", tmp_path, flush_timeout=0.2, interval=30) as client:
            assert (await client.get("/v1/tasks")).status_code == 200
            ending = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - ending < 5
