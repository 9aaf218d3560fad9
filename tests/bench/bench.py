"""What every scenario is given: how long to measure, and servers to measure."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.bench.clients import define_scripted, grpc_channel
from tests.bench.processes import Server, serving

CLI = ("-m", "app", "serve", "--rest-port", "0", "--grpc-port", "0")


@dataclass(frozen=True, slots=True)
class Bench:
    """One run. `quick` shows that everything works; its figures are no figures."""

    quick: bool
    rounds: int

    def amount(self, whole: int, quick: int) -> int:
        """How many, of whatever is done many times."""
        return quick if self.quick else whole

    @asynccontextmanager
    async def gateway(self, *, scripted: bool = False) -> AsyncGenerator[Server]:
        """A gateway with its default settings, on a fresh store; `scripted` adds the agent of that name."""
        arguments = ("-m", "tests.bench.servers.gateway") if scripted else CLI
        extra = {"GATEWAY_REST__PORT": "0", "GATEWAY_GRPC__PORT": "0"} if scripted else {}
        async with AsyncExitStack() as stack:
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="bench-")))
            server = await stack.enter_async_context(
                serving(*arguments, rest=True, grpc=True, cwd=folder, extra=extra)
            )
            if scripted:
                async with grpc_channel(server) as channel:
                    await define_scripted(channel)
            yield server

    @asynccontextmanager
    async def bare(self, kind: str) -> AsyncGenerator[Server]:
        """A baseline: `grpc` or `rest`."""
        with TemporaryDirectory(prefix="bench-") as folder:
            async with serving(
                "-m",
                f"tests.bench.servers.bare_{kind}",
                rest=kind == "rest",
                grpc=kind == "grpc",
                cwd=Path(folder),
            ) as server:
                yield server
