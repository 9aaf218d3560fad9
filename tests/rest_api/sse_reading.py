"""Reads server-sent events as a browser does."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx


@dataclass(frozen=True, slots=True)
class Block:
    """What a blank line dispatched, and the id a reconnect would carry after it."""

    event: str
    data: Any
    last_event_id: str
    comment: bool = False


async def blocks(response: httpx.Response) -> AsyncIterator[Block]:
    """Every event, and every comment, in order."""
    event, data, cursor = "message", "", ""
    async for line in response.aiter_lines():
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if line == "":
            if data:
                yield Block(event, json.loads(data), cursor)
            event, data = "message", ""
        elif name == "":
            yield Block("comment", value, cursor, comment=True)
        elif name == "id":
            cursor = value
        elif name == "event":
            event = value
        elif name == "data":
            data += value


async def events(response: httpx.Response) -> list[Block]:
    """All events to the end of the stream."""
    return [block async for block in blocks(response) if not block.comment]
