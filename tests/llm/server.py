"""The scripted LLM itself: a loopback HTTP server that lives inside one block."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.routing import Route
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tests.llm.anthropic import AnthropicMessages
from tests.llm.gemini import Gemini
from tests.llm.openai_chat import OpenAIChat
from tests.llm.openai_responses import OpenAIResponses
from tests.llm.script import Attempts, Script, ScriptEndedError, Turn
from tests.llm.wire import Asked, Ids, Json, Refusal, WireFormat

STOP_DEADLINE_S = 5.0
MALFORMED = '{"id": "x", "choices": [{"index": 0, '
ABORT = "scripted-llm.abort"


@dataclass(slots=True, kw_only=True)
class Exchange:
    """One request and what became of it."""

    protocol: str
    credential: str | None
    headers: Mapping[str, str]
    body: Json
    asked: Asked | None = None
    turn: int = -1
    attempt: int = 0
    status: int | None = None
    """None until the answer's headers are sent."""
    completed: bool = False
    """The whole answer was sent."""
    disconnected: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the client went away before the answer was complete."""

    @property
    def images(self) -> int:
        """How many images the request carried."""
        return self.asked.images if self.asked else 0

    @property
    def tools(self) -> tuple[str, ...]:
        """The names of the tools the model may call."""
        return self.asked.tools if self.asked else ()


class ScriptedLLM:
    """The running server: where it listens, and what it was asked so far."""

    def __init__(self, script: Script, *, port: int, api_key: str | None = None) -> None:
        self.root_url = f"http://127.0.0.1:{port}"
        self.requests: list[Exchange] = []
        self._script = script
        self._api_key = api_key
        self._arrived = asyncio.Condition()
        self._closing = asyncio.Event()
        ids = Ids()
        self._formats: tuple[WireFormat, ...] = (
            OpenAIChat(ids),
            OpenAIResponses(ids),
            AnthropicMessages(ids),
            Gemini(ids),
        )

    @property
    def openai_url(self) -> str:
        """The base URL for Chat Completions, Responses and everything OpenAI-compatible."""
        return f"{self.root_url}/v1"

    def base_url(self, protocol: str) -> str:
        """The base URL a client of `protocol` (a `WireFormat.name`) needs."""
        return self.openai_url if protocol.startswith("openai") else self.root_url

    async def wait_for_requests(self, count: int) -> list[Exchange]:
        """The requests so far, once there are at least `count`. Give it a deadline."""
        async with self._arrived:
            await self._arrived.wait_for(lambda: len(self.requests) >= count)
        return self.requests

    def close(self) -> None:
        """Drop every answer that is still being given."""
        self._closing.set()

    def app(self) -> Starlette:
        """The ASGI application: one route per path of each protocol."""
        return Starlette(
            routes=[
                Route(path, _Endpoint(self, wire), methods=["POST"])
                for wire in self._formats
                for path in wire.paths
            ]
        )

    async def record(self, exchange: Exchange) -> None:
        """Log a request that arrived."""
        async with self._arrived:
            self.requests.append(exchange)
            self._arrived.notify_all()

    def turn_for(self, exchange: Exchange, asked: Asked) -> Turn:
        """What the script says to this request; a wrong key and an ended script are refused."""
        if self._api_key is not None and exchange.credential != self._api_key:
            return Turn(status=401, error_message=f"Incorrect API key provided: {exchange.credential}")
        position = self._script.position_of(asked.items)
        exchange.turn = position.turn
        try:
            turn, exchange.attempt = self._script.next(position)
        except ScriptEndedError as error:
            return Turn(status=400, error_message=str(error))
        return turn

    async def closing(self) -> None:
        """Return when the server closes."""
        await self._closing.wait()


@asynccontextmanager
async def scripted_llm(
    script: Script | Sequence[Attempts] | Mapping[str, Sequence[Attempts]], *, api_key: str | None = None
) -> AsyncIterator[ScriptedLLM]:
    """A scripted LLM on a free loopback port; leaving the block stops it, answering or not.

    With `api_key`, a request that carries another one is refused as the protocol refuses it.
    """
    script = script if isinstance(script, Script) else Script(script)
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.bind(("127.0.0.1", 0))
        llm = ScriptedLLM(script, port=listener.getsockname()[1], api_key=api_key)
        config = uvicorn.Config(
            llm.app(), http=_AbortableProtocol, lifespan="off", log_config=None, access_log=False, ws="none"
        )
        server = _Server(config)
        failure: BaseException | None = None
        async with asyncio.TaskGroup() as group:
            serving = group.create_task(server.serve(sockets=[listener]))
            try:
                await server.ready.wait()
                yield llm
            except BaseException as error:  # noqa: BLE001 - raised again outside the group, which would wrap it
                failure = error
            finally:
                llm.close()
                server.stop()
                async with asyncio.timeout(STOP_DEADLINE_S):
                    await asyncio.wait({serving})
        if failure is not None:
            raise failure


class _Server(uvicorn.Server):
    """A server that says when it is ready and leaves the process' signals alone."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()
        self._stopping = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.ready.set()

    async def main_loop(self) -> None:
        # The original looks for `should_exit` ten times a second: a tenth of a second for each test.
        await self.on_tick(0)
        await self._stopping.wait()

    def stop(self) -> None:
        """Leave `main_loop` and drop all connections."""
        self.should_exit = self.force_exit = True
        self._stopping.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _AbortableProtocol(HttpToolsProtocol):
    """Lets the application reset its connection, as a crashing provider would."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        cast("dict[str, Any]", self.scope)[ABORT] = self.transport.abort


class _Endpoint:
    """One protocol's ASGI endpoint."""

    def __init__(self, llm: ScriptedLLM, wire: WireFormat) -> None:
        self._llm = llm
        self._wire = wire

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            body: Json = json.loads(await request.body())
        except ClientDisconnect:  # it was killed while it asked
            return
        exchange = Exchange(
            protocol=self._wire.name,
            credential=self._wire.credential(request.headers),
            headers=dict(request.headers),
            body=body,
        )
        exchange.asked = asked = self._wire.read(request.url.path, body)
        turn = self._llm.turn_for(exchange, asked)
        await self._llm.record(exchange)
        answer = _Answer(
            exchange=exchange,
            turn=turn,
            wire=self._wire,
            send=send,
            abort=cast(Callable[[], None], scope[ABORT]),
        )
        await self._until_client_leaves(answer, receive)

    async def _until_client_leaves(self, answer: "_Answer", receive: Receive) -> None:
        """Give the answer; stop when the client goes away or the server closes."""
        async with asyncio.TaskGroup() as group:
            giving = group.create_task(answer.give())
            gone = group.create_task(_client_gone(receive))
            closing = group.create_task(self._llm.closing())
            tasks = (giving, gone, closing)
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if gone.done() and not answer.exchange.completed and not answer.aborted:
                answer.exchange.disconnected.set()
            if closing.done():
                answer.abort()
            for task in tasks:
                task.cancel()


@dataclass(slots=True, kw_only=True)
class _Answer:
    """Gives one turn to one client."""

    exchange: Exchange
    turn: Turn
    wire: WireFormat
    send: Send
    abort: Callable[[], None]
    aborted: bool = False

    async def give(self) -> None:
        """Send the turn, with its faults."""
        turn, asked = self.turn, self.exchange.asked
        assert asked is not None
        if turn.gate is not None and turn.hold_after is None:
            await turn.gate.wait()
        if turn.delay_s:
            await asyncio.sleep(turn.delay_s)
        if turn.status is not None:
            await self._refuse(self.wire.refusal(turn.status, turn))
        elif asked.streamed:
            await self._stream(asked)
        else:
            await self._whole(asked)

    async def _refuse(self, refusal: Refusal) -> None:
        await self._start(refusal.status, "application/json", refusal.headers)
        await self._finish(json.dumps(refusal.body).encode())

    async def _whole(self, asked: Asked) -> None:
        text = MALFORMED if self.turn.malformed else json.dumps(self.wire.whole(self.turn, asked.model))
        await self._start(200, "application/json")
        if self.turn.cut_after is not None:
            await self._chunk(text[: len(text) // 2].encode())
            return self._cut()
        return await self._finish(text.encode())

    async def _stream(self, asked: Asked) -> None:
        turn = self.turn
        await self._start(200, "text/event-stream")
        if turn.malformed:
            return await self._finish(f"data: {MALFORMED}\n\n".encode())
        for number, event in enumerate(self.wire.events(turn, asked.model)):
            if turn.cut_after == number:
                return self._cut()
            if turn.hold_after == number and turn.gate is not None:
                await turn.gate.wait()
            if turn.chunk_delay_s and number:
                await asyncio.sleep(turn.chunk_delay_s)
            await self._chunk(event.encoded())
        return await self._finish(b"")

    async def _start(self, status: int, content_type: str, headers: Mapping[str, str] | None = None) -> None:
        fields = {"content-type": content_type, **(headers or {})}
        encoded = [(name.encode(), value.encode()) for name, value in fields.items()]
        await self.send({"type": "http.response.start", "status": status, "headers": encoded})
        self.exchange.status = status

    async def _chunk(self, data: bytes) -> None:
        await self.send({"type": "http.response.body", "body": data, "more_body": True})
        # Let the bytes leave before a cut throws away what is still buffered.
        await asyncio.sleep(0)

    async def _finish(self, data: bytes) -> None:
        self.exchange.completed = True
        await self.send({"type": "http.response.body", "body": data, "more_body": False})

    def _cut(self) -> None:
        self.aborted = True
        self.abort()


async def _client_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
