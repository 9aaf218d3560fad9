"""What every scenario is given: how long to measure, and servers to measure."""

from collections.abc import AsyncGenerator, Mapping
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
    async def gateway(
        self, *, scripted: bool = False, settings: Mapping[str, str] | None = None
    ) -> AsyncGenerator[Server]:
        """A gateway on a fresh store, with its default settings but for `settings` (variables); `scripted`
        adds the agent of that name."""
        arguments = ("-m", "tests.bench.servers.gateway") if scripted else CLI
        extra = {"GATEWAY_REST__PORT": "0", "GATEWAY_GRPC__PORT": "0"} if scripted else {}
        extra |= dict(settings or {})
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
        async with _server(f"bare_{kind}", rest=kind == "rest", grpc=kind == "grpc") as server:
            yield server

    @asynccontextmanager
    async def collector(self) -> AsyncGenerator[Server]:
        """Where spans may go, over HTTP."""
        async with _server("collector", rest=True) as server:
            yield server


@asynccontextmanager
async def _server(name: str, *, rest: bool = False, grpc: bool = False) -> AsyncGenerator[Server]:
    with TemporaryDirectory(prefix="bench-") as folder:
        module = f"tests.bench.servers.{name}"
        async with serving("-m", module, rest=rest, grpc=grpc, cwd=Path(folder)) as server:
            yield server
