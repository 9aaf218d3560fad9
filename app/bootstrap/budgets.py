"""Budgets as the settings want them, and the store of an operator who sets them beside a running server."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from app.bootstrap.operating import operators_database
from app.domain.budgets import BudgetLimits
from app.domain.identity import TenantId
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


@asynccontextmanager
async def operators_budgets(settings: Settings) -> AsyncGenerator[Budgets]:
    """The budgets, while a server may be running or not. Raises StorageUnavailableError."""
    async with operators_database(settings) as database:
        yield await open_budgets(settings, SqlBudgetStore(database))


def _limits(given: DayLimits) -> BudgetLimits:
    return BudgetLimits(tokens=given.tokens, micro_usd=given.micro_usd, steps=given.steps)
