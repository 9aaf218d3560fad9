"""ToolService: see what tools there are, and call one outside any task."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request

from app.domain.ids import SandboxId
from rest_api.disconnect import until_gone
from rest_api.routing import Agents, Call, OperationRoute
from rest_api.schemas.tools import ExecuteToolIn, ExecuteToolOut, ListToolsOut, ToolOut, ToolsQuery

router = APIRouter(route_class=OperationRoute, tags=["tools"])


@router.get("/v1/tools", operation_id="listTools")
async def list_tools(query: Annotated[ToolsQuery, Query()], call: Call, agents: Agents) -> ListToolsOut:
    """The tools, by name."""
    tools = await agents.tools.list(
        call,
        category=query.category or None,
        tag=query.tag or None,
        available_only=query.available_only,
    )
    return ListToolsOut(tools=[ToolOut.from_domain(tool) for tool in tools])


@router.get("/v1/tools/{name:id}", operation_id="getTool")
async def get_tool(name: str, call: Call, agents: Agents) -> ToolOut:
    """One tool, with the schema of its arguments."""
    return ToolOut.from_domain(await agents.tools.get(call, name))


@router.post("/v1/tools/{name}:execute", operation_id="executeTool")
async def execute_tool(
    name: str, body: ExecuteToolIn, call: Call, agents: Agents, request: Request
) -> ExecuteToolOut:
    """Call a tool directly. It is stopped when the client leaves."""
    sandbox_id = SandboxId(body.sandbox_id) if body.sandbox_id else None
    work = agents.tools.execute(call, name, body.arguments or {}, sandbox_id=sandbox_id)
    return ExecuteToolOut.from_domain(await until_gone(request.receive, work))
