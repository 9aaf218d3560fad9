"""SandboxService: sandboxes that callers open and drive themselves."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from app.domain.ids import SandboxId
from app.domain.sandboxes import Action
from rest_api.disconnect import until_gone
from rest_api.routing import Agents, Call, OperationRoute, answer
from rest_api.schemas.artifacts import ArtifactOut
from rest_api.schemas.base import PageQuery
from rest_api.schemas.sandboxes import (
    ActInSandboxIn,
    CaptureScreenshotOut,
    CreateSandboxIn,
    ListSandboxesOut,
    ListSandboxKindsOut,
    SandboxKindOut,
    SandboxOut,
    StepResultOut,
)

router = APIRouter(route_class=OperationRoute, tags=["sandboxes"])


@router.get("/v1/sandboxes/kinds", operation_id="listSandboxKinds")
async def list_sandbox_kinds(call: Call, agents: Agents) -> ListSandboxKindsOut:
    """Every kind, whether it works here and, if not, how to make it work."""
    kinds = await agents.sandboxes.kinds(call)
    return ListSandboxKindsOut(kinds=[SandboxKindOut.from_domain(kind) for kind in kinds])


@router.post("/v1/sandboxes", operation_id="createSandbox", status_code=201, response_model=SandboxOut)
async def create_sandbox(body: CreateSandboxIn, call: Call, agents: Agents) -> Response:
    """Open a sandbox."""
    sandbox = await agents.sandboxes.create(call, kind=body.kind, max_life_s=body.max_life_s)
    return answer(SandboxOut.from_domain(sandbox), 201, {"Location": f"/v1/sandboxes/{sandbox.id}"})


@router.get("/v1/sandboxes", operation_id="listSandboxes")
async def list_sandboxes(
    query: Annotated[PageQuery, Query()], call: Call, agents: Agents
) -> ListSandboxesOut:
    """The sandboxes, newest first."""
    page = await agents.sandboxes.page(call, size=query.page_size, cursor=query.cursor)
    return ListSandboxesOut(
        sandboxes=[SandboxOut.from_domain(item) for item in page.items], next_cursor=page.next_cursor
    )


@router.get("/v1/sandboxes/{sandbox_id:id}", operation_id="getSandbox")
async def get_sandbox(sandbox_id: str, call: Call, agents: Agents) -> SandboxOut:
    """One sandbox."""
    return SandboxOut.from_domain(await agents.sandboxes.get(call, SandboxId(sandbox_id)))


@router.post("/v1/sandboxes/{sandbox_id:id}:act", operation_id="actInSandbox")
async def act_in_sandbox(
    sandbox_id: str, body: ActInSandboxIn, call: Call, agents: Agents, request: Request
) -> StepResultOut:
    """Carry out one canonical action. It is stopped when the client leaves."""
    action = Action(type=body.action, arguments=body.arguments or {})
    work = agents.sandboxes.act(call, SandboxId(sandbox_id), action)
    return StepResultOut.from_domain(await until_gone(request.receive, work))


@router.post("/v1/sandboxes/{sandbox_id:id}:screenshot", operation_id="captureScreenshot")
async def capture_screenshot(
    sandbox_id: str, call: Call, agents: Agents, request: Request
) -> CaptureScreenshotOut:
    """Take a screenshot and keep it as an artifact."""
    work = agents.sandboxes.screenshot(call, SandboxId(sandbox_id))
    return CaptureScreenshotOut(screenshot=ArtifactOut.from_domain(await until_gone(request.receive, work)))


@router.delete("/v1/sandboxes/{sandbox_id:id}", operation_id="deleteSandbox", status_code=204)
async def delete_sandbox(sandbox_id: str, call: Call, agents: Agents) -> None:
    """Close it and remove its files."""
    await agents.sandboxes.delete(call, SandboxId(sandbox_id))
