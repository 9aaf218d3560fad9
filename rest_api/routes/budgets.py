"""BudgetService."""

from fastapi import APIRouter

from rest_api.routing import Agents, Call, OperationRoute
from rest_api.schemas.budgets import BudgetOut

router = APIRouter(route_class=OperationRoute, tags=["budgets"])


@router.get("/v1/budget", operation_id="getBudget")
async def get_budget(call: Call, agents: Agents) -> BudgetOut:
    """What the caller's tenant may use today (UTC), and how it stands. The operator sets it."""
    return BudgetOut.from_domain(await agents.budgets.get(call))
