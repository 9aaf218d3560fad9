"""Probes and metrics: served without admission, and without touching the store."""

import asyncio

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from app.service.readiness import Report
from rest_api.routing import Agents, OperationRoute, answer
from rest_api.schemas.server import LiveOut, ReadyOut

router = APIRouter(route_class=OperationRoute, tags=["health"])


@router.get("/healthz/live", operation_id="live")
async def live() -> LiveOut:
    """The process runs and its event loop turns."""
    return LiveOut()


@router.get(
    "/healthz/ready",
    operation_id="ready",
    response_model=ReadyOut,
    responses={503: {"model": ReadyOut, "description": "Send calls elsewhere; `failing` says why."}},
)
async def ready(agents: Agents, request: Request) -> Response:
    """Whether calls should be sent here, as the last look at what the process needs found it."""
    report: Report = request.app.rest_options.readiness()
    told = ReadyOut.from_report(report, draining=agents.tasks.draining)
    return answer(told, 200 if told.status in ("ok", "degraded") else 503)


@router.get(
    "/metrics",
    operation_id="metrics",
    response_model=None,
    responses={
        200: {
            "description": "Prometheus text format, or OpenMetrics (with exemplars) for who accepts it.",
            "content": {
                "text/plain": {"schema": {"type": "string"}},
                "application/openmetrics-text": {"schema": {"type": "string"}},
            },
        }
    },
)
async def metrics(request: Request) -> Response:
    """What this process counted."""
    # In a thread: thousands of lines take longer than a call should wait for the event loop.
    body, content_type = await asyncio.to_thread(
        request.app.metrics.exposition, request.headers.get("accept", "")
    )
    return Response(body, headers={"Content-Type": content_type})
