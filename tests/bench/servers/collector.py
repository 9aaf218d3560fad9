"""A collector that takes every span and keeps none: OTLP over HTTP."""

import asyncio
import sys

import uvicorn
import uvloop
from fastapi import FastAPI, Request, Response

app = FastAPI(openapi_url=None)


@app.post("/v1/traces")
async def take(request: Request) -> Response:
    """An empty ExportTraceServiceResponse is no bytes at all."""
    await request.body()
    return Response(media_type="application/x-protobuf")


async def serve() -> None:
    """Serve until SIGTERM."""
    server = uvicorn.Server(
        uvicorn.Config(app, port=0, lifespan="off", access_log=False, log_level="warning")
    )
    async with asyncio.TaskGroup() as group:
        group.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        print(f"http://127.0.0.1:{port}", file=sys.stderr)


if __name__ == "__main__":
    uvloop.run(serve())
