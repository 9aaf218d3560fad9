"""Budgets in force: whose limits are which, and one account for each run of a task.

Where no limit applies nothing asks the store: `limits_of` is a look into a dictionary. Limits that an
operator stores are read again now and then (`look_after`), on every replica.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from app.domain.budgets import (
    NOTHING,
    Amount,
    Budget,
    BudgetLimits,
    Exchange,
    Spend,
    counters_of,
    day_of,
    micro_usd,
)
from app.domain.errors import DomainError, NotConfiguredError
from app.domain.identity import TenantId
from app.domain.tasks import Statistics, Task
from app.storage.base_budgets import BudgetStore

log = logging.getLogger(__name__)
STEP_BATCH = 8
"""Steps that a run holds at a time: so that not each of them asks the store."""
ABANDONED_AT_ONCE = 500
KEPT_DAYS = 7
ONE_STEP = Amount(steps=1)


class Budgets:
    """The budgets of all tenants."""

    def __init__(
        self,
        store: BudgetStore,
        *,
        default: BudgetLimits | None = None,
        tenants: Mapping[TenantId, BudgetLimits] | None = None,
        output_allowance: int = 8_192,
        now: Callable[[], datetime],
    ) -> None:
        """`tenants` win over `default`, measure by measure, and what is stored over both."""
        self.output_allowance = output_allowance
        self.now = now
        self.store = store
        self._default = default or BudgetLimits()
        self._given = dict(tenants or {})
        self._stored: Mapping[TenantId, BudgetLimits] = {}
        self._known: dict[TenantId, BudgetLimits] = {}
        self._forgotten_before = day_of(now()) - timedelta(days=KEPT_DAYS + 1)

    def limits_of(self, tenant: TenantId) -> BudgetLimits | None:
        """The limits in force; None where there are none."""
        return self._known.get(tenant) if tenant in self._known else self._unnamed

    async def refresh(self) -> None:
        """Read what an operator stored. Raises StorageUnavailableError."""
        self._stored = await self.store.overrides()
        self._known = {
            tenant: self._configured(tenant).overridden(self._stored.get(tenant))
            for tenant in {*self._given, *self._stored}
        }

    async def look_after(self) -> None:
        """Now and then: new limits, what dead workers held, old days. Raises StorageUnavailableError."""
        before = self._known
        await self.refresh()
        if before != self._known:
            log.info("the stored budgets have changed")
        if self._default.limited or any(limits.limited for limits in self._known.values()):
            await self.store.settle_abandoned(limit=ABANDONED_AT_ONCE)
            old = day_of(self.now()) - timedelta(days=KEPT_DAYS)
            if old > self._forgotten_before:
                await self.store.forget(old)
                self._forgotten_before = old

    async def override(self, tenant: TenantId, limits: BudgetLimits) -> None:
        """Store limits that win over the settings; those stored that are not named stay. For the operator."""
        stored = (await self.store.overrides()).get(tenant, BudgetLimits())
        kept = BudgetLimits(
            tokens=stored.tokens if limits.tokens is None else limits.tokens,
            micro_usd=stored.micro_usd if limits.micro_usd is None else limits.micro_usd,
            steps=stored.steps if limits.steps is None else limits.steps,
        )
        await self.store.override(tenant, kept, self.now())
        await self.refresh()

    async def clear_override(self, tenant: TenantId) -> None:
        """Back to the settings. For the operator."""
        await self.store.clear_override(tenant)
        await self.refresh()

    async def state(self, tenant: TenantId) -> Budget:
        """The tenant's day as it stands."""
        day = day_of(self.now())
        limits = self.limits_of(tenant) or BudgetLimits()
        return Budget(tenant=tenant, day=day, limits=limits, usage=await self.store.usage(tenant, day))

    async def require_some(self, tenant: TenantId) -> None:
        """Raises BudgetExceededError when all of a budget is used: what starts now could do nothing."""
        limits = self.limits_of(tenant)
        if limits is None or not limits.limited:
            return
        budget = await self.state(tenant)
        if (measure := budget.used_up()) is not None:
            raise budget.exceeded(measure, self.now())

    async def spend_step(self, tenant: TenantId) -> None:
        """Charge one action in a sandbox that belongs to no task. Raises BudgetExceededError."""
        limits = self.limits_of(tenant)
        if limits is not None and limits.steps is not None:
            await self.store.spend(Spend(tenant=tenant, amount=ONE_STEP, limits=limits, at=self.now()))

    def of_run(self, task: Task) -> "RunBudget":
        """The account of the run that claimed this task."""
        return RunBudget(self, task)

    @property
    def _unnamed(self) -> BudgetLimits | None:
        return self._default if self._default.limited else None

    def _configured(self, tenant: TenantId) -> BudgetLimits:
        return self._default.overridden(self._given.get(tenant))


class RunBudget:
    """One run's account. `counted` is always the task's statistics as they stand, never a difference."""

    def __init__(self, budgets: Budgets, task: Task) -> None:
        self._budgets = budgets
        self._task = task
        self._base = counters_of(task.statistics)
        self._told = self._base
        self._held = NOTHING
        self._steps = self._base.steps
        self._batch = 0
        self._lock = asyncio.Lock()

    @property
    def limits(self) -> BudgetLimits | None:
        """The tenant's, as they are now."""
        return self._budgets.limits_of(self._task.tenant)

    @property
    def output_allowance(self) -> int | None:
        """Output tokens of a model call that names no bound itself; None where calls need not be held."""
        return self._budgets.output_allowance if self._counts_calls(self.limits) else None

    async def reserve(self, counted: Statistics, *, tokens: int, cost_usd: float | None) -> None:
        """Hold what a model call can use at most, before it is made.

        Raises BudgetExceededError, NotConfiguredError (a budget of dollars, and nobody knows the price).
        """
        limits = self.limits
        if not self._counts_calls(limits):
            return
        if cost_usd is None and limits is not None and limits.micro_usd is not None:
            raise NotConfiguredError(
                "the tenant has a budget of dollars, but the price of this model is not known",
                budget="micro-usd",
            )
        async with self._lock:
            await self._exchange(counted, Amount(tokens=tokens, micro_usd=micro_usd(cost_usd)))

    async def settle(self, counted: Statistics) -> None:
        """After a model call: charge what it used, give back the rest of what was held."""
        if self._held.tokens or self._held.micro_usd:
            async with self._lock:
                await self._exchange(counted, NOTHING)

    async def step(self, counted: Statistics) -> None:
        """Take one step, before it is made. Raises BudgetExceededError."""
        limits = self.limits
        if limits is None or limits.steps is None:
            self._steps += 1
            return
        async with self._lock:
            if self._batch == 0:
                await self._exchange(counted, ONE_STEP, wanted=Amount(steps=STEP_BATCH))
            self._batch -= 1
            self._steps += 1

    async def close(self, counted: Statistics) -> None:
        """The run is over: charge what it used, give everything back. Idempotent.

        Raises StaleOwnerError, StorageUnavailableError; then the sweep does it.
        """
        if self._held == NOTHING and (not self._limited or self._counters(counted) == self._told):
            return
        async with self._lock:
            self._batch = 0
            await self._exchange(counted, NOTHING)

    @property
    def _limited(self) -> bool:
        limits = self.limits
        return limits is not None and limits.limited

    def _counts_calls(self, limits: BudgetLimits | None) -> bool:
        return limits is not None and (limits.tokens is not None or limits.micro_usd is not None)

    def _counters(self, counted: Statistics) -> Amount:
        plain = counters_of(counted)
        return Amount(tokens=plain.tokens, micro_usd=plain.micro_usd, steps=self._steps)

    async def _exchange(self, counted: Statistics, needed: Amount, *, wanted: Amount | None = None) -> None:
        """Steps that are held and not yet taken stay held, as far as there are some."""
        told = self._counters(counted)
        ask = Exchange(
            task_id=self._task.id,
            tenant=self._task.tenant,
            epoch=self._task.epoch,
            base=self._base,
            counted=told,
            limits=self.limits or BudgetLimits(),
            at=self._budgets.now(),
            needed=needed,
            wanted=wanted or Amount(steps=self._batch),
        )
        try:
            account = await self._budgets.store.exchange(ask)
        except DomainError:
            self._held, self._batch = NOTHING, 0
            raise
        self._told, self._held, self._batch = told, account.held, account.held.steps
