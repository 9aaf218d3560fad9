"""ServerService and ModelService: what this process is, and the models it can use."""

from fastapi import APIRouter

from rest_api.routing import Agents, Call, OperationRoute
from rest_api.schemas.server import ListModelsOut, ModelOut, ServerInfoOut

router = APIRouter(route_class=OperationRoute, tags=["server"])


@router.get("/v1/server", operation_id="getServerInfo")
async def get_server_info(call: Call, agents: Agents) -> ServerInfoOut:
    """Name, version, storage, bounds and load."""
    return ServerInfoOut.from_domain(await agents.server.info(call))


@router.get("/v1/models", operation_id="listModels")
async def list_models(call: Call, agents: Agents) -> ListModelsOut:
    """The models that tasks may name, and why one is not available."""
    models, default = await agents.models.list(call)
    return ListModelsOut(models=[ModelOut.from_domain(model) for model in models], default_model=default)
