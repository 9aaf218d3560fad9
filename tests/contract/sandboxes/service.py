"""Sandboxes on a service of their own: a small HTTP server around local ones, and the make that calls it.

It knows files only, which is enough to see what becomes of calls when the service is sick.
"""

import base64
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.domain.artifacts import ArtifactRef
from app.domain.errors import (
    SandboxCrashedError,
    SandboxUnavailableError,
    StepTimeoutError,
    TargetNotFoundError,
)
from app.domain.ids import Digest, SandboxId
from app.domain.sandboxes import Action, Availability, SandboxKind, StepResult
from app.sandboxes.base import OpenSandbox, SandboxSpec
from app.sandboxes.local.provider import LocalProvider
from rest_api.uvicorn_server import UvicornServer


@dataclass
class Service:
    """What the server holds, and how it feels: `sick` answers 503, `crashing` loses what acts."""

    provider: LocalProvider
    sick: bool = False
    crashing: bool = False
    slow: bool = False
    calls: list[str] = field(default_factory=list)
    open: dict[str, OpenSandbox] = field(default_factory=dict)

    @property
    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/", self.probe),
                Route("/{name}", self.create, methods=["PUT"]),
                Route("/{name}", self.act, methods=["POST"]),
                Route("/{name}", self.destroy, methods=["DELETE"]),
            ]
        )

    def _entered(self, what: str) -> Response | None:
        self.calls.append(what)
        return Response(status_code=503) if self.sick else None

    async def probe(self, request: Request) -> Response:
        return self._entered("probe") or JSONResponse({})

    async def create(self, request: Request) -> Response:
        if (refused := self._entered("create")) is not None:
            return refused
        name = request.path_params["name"]
        spec = SandboxSpec(id=SandboxId(name), save_artifact=_save)
        made = await (self.provider.attach if "attach" in request.query_params else self.provider.create)(
            spec
        )
        self.open[name] = made
        return JSONResponse({})

    async def act(self, request: Request) -> Response:
        if (refused := self._entered("act")) is not None:
            return refused
        if self.crashing:
            return Response(status_code=410)
        if self.slow:
            return Response(status_code=408)
        body = await request.json()
        result = await self.open[request.path_params["name"]].act(
            Action(type=body["type"], arguments=body["arguments"]), timeout_s=5
        )
        return JSONResponse({"status": result.status, "output": result.output})

    async def destroy(self, request: Request) -> Response:
        if (refused := self._entered("destroy")) is not None:
            return refused
        await self.provider.destroy(SandboxId(request.path_params["name"]))
        return JSONResponse({})


class HttpProvider:
    """Makes `SandboxProvider` of a `Service` that listens somewhere."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._http = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=5)

    @property
    def kind(self) -> str:
        return "http"

    @property
    def endpoint(self) -> str:
        return f"127.0.0.1:{self._port}"

    async def probe(self) -> SandboxKind:
        try:
            await self.call("GET", "/")
        except SandboxUnavailableError as error:
            return SandboxKind(
                kind="http",
                description="Files.",
                availability=Availability.UNAVAILABLE,
                reasons=(error.message,),
            )
        return SandboxKind(kind="http", description="Files.", availability=Availability.OK)

    async def create(self, spec: SandboxSpec) -> OpenSandbox:
        await self.call("PUT", f"/{spec.id}")
        return HttpSandbox(spec.id, self)

    async def attach(self, spec: SandboxSpec) -> OpenSandbox:
        await self.call("PUT", f"/{spec.id}?attach")
        return HttpSandbox(spec.id, self)

    async def destroy(self, sandbox_id: SandboxId) -> None:
        await self.call("DELETE", f"/{sandbox_id}")

    async def reap(self, known: Collection[SandboxId]) -> None:
        pass

    async def aclose(self) -> None:
        await self._http.aclose()

    async def call(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        """One call; the service's own failures in the words of the port."""
        try:
            answer = await self._http.request(method, path, **options)
        except httpx.TransportError as error:
            raise SandboxUnavailableError(f"the service cannot be reached: {type(error).__name__}") from None
        if answer.status_code == 408:
            raise StepTimeoutError("the step took too long")
        if answer.status_code == 410:
            raise SandboxCrashedError("the sandbox is gone")
        if answer.status_code == 404:
            raise TargetNotFoundError("no such sandbox")
        if answer.status_code >= 500:
            raise SandboxUnavailableError(f"the service answered {answer.status_code}")
        return answer.json()


class HttpSandbox:
    """Makes `OpenSandbox`."""

    kind = "http"
    capabilities = frozenset({"files"})

    def __init__(self, sandbox_id: SandboxId, provider: HttpProvider) -> None:
        self.id = sandbox_id
        self.closed = False
        self._provider = provider

    async def act(self, action: Action, *, timeout_s: float) -> StepResult:
        answer = await self._provider.call(
            "POST", f"/{self.id}", json={"type": action.type, "arguments": action.arguments}
        )
        now = datetime.now(UTC)
        return StepResult(
            action=action, status=answer["status"], started_at=now, duration_s=0, output=answer["output"]
        )

    async def screenshot(self) -> bytes:
        answer = await self._provider.call("POST", f"/{self.id}", json={"type": "screenshot"})
        return base64.b64decode(answer["output"])

    async def close(self) -> None:
        self.closed = True


async def _save(name: str, media_type: str, data: bytes) -> ArtifactRef:
    return ArtifactRef(
        digest=Digest("sha256:" + "0" * 64), name=name, media_type=media_type, size_bytes=len(data)
    )


@asynccontextmanager
async def remote_service(root: Path) -> AsyncIterator[tuple[Service, HttpProvider]]:
    """The service on a free port, and the make that calls it."""
    local = LocalProvider(root, max_workspace_bytes=100_000, max_workspace_files=20)
    service = Service(local)
    server = UvicornServer(service.app, host="127.0.0.1", port=0)
    provider = HttpProvider(await server.start())
    try:
        yield service, provider
    finally:
        await provider.aclose()
        await server.stop(0)
        await local.aclose()
