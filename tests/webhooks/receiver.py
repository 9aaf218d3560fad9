"""A real receiver of webhooks on loopback: keeps what it is told, answers as a test wants."""

import asyncio
import json
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from standardwebhooks import Webhook


@dataclass(frozen=True, slots=True)
class Message:
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.body)

    @property
    def seq(self) -> int:
        return self.json["data"]["seq"]

    def verified(self, secret: str) -> dict[str, Any]:
        """The body, when the signature is right. Raises WebhookVerificationError."""
        found: dict[str, Any] = Webhook(secret).verify(self.body, self.headers)
        return found


@dataclass(slots=True)
class Receiver:
    """`answers` are given one after another, then 204: a status line with headers, or None to say nothing."""

    port: int = 0
    answers: deque[str | None] = field(default_factory=deque[str | None])
    got: list[Message] = field(default_factory=list[Message])
    heard: asyncio.Condition = field(default_factory=asyncio.Condition)
    open: int = 0
    most_open: int = 0
    hold: asyncio.Event | None = None
    """While it is there and not set, answers wait."""

    def url(self, path: str = "/hook", host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    async def messages(self, count: int, *, within_s: float = 20.0) -> list[Message]:
        """Wait until so many came, and return all."""
        async with asyncio.timeout(within_s), self.heard:
            await self.heard.wait_for(lambda: len(self.got) >= count)
        return list(self.got)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, one request."""
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {
                name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)
            }
            body = await reader.readexactly(int(headers["content-length"]))
            async with self.heard:
                self.got.append(Message(head[0].split(" ")[1], headers, body))
                self.heard.notify_all()
            answer = self.answers.popleft() if self.answers else "204 No Content"
            if self.hold is not None:
                await self.hold.wait()
            if answer is None:
                await reader.read()  # until the other end gives up
                return
            writer.write(f"HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode())
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open -= 1
            writer.close()


@asynccontextmanager
async def receiving(*answers: str | None) -> AsyncGenerator[Receiver]:
    """Listen on 127.0.0.1 inside the block."""
    receiver = Receiver(answers=deque(answers))
    server = await asyncio.start_server(receiver.handle, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        if receiver.hold is not None:
            receiver.hold.set()
        server.close()
