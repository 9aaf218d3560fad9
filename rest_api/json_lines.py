"""An answer of one JSON document a line (NDJSON), sent as it is read: its memory is that of one part."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from pydantic import BaseModel
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from rest_api.negotiation import JSON_LINES
from rest_api.schemas.base import encoded


class JsonLines(Response):
    """Parts of documents; what goes wrong after the first part cuts the answer short."""

    media_type = JSON_LINES

    def __init__(self, parts: AsyncGenerator[Sequence[BaseModel]], first: Sequence[BaseModel]) -> None:
        """`first` was read already: until then a failure is an answer of its own."""
        super().__init__(headers={"Cache-Control": "no-store"})
        del self.headers["content-length"]
        self._parts = parts
        self._first = first

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send all parts; a client that leaves ends it at the next one."""
        del scope, receive
        async with aclosing(self._parts) as parts:
            await send(
                {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
            )
            await _send_part(send, self._first)
            async for part in parts:
                await _send_part(send, part)
            await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _send_part(send: Send, part: Sequence[BaseModel]) -> None:
    lines = b"".join(encoded(one) + b"\n" for one in part)
    if lines:
        await send({"type": "http.response.body", "body": lines, "more_body": True})
