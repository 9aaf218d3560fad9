"""Probes and metrics: served without admission, and without touching the store."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from rest_api.routing import Agents, OperationRoute, answer
from rest_api.schemas.server import HealthOut

router = APIRouter(route_class=OperationRoute, tags=["health"])


@router.get("/healthz/live", operation_id="live")
async def live() -> HealthOut:
    """The process runs and its event loop turns."""
    return HealthOut(status="ok")


@router.get(
    "/healthz/ready",
    operation_id="ready",
    response_model=HealthOut,
    responses={503: {"model": HealthOut, "description": "Starting or draining: send calls elsewhere."}},
)
async def ready(agents: Agents, request: Request) -> Response:
    """Whether calls should be sent here."""
    if agents.tasks.draining:
        return answer(HealthOut(status="draining"), 503)
    if not request.app.rest_options.ready():
        return answer(HealthOut(status="starting"), 503)
    return answer(HealthOut(status="ok"))


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
    body, content_type = request.app.metrics.exposition(request.headers.get("accept", ""))
    return Response(body, headers={"Content-Type": content_type})
