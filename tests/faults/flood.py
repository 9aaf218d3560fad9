"""A tenant that calls as fast as it can: `python -m tests.faults.flood rest|grpc PORT KEY CALLERS`.

Run as a process of its own, until it is killed, it writes a line for every 1,000 calls that were answered.
"""

import asyncio
import re
import sys
from collections.abc import Callable
from typing import Any

import grpc.aio

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


class Flood:
    """Callers that each wait for nothing but their own answer."""

    def __init__(self, port: int, key: str, told: Callable[[int], None] = lambda calls: None) -> None:
        self._port = port
        self._key = key
        self._told = told
        self.calls = 0
        """Answered, or refused by a limit."""

    async def rest(self) -> None:
        """One connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        request = f"GET /v1/server HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Api-Key: {self._key}\r\n\r\n".encode()
        try:
            while True:
                writer.write(request)
                length = _LENGTH.search(await reader.readuntil(b"\r\n\r\n"))
                assert length is not None
                await reader.readexactly(int(length[1]))
                self._answered()
        finally:
            writer.close()

    async def grpc(self, channel: Any) -> None:
        """One caller on a channel that all share."""
        call = channel.unary_unary(
            "/agentgateway.v1.ServerService/GetServerInfo",
            request_serializer=bytes,
            response_deserializer=bytes,
        )
        while True:
            try:
                await call(b"", metadata=(("x-api-key", self._key),), timeout=30)
            except grpc.aio.AioRpcError as error:
                if error.code() != grpc.StatusCode.RESOURCE_EXHAUSTED:
                    raise
            self._answered()

    def _answered(self) -> None:
        self.calls += 1
        self._told(self.calls)


def _tell(calls: int) -> None:
    if calls % 1_000 == 0:
        sys.stdout.write(f"{calls}\n")
        sys.stdout.flush()


async def main(protocol: str, port: int, key: str, callers: int) -> None:
    """Call until somebody ends the process."""
    flood = Flood(port, key, _tell)
    options = [("grpc.enable_retries", 0)]
    async with (
        grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel,
        asyncio.TaskGroup() as group,
    ):
        for _ in range(callers):
            group.create_task(flood.rest() if protocol == "rest" else flood.grpc(channel))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])))
