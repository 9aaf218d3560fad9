"""The baseline of REST: FastAPI on uvicorn, httptools and uvloop, a model in and out, no more."""

import asyncio
import sys

import uvicorn
import uvloop
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI(openapi_url=None)


class Echo(BaseModel):
    """About as many fields as an answer of ours."""

    id: str
    state: str
    created: str
    count: int
    running: float
    final: bool
    labels: dict[str, str]
    text: str


@app.post("/echo")
async def echo(body: Echo) -> Echo:
    """Model in, model out."""
    return body


@app.get("/echo/{size}")
async def answer(size: int) -> Echo:
    """Model out only, as in a GET of ours."""
    return Echo(
        id="task_1", state="ok", created="now", count=1, running=0.1, final=True, labels={}, text="x" * size
    )


async def serve() -> None:
    """Serve until SIGTERM."""
    server = uvicorn.Server(
        uvicorn.Config(app, port=0, http="httptools", lifespan="off", access_log=False, log_level="warning")
    )
    async with asyncio.TaskGroup() as group:
        group.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        print(f"http://127.0.0.1:{port}", file=sys.stderr)


if __name__ == "__main__":
    uvloop.run(serve())
