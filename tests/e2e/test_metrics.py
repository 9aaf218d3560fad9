"""The metrics of a running gateway, as Prometheus scrapes them, after real work on both protocols."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc.aio
import httpx
import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from app.bootstrap.gateway import Gateway, open_gateway
from app.settings import Settings
from tests.llm.script import fails, says
from tests.llm.server import ScriptedLLM, scripted_llm
from tests.parity.drivers import Driver, GrpcDriver, RestDriver

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACE = f"00-{TRACE_ID}-00f067aa0ba902b7-01"
INSTRUCTION = "Compute (42 + 58) * 3, save the result to total.txt and read it back"
OPENMETRICS = {"accept": "application/openmetrics-text; version=1.0.0"}


@dataclass(frozen=True)
class Scraped:
    """One scrape, parsed."""

    families: dict[str, Metric]

    def value(self, sample: str, **labels: str) -> float:
        """Of all samples of that name with these labels, added up."""
        return sum(
            one.value
            for family in self.families.values()
            for one in family.samples
            if one.name == sample and labels.items() <= one.labels.items()
        )


@dataclass(frozen=True)
class Served:
    """A gateway that is up."""

    gateway: Gateway
    drivers: dict[str, Driver]
    client: httpx.AsyncClient

    async def scraped(self) -> Scraped:
        answer = await self.client.get("/metrics", headers=OPENMETRICS)
        families = text_string_to_metric_families(answer.text)
        return Scraped({family.name: family for family in families})


def model_of(llm: ScriptedLLM) -> dict[str, str]:
    """Settings whose default model is the scripted one."""
    return {"default": "openai:gpt-test", "base_url": llm.openai_url, "api_key": "sk-scripted"}


@asynccontextmanager
async def serving(path: Path, **settings: Any) -> AsyncGenerator[Served]:
    """A gateway on free ports, with both drivers."""
    wanted = Settings.model_validate(
        {
            "storage": {"data_dir": path},
            "grpc": {"port": 0},
            "rest": {"port": 0},
            "rate_limits": {"tenant": {"read": "1000/min"}, "principal": {"open_streams": 5}},
            **settings,
        }
    )
    spans = SimpleSpanProcessor(InMemorySpanExporter())
    async with open_gateway(wanted, span_processors=[spans]) as gateway:
        base = f"http://127.0.0.1:{gateway.rest_port}"
        async with (
            grpc.aio.insecure_channel(f"127.0.0.1:{gateway.grpc_port}") as channel,
            httpx.AsyncClient(base_url=base, trust_env=False, timeout=10) as client,
        ):
            drivers: dict[str, Driver] = {
                "grpc": GrpcDriver(channel),
                "rest": RestDriver(client),
            }
            yield Served(gateway, drivers, client)


@pytest.mark.timeout(60)
async def test_a_model_s_calls_tokens_and_failures_are_counted_by_provider(tmp_path: Path) -> None:
    script = {"hello": [says("hello")], "nothing": [fails(400)]}
    async with scripted_llm(script) as llm, serving(tmp_path, model=model_of(llm)) as served:
        for said, state in (("hello", "succeeded"), ("nothing", "failed")):
            task = {"instruction": f"Say {said}"}
            done = await served.drivers["rest"].call("TaskService/SubmitTask", task=task, wait="20s")
            assert done["state"] == state
        scraped = await served.scraped()

    value, openai = scraped.value, {"provider": "openai", "model": "gpt-test"}
    assert value("agentgateway_model_calls_total", **openai, outcome="ok") == 1
    assert value("agentgateway_model_calls_total", **openai) == 2
    assert value("agentgateway_model_call_duration_seconds_count", **openai) == 2
    assert value("agentgateway_model_tokens_total", **openai, type="input") == 11
    assert value("agentgateway_model_calls_unpriced_total", **openai) == 1
    assert value("agentgateway_breaker_calls_total", kind="model", verdict="success") == 1
    assert value("agentgateway_task_failures_total") == 1


@pytest.mark.timeout(60)
async def test_every_room_counts_what_a_task_does(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        for driver in served.drivers.values():
            await driver.call("TaskService/SubmitTask", task={"instruction": INSTRUCTION}, wait="20s")
        await served.client.get("/v1/server", headers={"traceparent": TRACE})
        async with served.client.stream(
            "GET", "/v1/events", headers={"accept": "text/event-stream"}
        ) as open_one:
            await anext(open_one.aiter_bytes())
            scraped = await served.scraped()

    value = scraped.value
    assert value("agentgateway_tasks_submitted_total") == 2
    assert value("agentgateway_tasks_total", state="succeeded") == 2
    assert value("agentgateway_task_queue_wait_seconds_count") == 2
    assert value("agentgateway_steps_total", action="write_file", outcome="ok") == 2
    assert value("agentgateway_sandbox_actions_total", kind="local", action="write_file") == 2
    assert value("agentgateway_sandboxes_created_total", kind="local") == 2
    assert value("agentgateway_tool_calls_total", outcome="ok") >= 6
    assert value("agentgateway_model_calls_total", provider="interpreter", outcome="ok") >= 4
    assert value("agentgateway_store_commit_commands_sum") >= 10
    assert value("agentgateway_store_commit_duration_seconds_count") >= 5
    assert value("agentgateway_limiter_allowed_total", **{"class": "submit"}) == 2
    assert value("agentgateway_leases", policy="principal-open-streams") == 1
    assert value("agentgateway_stream_readers", protocol="sse") == 1
    assert value("agentgateway_requests_in_flight", protocol="rest") == 2
    assert value("agentgateway_event_loop_tasks") > 5
    assert value("agentgateway_active_tasks") == 0
    assert value("agentgateway_build_info", storage="sqlite") == 1
    assert value("process_resident_memory_bytes") > 10_000_000
    assert value("process_open_fds") > 5
    assert value("agentgateway_requests_total", protocol="grpc", code="OK") == 1
    exemplars = [
        sample.exemplar.labels["trace_id"]
        for sample in scraped.families["agentgateway_request_duration_seconds"].samples
        if sample.exemplar is not None and sample.labels["method"] == "GET /v1/server"
    ]
    assert exemplars == [TRACE_ID]
    told = {
        value for f in scraped.families.values() for sample in f.samples for value in sample.labels.values()
    }
    assert not any(value.startswith(("task_", "sandbox_", "default", "local:")) for value in told)
