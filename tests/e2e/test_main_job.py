"""The main job, as a stranger does it: curl submits and streams, gRPC sees the same task live."""

import asyncio
import json
import shutil
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from tests.faults.clients import ENDS, Clients, Plain, check_journal, clients_of, journal_of
from tests.processes import gateway_process

INSTRUCTION = "Compute (42 + 58) * 3, save the result to total.txt and read it back"


async def _curl(*arguments: str) -> str:
    """What a real curl prints."""
    assert shutil.which("curl"), "install curl"
    process = await asyncio.create_subprocess_exec(
        "curl", "--silent", "--show-error", "--max-time", "60", *arguments, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    return out.decode()


async def _watched(clients: Clients, opened: asyncio.Event) -> list[Plain]:
    """All events of the first task there is, over gRPC, from before it exists to its end."""
    events: list[Plain] = []
    stream = clients.grpc.stream("TaskService/WatchTasks", after_position=0)
    opened.set()
    async with aclosing(stream) as items:
        async for item in items:
            events.append(item)
            if item["type"] in ENDS:
                break
    return events


def _frames(text: str) -> list[dict[str, str]]:
    """The server-sent events, as their fields."""
    blocks = [block for block in text.split("\n\n") if block and not block.startswith(":")]
    return [dict(line.split(": ", 1) for line in block.splitlines()) for block in blocks]


@pytest.mark.timeout(120)
async def test_curl_streams_a_task_to_its_result_while_grpc_watches_it_live(tmp_path: Path) -> None:
    async with gateway_process(tmp_path) as gateway, clients_of(gateway) as clients:
        opened = asyncio.Event()
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            watching = group.create_task(_watched(clients, opened))
            await opened.wait()
            text = await _curl(
                *("--no-buffer", "--header", "Accept: text/event-stream"),
                *("--header", "Content-Type: application/json"),
                *("--data", json.dumps({"instruction": INSTRUCTION}), f"{gateway.rest}/v1/tasks"),
            )

        frames = _frames(text)
        assert frames[0] == {"retry": "1000"}
        assert frames[1]["event"] == "task"
        accepted: dict[str, Any] = json.loads(frames[1]["data"])
        streamed = [json.loads(frame["data"]) for frame in frames[2:]]
        assert [int(frame["id"]) for frame in frames[2:]] == [event["seq"] for event in streamed]
        check_journal(streamed)
        assert streamed[-1]["type"] == "task.succeeded"
        assert "300" in streamed[-1]["result"]["output"]
        read_back = [event for event in streamed if event["type"] == "step.finished"][-1]
        assert read_back["action"] == "read_file"
        assert "300" in read_back["output"]

        assert watching.result() == await journal_of(clients.grpc, accepted["id"])
        assert [event["type"] for event in watching.result()] == [event["type"] for event in streamed]
        told = json.loads(await _curl(f"{gateway.rest}/v1/tasks/{accepted['id']}"))
        assert told["state"] == "succeeded"
        assert told["result"] == streamed[-1]["result"]
        assert told["statistics"]["tool_calls"] >= 3
        assert gateway.complaints() == []
