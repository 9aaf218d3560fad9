"""Every step of a task is a span of its caller's trace, over the whole process."""

import asyncio
import threading
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc.aio
import httpx
import pytest
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor

from app.bootstrap.gateway import open_gateway
from app.settings import Settings
from tests.parity.drivers import Driver, GrpcDriver, RestDriver
from tests.parity.recorder import Recorder

TRACE_ID, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACE = f"00-{TRACE_ID}-{CALLER}-01"
KEY = "key-of-the-caller-1"
SUBMIT = {"grpc": "agentgateway.v1.TaskService/SubmitTask", "rest": "POST /v1/tasks"}


@dataclass
class Kept(SpanProcessor):
    """Every span from its start on: what was never ended is seen, too."""

    begun: list[ReadableSpan] = field(default_factory=list[ReadableSpan])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        with self._lock:
            self.begun.append(span)

    @property
    def open(self) -> list[str]:
        return [span.name for span in self.begun if span.end_time is None]

    def below(self, root: ReadableSpan) -> list[str]:
        """The paths of all spans under `root`, in the order they began."""
        by_id = {span.context.span_id: span for span in self.begun if span.context}

        def path(span: ReadableSpan) -> list[ReadableSpan]:
            above = by_id.get(span.parent.span_id) if span.parent else None
            return [*path(above), span] if above else [span]

        return [
            " > ".join(step.name for step in way[1:])
            for way in map(path, self.begun)
            if way[0] is root and len(way) > 1
        ]

    def submission(self, protocol: str) -> ReadableSpan:
        """The server span of the call that submitted the one task."""
        [span] = [span for span in self.begun if span.name == SUBMIT[protocol]]
        return span


@asynccontextmanager
async def open_caller(path: Path, kept: Kept, protocol: str) -> AsyncGenerator[Recorder]:
    """A gateway of its own and a caller who is in a trace; all spans are over when the block is."""
    settings = Settings.model_validate(
        {
            "rest": {"port": 0},
            "grpc": {"port": 0},
            "storage": {"data_dir": path},
            "auth": {"keys": [{"key": KEY, "subject": "ada"}]},
        }
    )
    head = {"authorization": f"Bearer {KEY}", "traceparent": TRACE}
    async with open_gateway(settings, span_processors=[kept]) as gateway, AsyncExitStack() as stack:
        driver: Driver
        if protocol == "grpc":
            target = f"127.0.0.1:{gateway.grpc_port}"
            channel = await stack.enter_async_context(grpc.aio.insecure_channel(target))
            driver = GrpcDriver(channel, tuple(head.items()))
        else:
            url = f"http://127.0.0.1:{gateway.rest_port}"
            driver = RestDriver(
                await stack.enter_async_context(httpx.AsyncClient(base_url=url, headers=head))
            )
        async with asyncio.timeout(30):
            yield Recorder(driver, storage="sqlite")


@pytest.mark.parametrize("protocol", SUBMIT)
async def test_a_task_is_one_trace_from_the_call_to_the_sandbox(tmp_path: Path, protocol: str) -> None:
    kept = Kept()
    async with open_caller(tmp_path, kept, protocol) as api:
        task = {"instruction": "Compute (42 + 58) * 3, save the result to total.txt and read it back"}
        done = await api.call("TaskService/SubmitTask", task=task, wait="20s")

    assert done["state"] == "succeeded"
    assert kept.open == []
    root = kept.submission(protocol)
    assert root.parent is not None
    assert f"{root.parent.span_id:016x}" == CALLER
    agent = "task > invoke_agent default"
    chat = f"{agent} > chat interpreter"
    write, read = f"{agent} > execute_tool write_file", f"{agent} > execute_tool read_file"
    assert kept.below(root) == [
        "queue.wait",
        "task",
        agent,
        chat,
        f"{agent} > execute_tool calculator",
        chat,
        write,
        f"{write} > sandbox.step",
        chat,
        read,
        f"{read} > sandbox.step",
        chat,
    ]
    assert {f"{span.context.trace_id:032x}" for span in kept.begun if span.context} == {TRACE_ID}


@pytest.mark.parametrize("protocol", SUBMIT)
async def test_a_task_that_paused_goes_on_in_the_same_trace(tmp_path: Path, protocol: str) -> None:
    kept = Kept()
    async with open_caller(tmp_path, kept, protocol) as api:
        task = await api.call(
            "TaskService/SubmitTask", task={"instruction": "Wait 300 ms, then what is 2 + 2?"}
        )
        await api.until(task["id"], "tool.called")
        await api.call("TaskService/PauseTask", task_id=task["id"])
        await api.until(task["id"], "task.paused")
        await api.call("TaskService/ResumeTask", task_id=task["id"])
        done = await api.ended(task["id"])

    assert done["state"] == "succeeded"
    assert kept.open == []
    below = kept.below(kept.submission(protocol))
    runs = [span for span in kept.begun if span.name == "task"]
    assert below.count("task") == below.count("queue.wait") == len(runs) == 2
    assert below.count("task > invoke_agent default") == 2
    assert "task > invoke_agent default > execute_tool calculator" in below
    facts = [span.attributes or {} for span in runs]
    assert [fact["agentgateway.task.epoch"] for fact in facts] == [1, 2]
    assert [fact["agentgateway.task.id"] for fact in facts] == [task["id"]] * 2


async def test_a_task_that_outlives_its_process_goes_on_in_the_same_trace(tmp_path: Path) -> None:
    before, after = Kept(), Kept()
    async with open_caller(tmp_path, before, "grpc") as api:
        instruction = "Ask me for my name and write it to name.txt"
        task = await api.call("TaskService/SubmitTask", task={"instruction": instruction})
        asked = (await api.until(task["id"], "input.requested"))["request"]["id"]
    async with open_caller(tmp_path, after, "rest") as api:
        await api.call("TaskService/ProvideInput", task_id=task["id"], input_id=asked, text="Ada")
        assert (await api.ended(task["id"]))["state"] == "succeeded"

    submission = before.submission("grpc").context
    assert submission is not None
    runs = [span for span in after.begun if span.name in {"queue.wait", "task"}]
    assert [span.name for span in runs] == ["queue.wait", "task"]
    assert {span.parent.span_id for span in runs if span.parent} == {submission.span_id}
    assert before.open == after.open == []


@pytest.mark.parametrize("protocol", SUBMIT)
async def test_what_is_said_typed_or_secret_is_in_no_span(tmp_path: Path, protocol: str) -> None:
    kept = Kept()
    async with open_caller(tmp_path, kept, protocol) as api:
        task = await api.call(
            "TaskService/SubmitTask",
            task={
                "instruction": "Ask me for my name and write it to hush-file.txt",
                "configuration": {"model": "interpreter", "model_api_key": "hush-model-key"},
                "metadata": {"note": "hush-note"},
            },
        )
        asked = (await api.until(task["id"], "input.requested"))["request"]["id"]
        await api.call("TaskService/ProvideInput", task_id=task["id"], input_id=asked, text="hush-typed")
        done = await api.ended(task["id"])
        failed = await api.call(
            "ToolService/ExecuteTool", name="calculator", arguments={"expression": "hush"}
        )

    assert (done["state"], "hush-typed" in str(done)) == ("succeeded", True)
    assert not failed["ok"]
    assert kept.open == []
    said = "".join(span.to_json() for span in kept.begun)
    assert "sandbox.step" in said
    assert "hush" not in said
    assert KEY not in said
