"""Clients as people use them: the example of the README, and buf's command line."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from tests.grpc_service.workbench import KEY, Workbench

HOUSE = Path(__file__).resolve().parent.parent.parent
BUF = HOUSE / "node_modules" / ".bin" / "buf"


async def output_of(*command: str, **environment: str) -> str:
    """What a program prints, once it has ended well."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=HOUSE,
        env=os.environ | {"PYTHONPATH": str(HOUSE), **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(30):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, output.decode()
    return output.decode()


async def test_the_example_watches_its_task_to_the_end(bench: Workbench) -> None:
    async def worker() -> None:
        events = await bench.service.streams.watch_all(bench.call, after=0)
        async for item in events.items:
            task_id = item[0].journaled.task_id  # pyright: ignore[reportIndexIssue]
            await bench.claimed(task_id)
            await bench.succeeded(task_id, output="the end")
            return

    async with asyncio.TaskGroup() as group:
        group.create_task(worker())
        told = await output_of(
            sys.executable, "examples/grpc_client.py", "go", GATEWAY=bench.target, GATEWAY_KEY=KEY
        )

    assert [line.split()[1] for line in told.splitlines() if line[:4].strip().isdigit()] == [
        "task_submitted",
        "task_queued",
        "task_started",
        "task_succeeded",
    ]
    assert told.rstrip().endswith("the end")


@pytest.mark.optional("buf comes with `make setup`")
@pytest.mark.skipif(not BUF.exists(), reason="no buf: run `make setup`")
@pytest.mark.parametrize("reflection", ["grpc-v1", "grpc-v1alpha"])
async def test_buf_curl_needs_no_schema(bench: Workbench, reflection: str) -> None:
    answer = await output_of(
        str(BUF),
        "curl",
        "--protocol=grpc",
        "--http2-prior-knowledge",
        f"--reflect-protocol={reflection}",
        f"--header=authorization: Bearer {KEY}",
        f"http://{bench.target}/agentgateway.v1.ServerService/GetServerInfo",
    )

    assert '"storage": "sqlite"' in answer
