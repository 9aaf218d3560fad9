"""A real gateway process for tests: started by its command line, on free ports, killed as told."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
START_S = 60.0
GONE_S = 10.0
SERVE = ("-m", "app", "serve")
_REST = re.compile(r"https?://127\.0\.0\.1:(\d+)/v1")
_GRPC = re.compile(r"gRPC\s+127\.0\.0\.1:(\d+)")


class GatewayProcess:
    """One run of `agent-gateway serve`. `log` is everything it wrote, line by line."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.log: list[str] = []
        self.rest_port = 0
        self.grpc_port = 0
        self._heard = asyncio.Condition()
        self._ended = asyncio.Event()

    @property
    def rest(self) -> str:
        """Where REST is served."""
        return f"http://127.0.0.1:{self.rest_port}"

    @property
    def grpc(self) -> str:
        """Where gRPC is served."""
        return f"127.0.0.1:{self.grpc_port}"

    @property
    def pid(self) -> int:
        """The process' id."""
        return self.process.pid

    async def started(self) -> None:
        """Wait for the banner that names the ports. Fails with the log when the process ends instead."""
        async with asyncio.timeout(START_S), self._heard:
            await self._heard.wait_for(lambda: self._is_up() or self._ended.is_set())
        if self._ended.is_set():
            raise AssertionError(f"the gateway ended with {self.process.returncode}:\n" + "".join(self.log))

    def _is_up(self) -> bool:
        """The ports are known, or the banner is whole: with Unix sockets there may be no ports."""
        return bool(self.rest_port and self.grpc_port) or any("  model  " in line for line in self.log)

    async def logged(self, text: str, *, within_s: float = 10.0) -> None:
        """Wait until a line with `text` was logged."""
        async with asyncio.timeout(within_s), self._heard:
            await self._heard.wait_for(lambda: any(text in line for line in self.log))

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, unless it has ended."""
        if self.process.returncode is None:
            self.process.send_signal(number)

    async def ended(self, within_s: float) -> int:
        """The exit code, once it has ended and all it wrote is in `log`."""
        async with asyncio.timeout(within_s):
            await self._ended.wait()
            return await self.process.wait()

    async def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        self.signal(signal.SIGKILL)
        await self.ended(GONE_S)

    def complaints(self) -> list[str]:
        """Logged lines that no sound run has: tracebacks and unexpected errors."""
        return [line for line in self.log if "Traceback" in line or '"level":"error"' in line]

    async def listen(self) -> None:
        """Read what it writes until it ends."""
        assert self.process.stderr is not None
        try:
            async for raw in self.process.stderr:
                await self._hear(raw.decode(errors="replace"))
            await self.process.wait()
        finally:
            self._ended.set()
            async with self._heard:
                self._heard.notify_all()

    async def _hear(self, line: str) -> None:
        self.log.append(line)
        # The banner's: later lines may name other servers.
        if not self.rest_port and (match := _REST.search(line)):
            self.rest_port = int(match[1])
        if not self.grpc_port and (match := _GRPC.search(line)):
            self.grpc_port = int(match[1])
        async with self._heard:
            self._heard.notify_all()


def environment(data: Path, settings: Mapping[str, str]) -> dict[str, str]:
    """The process' environment: ours without any gateway setting, plus free ports and `settings`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
    return kept | {
        "PYTHONPATH": str(ROOT),
        "GATEWAY_REST__PORT": "0",
        "GATEWAY_GRPC__PORT": "0",
        "GATEWAY_STORAGE__DATA_DIR": str(data),
        **settings,
    }


@asynccontextmanager
async def gateway_process(
    data: Path, *, program: tuple[str, ...] = SERVE, **settings: str
) -> AsyncGenerator[GatewayProcess]:
    """Run a gateway inside the block; whatever is left of it is killed at the end.

    Its working directory is `data`, so that nobody's `.env` is read.
    """
    data.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240 - one call on a local disk
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *program,
        env=environment(data, settings),
        cwd=data,
        stdin=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        limit=1024 * 1024,
    )
    gateway = GatewayProcess(process)
    failure: BaseException | None = None
    async with asyncio.TaskGroup() as group:
        group.create_task(gateway.listen(), name=f"log of gateway {process.pid}")
        try:
            await gateway.started()
            yield gateway
        except BaseException as error:  # noqa: BLE001 - raised again outside the group, which would wrap it
            failure = error
        finally:
            gateway.signal(signal.SIGCONT)  # one that a test froze would not notice its death otherwise
            await gateway.kill()
    if failure is not None:
        raise failure
