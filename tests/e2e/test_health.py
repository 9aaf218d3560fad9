"""Readiness of a whole gateway: a dependency goes away and comes back, and both protocols say so."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc.aio
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from app.bootstrap.gateway import open_gateway
from app.settings import Settings

Serving = health_pb2.HealthCheckResponse


class Store:
    """As much of a Redis as the limits need: it answers each command of a connection with `1, 0`."""

    def __init__(self) -> None:
        self._open: set[asyncio.StreamWriter] = set()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            while head := await reader.readline():
                words = [await self._word(reader) for _ in range(int(head[1:]))]
                scripted = words[0].upper() in (b"EVALSHA", b"EVAL")
                writer.write(b"*2\r\n:1\r\n:0\r\n" if scripted else b"+OK\r\n")
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._open.discard(writer)
            writer.close()

    async def _word(self, reader: asyncio.StreamReader) -> bytes:
        size = int((await reader.readline())[1:])
        return (await reader.readexactly(size + 2))[:-2]

    @asynccontextmanager
    async def listening(self, port: int) -> AsyncGenerator[None]:
        server = await asyncio.start_server(self._talk, "127.0.0.1", port)
        try:
            yield
        finally:
            server.close()
            for writer in list(self._open):
                writer.close()


@pytest.mark.timeout(60)
async def test_the_failing_dependency_is_named_on_both_protocols_until_it_is_back(
    tmp_path: Path, free_port: int
) -> None:
    settings = Settings.model_validate(
        {
            "storage": {"data_dir": tmp_path},
            "grpc": {"port": 0},
            "rest": {"port": 0},
            "health": {"interval": 0.1, "timeout": 1},
            "rate_limits": {
                "shared": "redis",
                "redis_url": f"redis://127.0.0.1:{free_port}/0",
                "on_outage": "closed",
                "tenant": {"write": "100/s"},
            },
        }
    )
    store = Store()
    async with asyncio.timeout(50), open_gateway(settings) as gateway:
        address = f"127.0.0.1:{gateway.rest_port}"
        async with (
            httpx.AsyncClient(base_url=f"http://{address}", trust_env=False) as client,
            grpc.aio.insecure_channel(f"127.0.0.1:{gateway.grpc_port}") as channel,
        ):
            watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), timeout=40)
            assert (await watch.read()).status == Serving.NOT_SERVING
            away = await client.get("/healthz/ready")
            live = await client.get("/healthz/live")
            async with store.listening(free_port):
                assert (await watch.read()).status == Serving.SERVING
                there = await client.get("/healthz/ready")
                figures = (await client.get("/metrics")).text
            assert (await watch.read()).status == Serving.NOT_SERVING
            gone = await client.get("/healthz/ready")
            watch.cancel()

    assert (live.status_code, live.json()) == (200, {"status": "ok"})
    assert (away.status_code, away.json()["status"], away.json()["failing"]) == (503, "starting", ["limiter"])
    assert (there.status_code, there.json()["status"], there.json()["failing"]) == (200, "ok", [])
    assert [one["name"] for one in there.json()["dependencies"]] == ["store", "queue", "bus", "limiter"]
    assert "agentgateway_ready 1.0" in figures
    assert 'agentgateway_dependency_up{dependency="limiter"} 1.0' in figures
    assert (gone.status_code, gone.json()["status"]) == (503, "unavailable")
    [limiter] = [one for one in gone.json()["dependencies"] if not one["ok"]]
    assert limiter == {
        "name": "limiter",
        "ok": False,
        "required": True,
        "reason": "STORAGE_UNAVAILABLE",
    }
    assert "127.0.0.1" not in gone.text
