"""ArtifactService: descriptions, and the bytes in ranges."""

from typing import Annotated, Any

from fastapi import APIRouter, Header
from starlette.responses import Response

from app.domain.ids import Digest, TaskId
from app.service.artifacts import CHUNK_BYTES
from rest_api.artifact_content import ArtifactContent, content_headers, entity_tag, requested_range
from rest_api.negotiation import already_known
from rest_api.routing import Agents, Call, ExchangeOf, OperationRoute
from rest_api.schemas.artifacts import ArtifactOut, GetArtifactOut, ListArtifactsOut

router = APIRouter(route_class=OperationRoute, tags=["artifacts"])

_BYTES: dict[str, Any] = {"*/*": {"schema": {"type": "string", "format": "binary"}}}
"""Of the media type that the artifact was made with."""


@router.get("/v1/tasks/{task_id:id}/artifacts", operation_id="listArtifacts")
async def list_artifacts(task_id: str, call: Call, agents: Agents) -> ListArtifactsOut:
    """What a task made, in the order it was made."""
    found = await agents.artifacts.of_task(call, TaskId(task_id))
    return ListArtifactsOut(artifacts=ArtifactOut.list_of(artifact.ref for artifact in found))


@router.get("/v1/artifacts/{digest}", operation_id="getArtifact")
async def get_artifact(digest: str, call: Call, agents: Agents) -> GetArtifactOut:
    """One artifact's description."""
    return GetArtifactOut.from_domain(await agents.artifacts.get(call, Digest(digest)))


@router.get(
    "/v1/artifacts/{digest}/content",
    operation_id="readArtifact",
    response_model=None,
    responses={
        200: {"description": "All bytes.", "content": _BYTES},
        206: {"description": "The bytes of `Range`.", "content": _BYTES},
        304: {"description": "The client has them: bytes under a digest never change."},
        416: {"description": "`Range` begins beyond the end."},
    },
)
async def read_artifact(
    digest: str,
    call: Call,
    agents: Agents,
    exchange: ExchangeOf,
    range_: Annotated[str | None, Header(alias="Range")] = None,
) -> Response:
    """An artifact's bytes. `Range` takes one range of bytes; HEAD tells size and type."""
    artifact = await agents.artifacts.get(call, Digest(digest))
    ref, headers = artifact.ref, exchange.headers
    told = content_headers(ref)
    if already_known(headers.get("if-none-match"), entity_tag(ref)):
        return Response(status_code=304, headers=told)
    part = requested_range(range_, headers.get("if-range"), ref)
    start, length = (0, ref.size_bytes) if part is None else (part.start, len(part))
    first = await agents.artifacts.read(call, ref.digest, offset=start, length=min(CHUNK_BYTES, length))
    return ArtifactContent(agents.artifacts, call, ref, part, first, headers=told)


router.add_api_route(
    "/v1/artifacts/{digest}/content",
    read_artifact,
    methods=["HEAD"],
    operation_id="readArtifact",
    response_model=None,
    include_in_schema=False,
)
