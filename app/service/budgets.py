"""Use cases of budgets: callers look at theirs, the operator sets them (`agent-gateway budgets`)."""

from app.domain.budgets import Budget
from app.domain.call import CallContext
from app.policy.budgets import Budgets


class BudgetUseCases:
    """A tenant's budget of the day."""

    def __init__(self, budgets: Budgets) -> None:
        self._budgets = budgets

    async def get(self, call: CallContext) -> Budget:
        """The caller's tenant's, as it stands. Raises StorageUnavailableError."""
        return await self._budgets.state(call.tenant)
