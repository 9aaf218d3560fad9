"""Collectors as spans meet them: real OTLP servers, over gRPC and over HTTP, that keep what they are sent."""

import asyncio
import gzip
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc.aio
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from rest_api.uvicorn_server import UvicornServer


@dataclass
class Collected:
    """What one collector was sent. With `refusing` it takes nothing, and counts the tries."""

    endpoint: str = ""
    refusing: bool = False
    tries: int = 0
    spans: list[Span] = field(default_factory=list[Span])
    requests: list[ExportTraceServiceRequest] = field(default_factory=list[ExportTraceServiceRequest])
    raw: list[bytes] = field(default_factory=list[bytes])
    headers: dict[str, str] = field(default_factory=dict[str, str])
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def take(self, raw: bytes, headers: Mapping[str, str]) -> bool:
        """One export; whether it was taken."""
        async with self._news:
            self.tries += 1
            if not self.refusing:
                request = ExportTraceServiceRequest.FromString(raw)
                self.raw.append(raw)
                self.requests.append(request)
                self.headers = dict(headers)
                for resource in request.resource_spans:
                    self.spans += [span for scope in resource.scope_spans for span in scope.spans]
            self._news.notify_all()
        return not self.refusing

    async def until(self, satisfied: Callable[[], bool], *, within_s: float = 15.0) -> None:
        """Wait until what was sent is enough."""
        async with asyncio.timeout(within_s), self._news:
            await self._news.wait_for(satisfied)

    def named(self, name: str) -> list[Span]:
        """The spans of that name, in the order in which they came."""
        return [span for span in self.spans if span.name == name]

    def paths(self, trace_id: str) -> list[str]:
        """Each span of the trace as its names from the first one of ours on, in the order they began."""
        mine = [span for span in self.spans if span.trace_id.hex() == trace_id]
        by_id = {span.span_id: span for span in mine}

        def path(span: Span) -> str:
            above = by_id.get(span.parent_span_id)
            return f"{path(above)} > {span.name}" if above else span.name

        return [path(span) for span in sorted(mine, key=lambda span: span.start_time_unix_nano)]


def attributes_of(source: Any) -> dict[str, Any]:
    """The attributes of a span, event or resource as plain values."""
    return {pair.key: _plain(pair.value) for pair in source.attributes}


@asynccontextmanager
async def grpc_collector() -> AsyncGenerator[Collected]:
    """One that speaks OTLP over gRPC."""
    kept = Collected()

    class Servicer(TraceServiceServicer):
        async def Export(  # pyright: ignore[reportIncompatibleMethodOverride]
            self, request: ExportTraceServiceRequest, context: Any
        ) -> ExportTraceServiceResponse:
            if not await kept.take(request.SerializeToString(), dict(context.invocation_metadata())):
                await context.abort(grpc.StatusCode.PERMISSION_DENIED, "not now")
            return ExportTraceServiceResponse()

    server = grpc.aio.server()
    add_TraceServiceServicer_to_server(Servicer(), server)  # pyright: ignore[reportArgumentType]
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    kept.endpoint = f"http://127.0.0.1:{port}"
    try:
        yield kept
    finally:
        await server.stop(0)


@asynccontextmanager
async def http_collector() -> AsyncGenerator[Collected]:
    """One that speaks OTLP over HTTP, at `/v1/traces`."""
    kept = Collected()

    async def export(request: Request) -> Response:
        body = await request.body()
        if request.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        if not await kept.take(body, request.headers):
            return Response("not now", 403)
        answer = ExportTraceServiceResponse().SerializeToString()
        return Response(answer, media_type="application/x-protobuf")

    app = Starlette(routes=[Route("/v1/traces", export, methods=["POST"])])
    server = UvicornServer(app, host="127.0.0.1", port=0)
    kept.endpoint = f"http://127.0.0.1:{await server.start()}"
    try:
        yield kept
    finally:
        await server.stop(0.1)


COLLECTORS = {"grpc": grpc_collector, "http/protobuf": http_collector}


def _plain(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_plain(item) for item in value.array_value.values]
    return getattr(value, kind) if kind else None
