"""Servers as child processes, and what the kernel knows of them: CPU time and memory."""

import asyncio
import os
import re
import signal
import sys
from collections import deque
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 40
_REST = re.compile(r"http://[\w.]+:(\d+)")
_GRPC = re.compile(r"gRPC\s+[\w.]+:(\d+)")


@dataclass(slots=True)
class Server:
    """A running child. Ports are 0 for listeners it has not told of."""

    pid: int
    rest_port: int = 0
    grpc_port: int = 0

    @property
    def grpc_target(self) -> str:
        """Where its gRPC listener is."""
        return f"127.0.0.1:{self.grpc_port}"

    def cpu_s(self) -> float:
        """CPU seconds of all its threads so far, user and system."""
        try:
            spent = (
                (path / "schedstat").read_text().split()[0]
                for path in Path(f"/proc/{self.pid}/task").iterdir()
            )
            return sum(map(int, spent)) / 1e9
        except FileNotFoundError:  # a kernel without schedstat, or a thread that just ended
            fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss_bytes(self) -> int:
        """Resident memory."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def environment(extra: Mapping[str, str]) -> dict[str, str]:
    """Ours without settings of a gateway, which would make one run unlike another."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
    return plain | {"GRPC_ENABLE_FORK_SUPPORT": "0", "PYTHONUNBUFFERED": "1"} | dict(extra)


@asynccontextmanager
async def serving(
    *arguments: str, rest: bool = False, grpc: bool = False, cwd: Path, extra: Mapping[str, str] | None = None
) -> AsyncGenerator[Server]:
    """Run `python ARGUMENTS` until the block is left; entered when it told the ports asked for on stderr.

    Raises RuntimeError with its last words when it ends before that.
    """
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env=environment({"PYTHONPATH": str(Path.cwd())} | dict(extra or {})),
        cwd=cwd,
    )
    assert child.stderr is not None
    server, words = Server(child.pid), deque[str](maxlen=40)
    async with asyncio.TaskGroup() as group:
        reading = None
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                while (rest and not server.rest_port) or (grpc and not server.grpc_port):
                    text = (await child.stderr.readline()).decode()
                    if not text:
                        raise RuntimeError(f"{arguments} ended at its start:\n{''.join(words)}")
                    words.append(text)
                    if found := _REST.search(text):
                        server.rest_port = int(found[1])
                    if found := _GRPC.search(text):
                        server.grpc_port = int(found[1])
            reading = group.create_task(_drain(child.stderr, words))
            yield server
        finally:
            with suppress(ProcessLookupError):
                child.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(STOP_TIMEOUT_S):
                    await child.wait()
            except TimeoutError:
                child.kill()
                print(f"had to kill {arguments}, its last words:\n{''.join(words)}", file=sys.stderr)
            if reading is not None:
                reading.cancel()


async def _drain(stream: asyncio.StreamReader, words: deque[str]) -> None:
    while text := await stream.readline():
        words.append(text.decode(errors="replace"))
