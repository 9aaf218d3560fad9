"""Budgets."""

from app.domain.budgets import Budget, Measure
from grpc_service.gen.agentgateway.v1 import budget_service_pb2 as pb
from grpc_service.native.mapping.values import timestamp_to_proto


def budget_to_proto(budget: Budget) -> pb.Budget:
    """The tenant's day, for the tenant."""
    return pb.Budget(
        tokens=_measure(budget, "tokens"),
        micro_usd=_measure(budget, "micro_usd"),
        steps=_measure(budget, "steps"),
        reset_time=timestamp_to_proto(budget.resets_at),
    )


def _measure(budget: Budget, measure: Measure) -> pb.BudgetMeasure:
    return pb.BudgetMeasure(
        limit=budget.limits.of(measure),
        used=budget.usage.used.of(measure),
        reserved=budget.usage.reserved.of(measure),
    )
