"""Time to ready: from the start of the process until /healthz/ready answers 200."""

import asyncio
import signal
import socket
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.bench.bench import Bench
from tests.bench.clients import request_bytes
from tests.bench.figures import Row, middle
from tests.bench.processes import START_TIMEOUT_S, environment

POLL_S = 0.01


async def startup(bench: Bench) -> list[Row]:
    """On an empty folder, then again on the store it left; and how long it takes to stop."""
    first: list[float] = []
    again: list[float] = []
    stops: list[float] = []
    for _ in range(bench.rounds):
        with TemporaryDirectory(prefix="bench-") as folder:
            for times in (first, again):
                ready_s, stop_s = await _once(Path(folder))
                times.append(ready_s)
                stops.append(stop_s)
    return [
        Row(scenario="startup", name=name, value=middle(times), unit="s", lower=True)
        for name, times in (
            ("process start to ready, new store", first),
            ("process start to ready, existing store", again),
            ("SIGTERM to exit, idle", stops),
        )
    ]


async def _once(folder: Path) -> tuple[float, float]:
    rest, grpc = _free_port(), _free_port()
    began = time.perf_counter()
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "app", "serve", "--rest-port", str(rest), "--grpc-port", str(grpc)),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        env=environment({"PYTHONPATH": str(Path.cwd())}),
        cwd=folder,
    )
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            while not await _ready(rest):
                await asyncio.sleep(POLL_S)
        ready_s = time.perf_counter() - began
    finally:
        ending = time.perf_counter()
        child.send_signal(signal.SIGTERM)
        await child.wait()
    return ready_s, time.perf_counter() - ending


async def _ready(port: int) -> bool:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    try:
        writer.write(request_bytes("GET", "/healthz/ready"))
        return b" 200 " in await reader.readline()
    except OSError:
        return False
    finally:
        writer.close()


def _free_port() -> int:
    """The program is asked before it could tell a port it chose itself."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
