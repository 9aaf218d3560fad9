"""A small real HTTP server on loopback, whose answers a test writes byte by byte."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

Answering = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass(slots=True)
class Server:
    """Where it listens, and the requests it saw (head as text)."""

    port: int = 0
    seen: list[str] = field(default_factory=list)
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a connection ended."""

    def url(self, path: str = "/", host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"


def plain(body: bytes, *, status: str = "200 OK", **headers: str) -> Answering:
    """A complete answer."""
    lines = {"content-type": "text/plain; charset=utf-8", "content-length": str(len(body))}
    lines |= {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 {status}\r\n{head}connection: close\r\n\r\n".encode() + body)
        await writer.drain()

    return answer


def redirect(to: str) -> Answering:
    return plain(b"", status="302 Found", location=to)


@asynccontextmanager
async def serving(
    routes: Mapping[str, Answering], *, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Server]:
    """Listen on 127.0.0.1; `routes` by path without the query."""
    server = Server()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            server.seen.append(head)
            path = head.split(" ", 2)[1].partition("?")[0]
            await routes.get(path, plain(b"nothing here", status="404 Not Found"))(writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            server.closed.set()

    listener = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
