"""A REST listener over the desk."""

import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx

from app.domain.artifacts import ArtifactRef
from app.domain.identity import DEFAULT_TENANT
from app.policy.admission import Admission
from rest_api.server import RestApp, RestOptions, build_rest_app
from rest_api.uvicorn_server import UvicornServer
from tests.workbench import KEY, OTHER_KEY, Desk, open_desk

AUTH = {"authorization": f"Bearer {KEY}"}
OTHER = {"authorization": f"Bearer {OTHER_KEY}"}
"""Another tenant."""
PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For clients of plain HTTP: without it each of them reads the certificates of the world (20 ms)."""
STREAM = {"accept": "text/event-stream"}


@dataclass(frozen=True, slots=True)
class Workbench(Desk):
    """What a test drives."""

    app: RestApp
    server: UvicornServer
    port: int
    client: httpx.AsyncClient

    async def submitted(self, **task: Any) -> str:
        """The id of a new task."""
        answer = await self.client.post("/v1/tasks", json={"instruction": "say hello", **task})
        assert answer.status_code == 201, answer.text
        return answer.json()["id"]

    async def ended(self) -> str:
        """A task that has succeeded (five events)."""
        task_id = await self.submitted()
        await self.claimed(task_id)
        await self.succeeded(task_id)
        return task_id

    async def kept(
        self, data: bytes, *, name: str = "notes.txt", media_type: str = "text/plain"
    ) -> ArtifactRef:
        """Bytes as an artifact."""
        return await self.stores.artifacts.put(
            DEFAULT_TENANT, data, name=name, media_type=media_type, task_id=None
        )


@asynccontextmanager
async def open_workbench(
    path: Path,
    *,
    heartbeat: timedelta = timedelta(seconds=30),
    admission: Admission | None = None,
    **options: Any,
) -> AsyncGenerator[Workbench]:
    """Serve on a free port of 127.0.0.1, with a client that carries the key."""
    async with open_desk(path, heartbeat=heartbeat, admission=admission) as desk:
        app = build_rest_app(
            desk.service,
            desk.admission,
            desk.tracing,
            desk.metrics,
            options=RestOptions(version="1", **options),
        )
        server = UvicornServer(app, host="127.0.0.1", port=0)
        port = await server.start()
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", headers=AUTH, timeout=10, trust_env=False, verify=PLAIN
        ) as client:
            try:
                yield Workbench(
                    desk.parts, desk.service, desk.admission, desk.spans, app, server, port, client
                )
            finally:
                desk.feeds.drain()
                await client.aclose()
                await server.stop(1.0)
