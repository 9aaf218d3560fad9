"""Budgets as the settings want them, and the store of an operator who sets them beside a running server."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from app.bootstrap.operating import operators_call, operators_database, operators_trail
from app.domain.budgets import Budget, BudgetLimits
from app.domain.identity import TenantId
from app.policy.audit import Act, AuditTrail
from app.policy.budgets import Budgets
from app.settings import Settings
from app.settings.budgets import DayLimits
from app.storage.base_budgets import BudgetStore
from app.storage.sql.budgets import SqlBudgetStore


def _now() -> datetime:
    return datetime.now(UTC)


async def open_budgets(settings: Settings, store: BudgetStore) -> Budgets:
    """With what an operator stored. Raises StorageUnavailableError."""
    wanted = settings.budgets
    budgets = Budgets(
        store,
        default=_limits(wanted.default),
        tenants={TenantId(tenant): _limits(limits) for tenant, limits in wanted.tenants.items()},
        output_allowance=wanted.max_output_tokens,
        now=_now,
    )
    await budgets.refresh()
    return budgets


@dataclass(frozen=True, slots=True)
class OperatorsBudgets:
    """The budgets of all tenants; what is changed is audited."""

    budgets: Budgets
    trail: AuditTrail | None

    async def state(self, tenant: TenantId) -> Budget:
        """See `Budgets.state`."""
        return await self.budgets.state(tenant)

    async def override(self, tenant: TenantId, limits: BudgetLimits) -> None:
        """See `Budgets.override`."""
        await self.budgets.override(tenant, limits)
        await self._note(tenant, "BudgetService/SetBudget")

    async def clear_override(self, tenant: TenantId) -> None:
        """See `Budgets.clear_override`."""
        await self.budgets.clear_override(tenant)
        await self._note(tenant, "BudgetService/ClearBudget")

    async def _note(self, tenant: TenantId, action: str) -> None:
        if self.trail is not None:
            await self.trail.record(operators_call(tenant, action), Act(resource="budget"))


@asynccontextmanager
async def operators_budgets(settings: Settings) -> AsyncGenerator["OperatorsBudgets"]:
    """The budgets, while a server may be running or not. Raises StorageUnavailableError."""
    async with operators_database(settings) as database, operators_trail(settings, database) as trail:
        yield OperatorsBudgets(await open_budgets(settings, SqlBudgetStore(database)), trail)


def _limits(given: DayLimits) -> BudgetLimits:
    return BudgetLimits(tokens=given.tokens, micro_usd=given.micro_usd, steps=given.steps)
