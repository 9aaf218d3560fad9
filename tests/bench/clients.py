"""The other side: cheap clients, so that the server is what is measured.

All scenarios run in one event loop of the bench's own process (several loops with grpc.aio in one
process disturb each other); the servers are children.
"""

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import grpc
import grpc.aio

from grpc_service.gen.agentgateway.v1.agent_pb2 import AgentInput, CreateAgentRequest
from grpc_service.gen.agentgateway.v1.agent_pb2_grpc import AgentDefinitionServiceStub
from grpc_service.gen.agentgateway.v1.task_service_pb2 import SubmitTaskRequest, TaskInput
from grpc_service.gen.agentgateway.v1.task_service_pb2_grpc import TaskServiceStub
from tests.bench.processes import Server
from tests.bench.servers.script import NAME as SCRIPTED
from tests.bench.servers.script import Script

LONGEST_WAIT_S = 120
_EVENT_ID = re.compile(rb"^id: (\d+)\r?$", re.MULTILINE)
Call = Callable[[], Awaitable[object]]


@asynccontextmanager
async def grpc_channel(server: Server) -> AsyncGenerator[grpc.aio.Channel]:
    """One connection of its own."""
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1)]
    async with grpc.aio.insecure_channel(server.grpc_target, options=options) as channel:
        yield channel


def tasks_of(channel: grpc.aio.Channel) -> Any:
    """The stub of TaskService."""
    return TaskServiceStub(cast("Any", channel))


def metadata_of(key: str) -> tuple[tuple[str, str], ...]:
    """The metadata of a caller who has this API key; none without one."""
    return (("x-api-key", key),) if key else ()


async def submit(channel: grpc.aio.Channel, agent: str, instruction: str, *, key: str = "") -> str:
    """Submit a task; returns its id."""
    request = SubmitTaskRequest(task=TaskInput(agent_id=agent, instruction=instruction))
    answer = await tasks_of(channel).SubmitTask(request, metadata=metadata_of(key))
    return answer.task.id


async def submit_script(channel: grpc.aio.Channel, script: Script) -> str:
    """Submit a task of the scripted agent; returns its id."""
    return await submit(channel, SCRIPTED, script.model_dump_json(exclude_defaults=True))


async def define_scripted(channel: grpc.aio.Channel) -> None:
    """Make the scripted runtime an agent of the default tenant."""
    stub: Any = AgentDefinitionServiceStub(cast("Any", channel))
    await stub.CreateAgent(CreateAgentRequest(id=SCRIPTED, agent=AgentInput(runtime=SCRIPTED)))


async def call_many(lanes: Sequence[Call], calls: int) -> float:
    """Make `calls` calls, one at a time in each lane; returns the seconds."""
    numbers = iter(range(calls))

    async def lane(one: Call) -> None:
        for _ in numbers:
            await one()

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for one in lanes:
            group.create_task(lane(one))
    return time.perf_counter() - began


def request_bytes(
    method: str, path: str, body: bytes = b"", accept: str = "application/json", key: str = ""
) -> bytes:
    """An HTTP/1.1 request on a connection that stays open; with an API key, if there is one."""
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: {accept}\r\n"
    if key:
        head += f"X-Api-Key: {key}\r\n"
    if body:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


class HttpConnection(asyncio.Protocol):
    """One keep-alive connection, one request at a time, answers with a Content-Length only."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[bytes] | None = None
        self._data = b""
        self._missing = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        self._data += data
        if not self._missing:
            head, found, _ = self._data.partition(b"\r\n\r\n")
            if not found:
                return
            length = re.search(rb"(?i)content-length: (\d+)", head)
            if length is None:
                raise ValueError(f"an answer without a length: {head!r}")
            self._missing = len(head) + 4 + int(length[1])
        if len(self._data) >= self._missing and self._answer is not None:
            answer, self._data, self._missing = self._data, b"", 0
            self._answer.set_result(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionError("the server hung up"))

    async def ask(self, request: bytes) -> bytes:
        """Send a request; returns the whole answer. Raises RuntimeError unless it is a 2xx."""
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        answer = await self._answer
        if answer[9:10] != b"2":
            raise RuntimeError(f"unexpected answer: {answer[:500]!r}")
        return answer

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()


@asynccontextmanager
async def http_connections(server: Server, count: int) -> AsyncGenerator[list[HttpConnection]]:
    """Open connections."""
    loop = asyncio.get_running_loop()
    opened = [
        (await loop.create_connection(HttpConnection, "127.0.0.1", server.rest_port))[1] for _ in range(count)
    ]
    try:
        yield opened
    finally:
        for connection in opened:
            connection.close()


class Reader:
    """Counts the events of one stream; `arrivals` are wall-clock times, one for each event, in order."""

    def __init__(self) -> None:
        self.arrivals: list[float] = []
        self.opened = asyncio.Event()
        self.ended = asyncio.Event()

    def arrived(self, events: int) -> None:
        """So many events came just now."""
        if events:
            now = time.time()
            self.arrivals += [now] * events


class SseReader(asyncio.Protocol, Reader):
    """One SSE stream, over a socket of its own; ends with the terminal chunk or the connection."""

    def __init__(self, path: str, method: str = "GET", body: bytes = b"") -> None:
        Reader.__init__(self)
        self._request = request_bytes(method, path, body, accept="text/event-stream")
        self._tail = b""
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Count the `id:` lines; one cut in two counts with its second half."""
        data = self._tail + data
        if not self.opened.is_set():
            self.opened.set()
        complete, end, self._tail = data.rpartition(b"\n")
        self.arrived((complete + end).count(b"\nid: "))
        if end:
            self._tail = b"\n" + self._tail  # what comes next begins a line
        if data.endswith(b"\n0\r\n\r\n"):  # the last chunk
            self.ended.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self.opened.set()
        self.ended.set()


@asynccontextmanager
async def sse_reader(server: Server, path: str) -> AsyncGenerator[SseReader]:
    """Open one stream; entered when its first bytes are here."""
    loop = asyncio.get_running_loop()
    _, reader = await loop.create_connection(lambda: SseReader(path), "127.0.0.1", server.rest_port)
    try:
        async with asyncio.timeout(LONGEST_WAIT_S):
            await reader.opened.wait()
        yield reader
    finally:
        if reader.transport is not None:
            reader.transport.close()


class GrpcReader(Reader):
    """One gRPC stream of messages with `events`. `first_event` keeps them when asked to."""

    def __init__(self, call: Any, *, keep: bool = False) -> None:
        super().__init__()
        self._call = call
        self._keep = keep
        self.events: list[Any] = []

    async def read(self) -> None:
        """Read to the end."""
        try:
            await self._call.initial_metadata()
            self.opened.set()
            async for message in self._call:
                self.arrived(len(message.events))
                if self._keep:
                    self.events += message.events
        finally:
            self.opened.set()
            self.ended.set()
            self._call.cancel()


@asynccontextmanager
async def reading(readers: Sequence[GrpcReader]) -> AsyncGenerator[None]:
    """Read gRPC streams inside the block; entered when all are open."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(reader.read()) for reader in readers]
        async with asyncio.timeout(LONGEST_WAIT_S):
            for reader in readers:
                await reader.opened.wait()
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()


async def all_ended(readers: Sequence[Reader]) -> None:
    """Wait for the end of every stream. Raises TimeoutError."""
    async with asyncio.timeout(LONGEST_WAIT_S):
        for reader in readers:
            await reader.ended.wait()
