"""Budgets."""

from datetime import datetime

from app.domain.budgets import Budget, Measure
from rest_api.schemas.base import Out


class BudgetMeasureOut(Out):
    """One thing a tenant's day is measured in."""

    limit: int | None = None
    """What may be used in a day; not set: no limit."""
    used: int
    reserved: int
    """Held for model calls and steps that are on their way: it is charged or given back when they end."""


class BudgetOut(Out):
    """What a tenant may use in a day (UTC), and how it stands. Where no limit applies nothing is counted."""

    tokens: BudgetMeasureOut
    """Input and output tokens together."""
    micro_usd: BudgetMeasureOut
    """Millionths of a US dollar."""
    steps: BudgetMeasureOut
    """Actions in sandboxes."""
    reset_time: datetime
    """When the next day begins."""

    @classmethod
    def from_domain(cls, budget: Budget) -> "BudgetOut":
        """The tenant's day, for the tenant."""
        return cls(
            tokens=_measure(budget, "tokens"),
            micro_usd=_measure(budget, "micro_usd"),
            steps=_measure(budget, "steps"),
            reset_time=budget.resets_at,
        )


def _measure(budget: Budget, measure: Measure) -> BudgetMeasureOut:
    return BudgetMeasureOut(
        limit=budget.limits.of(measure),
        used=budget.usage.used.of(measure),
        reserved=budget.usage.reserved.of(measure),
    )
