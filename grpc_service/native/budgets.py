"""`BudgetService`."""

from app.service.agent_service import AgentService
from grpc_service.errors import RpcContext
from grpc_service.gen.agentgateway.v1 import budget_service_pb2 as pb
from grpc_service.interceptors.calls import call_from
from grpc_service.native.mapping.budgets import budget_to_proto


class BudgetServicer:
    """agentgateway.v1.BudgetService over AgentService."""

    def __init__(self, agents: AgentService) -> None:
        self._agents = agents

    async def GetBudget(self, request: pb.GetBudgetRequest, context: RpcContext) -> pb.GetBudgetResponse:
        del request
        budget = await self._agents.budgets.get(call_from(context))
        return pb.GetBudgetResponse(budget=budget_to_proto(budget))
