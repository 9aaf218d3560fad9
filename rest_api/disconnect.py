"""Work that ends when its client leaves, as a cancelled RPC does."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.types import Receive

from app.domain.errors import DomainError, Kind

T = TypeVar("T")


class ClientGoneError(DomainError):
    """The client closed the connection before the answer. Nobody reads this but logs and metrics."""

    kind, reason = Kind.CANCELLED, "CLIENT_CLOSED"

    def __init__(self) -> None:
        super().__init__("the client left")


async def until_gone(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, which is cancelled as soon as the client disconnects.

    The request's body must have been read. Raises ClientGoneError when the client left first, and
    whatever `work` raises; `work` is over, with its clean-up, when this returns.
    """
    async with asyncio.TaskGroup() as group:
        working = group.create_task(_caught(work))
        leaving = group.create_task(_left(receive))
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        working.cancel()
        leaving.cancel()
    if working.cancelled():
        raise ClientGoneError
    result, error = working.result()
    if error is not None:
        raise error
    return result  # pyright: ignore[reportReturnType]


async def _caught(work: Coroutine[Any, Any, T]) -> tuple[T | None, Exception | None]:
    """A failure as a value: a task group would wrap it in a group of its own."""
    try:
        return await work, None
    except Exception as error:  # noqa: BLE001 - it is raised again by who waits for it
        return None, error


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue
