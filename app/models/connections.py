"""Closing a stream's connection for certain.

The SDKs read a response through nested async generators. When a stream is left between two chunks,
google-genai closes only the outermost; the socket then stays open, and the provider goes on
generating (and billing), until the garbage collector comes by. So a call notes the responses it
opens and closes them itself.
"""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

import httpx2

_opened: ContextVar[list[httpx2.Response] | None] = ContextVar("_opened", default=None)


class OpenResponses:
    """The HTTP responses of one call."""

    def __init__(self) -> None:
        self._responses: list[httpx2.Response] = []

    @contextmanager
    def noting(self) -> Generator[None]:
        """Every response that arrives inside the block, in this task, belongs to this call."""
        token = _opened.set(self._responses)
        try:
            yield
        finally:
            _opened.reset(token)

    async def aclose(self) -> None:
        """Close them; those read to the end already are. The HTTP client shields this from cancellation."""
        while self._responses:
            await self._responses.pop().aclose()


async def note_response(response: httpx2.Response) -> None:
    """The HTTP client's response hook."""
    if (responses := _opened.get()) is not None:
        responses.append(response)


def watch(client: httpx2.AsyncClient) -> httpx2.AsyncClient:
    """Make the client tell which responses a call opened."""
    hooks = client.event_hooks
    client.event_hooks = hooks | {"response": [*hooks.get("response", []), note_response]}
    return client
