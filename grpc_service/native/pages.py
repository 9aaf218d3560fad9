"""Pages that a default client can read, however big their items are."""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from google.protobuf.message import Message

from app.domain.paging import DEFAULT_PAGE_SIZE

MAX_PAGE_BYTES: Final = 3 * 1024 * 1024
"""A client refuses messages over 4 MiB unless told otherwise."""

Answer = TypeVar("Answer", bound=Message)


async def fitting(page: Callable[[int], Awaitable[Answer]], size: int) -> Answer:
    """The page of at most `size` items (0: the default) that fits; asked again with half the size if not."""
    message = await page(size)
    while message.ByteSize() > MAX_PAGE_BYTES and size != 1:
        size = max(1, (size or DEFAULT_PAGE_SIZE) // 2)
        message = await page(size)
    return message
