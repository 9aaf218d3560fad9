"""What every store promises of budgets; see `app.domain.budgets` for the rules it applies."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Protocol

from app.domain.budgets import Account, BudgetLimits, DayUsage, Exchange, Spend
from app.domain.identity import TenantId


class BudgetStore(Protocol):
    """Days, accounts of tasks, and the limits an operator stored.

    Reading, deciding and writing are one transaction, whoever else does the same on any replica: what
    is used and held together never passes a limit by asking. Every write is idempotent.
    """

    async def exchange(self, ask: Exchange) -> Account:
        """Charge what the task used, and hold what it asks for; see `domain.budgets.exchanged`.

        Raises:
            BudgetExceededError: too little is left. What was used is charged, nothing is held.
            StaleOwnerError: the account belongs to a later owner; nothing was changed.
        """
        ...

    async def spend(self, ask: Spend) -> None:
        """Charge at once what no task holds. Raises BudgetExceededError; then nothing is charged."""
        ...

    async def usage(self, tenant: TenantId, day: date) -> DayUsage:
        """A tenant's day as last committed."""
        ...

    async def settle_abandoned(self, *, limit: int) -> int:
        """Settle accounts that hold something for a task that runs no more, at most `limit`.

        Charged is what the task committed beyond what it told; the rest is given back. Returns how many.
        """
        ...

    async def forget(self, before: date) -> None:
        """Drop the days, and the settled accounts, of earlier days."""
        ...

    async def overrides(self) -> Mapping[TenantId, BudgetLimits]:
        """The stored limits of every tenant that has some."""
        ...

    async def override(self, tenant: TenantId, limits: BudgetLimits, at: datetime) -> None:
        """Store limits that win over the settings (see `BudgetLimits.overridden`), in place of others."""
        ...

    async def clear_override(self, tenant: TenantId) -> bool:
        """Back to the settings. Returns whether there were stored limits."""
        ...
