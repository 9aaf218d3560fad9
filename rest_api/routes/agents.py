"""AgentDefinitionService: instructions, model, tools and limits under a name."""

from typing import Annotated

from fastapi import APIRouter, Header, Query
from starlette.responses import Response

from app.domain.agents import AgentDefinition
from app.domain.ids import AgentId
from rest_api.negotiation import already_known, etag, expected_version
from rest_api.routing import Agents, Call, OperationRoute, answer
from rest_api.schemas.agents import AgentIn, AgentOut, CreateAgentIn, ListAgentsOut
from rest_api.schemas.base import PageQuery

router = APIRouter(route_class=OperationRoute, tags=["agents"])

IfMatch = Annotated[str | None, Header(alias="If-Match")]
IfNoneMatch = Annotated[str | None, Header(alias="If-None-Match")]


@router.post("/v1/agents", operation_id="createAgent", status_code=201, response_model=AgentOut)
async def create_agent(body: CreateAgentIn, call: Call, agents: Agents) -> Response:
    """Define an agent."""
    agent = await agents.agents.create(call, AgentId(body.id), body.to_domain())
    return _answer(agent, 201, {"Location": f"/v1/agents/{agent.id}"})


@router.get("/v1/agents", operation_id="listAgents")
async def list_agents(query: Annotated[PageQuery, Query()], call: Call, agents: Agents) -> ListAgentsOut:
    """The built-in agents first, then the tenant's by id."""
    page = await agents.agents.page(call, size=query.page_size, cursor=query.cursor)
    return ListAgentsOut(
        agents=[AgentOut.from_domain(agent) for agent in page.items], next_cursor=page.next_cursor
    )


@router.get(
    "/v1/agents/{agent_id:id}",
    operation_id="getAgent",
    response_model=AgentOut,
    responses={304: {"description": "It is still the version of `If-None-Match`."}},
)
async def get_agent(agent_id: str, call: Call, agents: Agents, if_none_match: IfNoneMatch = None) -> Response:
    """One agent."""
    agent = await agents.agents.get(call, AgentId(agent_id))
    if already_known(if_none_match, etag(agent.version)):
        return Response(status_code=304, headers={"ETag": etag(agent.version)})
    return _answer(agent)


@router.put("/v1/agents/{agent_id:id}", operation_id="updateAgent", response_model=AgentOut)
async def update_agent(
    agent_id: str, body: AgentIn, call: Call, agents: Agents, if_match: IfMatch = None
) -> Response:
    """Replace an agent. With `If-Match` it must still be that version (412 else)."""
    agent = await agents.agents.update(
        call, AgentId(agent_id), body.to_domain(), expected_version=expected_version(if_match)
    )
    return _answer(agent)


@router.delete("/v1/agents/{agent_id:id}", operation_id="deleteAgent", status_code=204)
async def delete_agent(agent_id: str, call: Call, agents: Agents, if_match: IfMatch = None) -> None:
    """Forget an agent. With `If-Match` it must still be that version (412 else)."""
    await agents.agents.delete(call, AgentId(agent_id), expected_version=expected_version(if_match))


def _answer(agent: AgentDefinition, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return answer(AgentOut.from_domain(agent), status, {"ETag": etag(agent.version), **(headers or {})})
