"""What a tenant may use in a day (UTC): limits, what is used, what is held for what is on its way.

Pure rules. A task counts up from 0 as long as it lives; what it tells are its counters so far, never
differences. So telling twice charges once, and what an owner that died did not tell is charged when
the next one does.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal, get_args

from app.domain.errors import BudgetExceededError, StaleOwnerError
from app.domain.identity import TenantId
from app.domain.ids import TaskId
from app.domain.quotas import Quota, QuotaUnit
from app.domain.tasks import Statistics

Measure = Literal["tokens", "micro_usd", "steps"]
MEASURES: tuple[Measure, ...] = get_args(Measure)
MICRO = 1_000_000
DAY_S = 86_400.0
MAX_LIMIT = 10**15
"""Of any measure: sums stay far below 2^63, and are exact in JSON."""
UNLIMITED = -1
"""In an override: no limit, whatever the settings say."""
BATCH_SHARE = 8
"""What is wanted beyond what is needed gets at most this part of what is left: near the limit, nothing."""

_UNITS: Mapping[Measure, QuotaUnit] = {"tokens": "tokens", "micro_usd": "micro-usd", "steps": "steps"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """Input and output tokens together, millionths of a US dollar, sandbox steps."""

    tokens: int = 0
    micro_usd: int = 0
    steps: int = 0

    def __add__(self, other: "Amount") -> "Amount":
        return Amount(
            tokens=self.tokens + other.tokens,
            micro_usd=self.micro_usd + other.micro_usd,
            steps=self.steps + other.steps,
        )

    def beyond(self, other: "Amount") -> "Amount":
        """What this has more than `other`, in each measure; never less than nothing."""
        return Amount(
            tokens=max(0, self.tokens - other.tokens),
            micro_usd=max(0, self.micro_usd - other.micro_usd),
            steps=max(0, self.steps - other.steps),
        )

    def most(self, other: "Amount") -> "Amount":
        """The larger of both, in each measure."""
        return self + other.beyond(self)

    def of(self, measure: Measure) -> int:
        """One of the three."""
        return getattr(self, measure)


NOTHING = Amount()


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetLimits:
    """What a tenant may use in a day; None is unlimited. In an override: None inherits, `UNLIMITED` is."""

    tokens: int | None = None
    micro_usd: int | None = None
    steps: int | None = None

    def of(self, measure: Measure) -> int | None:
        """One of the three."""
        return getattr(self, measure)

    @property
    def limited(self) -> bool:
        """Whether there is any limit."""
        return any(self.of(measure) is not None for measure in MEASURES)

    def overridden(self, over: "BudgetLimits | None") -> "BudgetLimits":
        """These limits, with those of `over` that say something."""
        if over is None:
            return self
        given = {f.name: value for f in fields(over) if (value := getattr(over, f.name)) is not None}
        return replace(self, **{name: None if v == UNLIMITED else v for name, v in given.items()})


@dataclass(frozen=True, slots=True, kw_only=True)
class DayUsage:
    """One day of a tenant: what was used for certain, and what is held for what is on its way."""

    used: Amount = NOTHING
    reserved: Amount = NOTHING

    @property
    def spoken_for(self) -> Amount:
        """Both together: what nobody else can have."""
        return self.used + self.reserved


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """A tenant's day as it stands."""

    tenant: TenantId
    day: date
    limits: BudgetLimits
    usage: DayUsage = DayUsage()

    @property
    def resets_at(self) -> datetime:
        """When the next day begins."""
        return end_of(self.day)

    def left(self, measure: Measure) -> int | None:
        """What can still be had; None where there is no limit."""
        limit = self.limits.of(measure)
        return None if limit is None else max(0, limit - self.usage.spoken_for.of(measure))

    def quotas(self, at: datetime) -> tuple[Quota, ...]:
        """The limits as callers see them, the tightest first."""
        reset_s = max(0.0, (self.resets_at - at).total_seconds())
        told = [
            Quota(
                policy=f"tenant-day-{_UNITS[measure]}",
                limit=limit,
                remaining=left,
                window_s=DAY_S,
                reset_s=reset_s,
                retry_s=0.0 if left else reset_s,
                unit=_UNITS[measure],
                subject="tenant",
            )
            for measure in MEASURES
            if (limit := self.limits.of(measure)) is not None and (left := self.left(measure)) is not None
        ]
        return tuple(sorted(told, key=lambda quota: quota.remaining / max(1, quota.limit)))

    def used_up(self) -> Measure | None:
        """A measure of which all is used for certain; what is held may come back, so it does not count."""
        for measure in MEASURES:
            limit = self.limits.of(measure)
            if limit is not None and self.usage.used.of(measure) >= limit:
                return measure
        return None

    def too_little_for(self, needed: Amount) -> Measure | None:
        """A measure of which less is left than needed."""
        for measure in MEASURES:
            left = self.left(measure)
            if left is not None and left < needed.of(measure):
                return measure
        return None

    def exceeded(self, measure: Measure, at: datetime) -> BudgetExceededError:
        """The error that says which limit it was, and when there is a new one."""
        unit, limit, left = _UNITS[measure], self.limits.of(measure), self.left(measure)
        wait = max(timedelta(0), self.resets_at - at)
        told = [
            replace(quota, retry_s=wait.total_seconds()) if quota.unit == unit else quota
            for quota in self.quotas(at)
        ]
        return BudgetExceededError(
            f"of the day's budget of {limit} {unit} too little is left ({left}) until "
            f"{self.resets_at:%Y-%m-%d %H:%M} UTC",
            quotas=sorted(told, key=lambda quota: quota.unit != unit),
            retry_after=wait,
            budget=unit,
            limit=limit or 0,
            remaining=left or 0,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What one task has told and holds, as stored. `counted` are its counters when it last told."""

    task_id: TaskId
    tenant: TenantId
    epoch: int
    day: date
    counted: Amount = NOTHING
    held: Amount = NOTHING


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A task tells its counters and asks to hold something, instead of whatever it held before.

    `base` are its counters when this owner (`epoch`) claimed it. At least `needed` is asked for, and
    `wanted` where there is plenty. To hold nothing is to settle.
    """

    task_id: TaskId
    tenant: TenantId
    epoch: int
    base: Amount
    counted: Amount
    limits: BudgetLimits
    at: datetime
    needed: Amount = NOTHING
    wanted: Amount = NOTHING


@dataclass(frozen=True, slots=True, kw_only=True)
class Spend:
    """What is used at once, and by no task: an action in a sandbox that somebody opened himself."""

    tenant: TenantId
    amount: Amount
    limits: BudgetLimits
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchanged:
    """What came of it. When it was refused nothing is held, and what was used is charged all the same."""

    account: Account
    usage: Mapping[date, DayUsage]
    refused: BudgetExceededError | None = None


def exchanged(ask: Exchange, account: Account | None, usage: Mapping[date, DayUsage]) -> Exchanged:
    """Charge what was used since, give back what was held, hold what is asked for.

    `usage` has the days concerned (`days_of`); what is absent is unused. Raises StaleOwnerError when
    the account belongs to a later owner.
    """
    if account is not None and account.epoch > ask.epoch:
        raise StaleOwnerError(
            f"task {ask.task_id} has another owner now", task_id=ask.task_id, epoch=account.epoch
        )
    after, today = dict(usage), day_of(ask.at)
    before = after.get(account.day if account else today, DayUsage())
    after[account.day if account else today] = DayUsage(
        used=before.used + _charge(ask, account),
        reserved=before.reserved.beyond(account.held if account else NOTHING),
    )
    day = after.get(today, DayUsage())
    budget = Budget(tenant=ask.tenant, day=today, limits=ask.limits, usage=day)
    short = budget.too_little_for(ask.needed)
    held = NOTHING if short else _granted(budget, ask)
    after[today] = replace(day, reserved=day.reserved + held)
    kept = Account(
        task_id=ask.task_id,
        tenant=ask.tenant,
        epoch=ask.epoch,
        day=today,
        counted=ask.counted,
        held=held,
    )
    return Exchanged(account=kept, usage=after, refused=budget.exceeded(short, ask.at) if short else None)


def spent(ask: Spend, usage: DayUsage) -> DayUsage:
    """The day with the amount charged. Raises BudgetExceededError."""
    budget = Budget(tenant=ask.tenant, day=day_of(ask.at), limits=ask.limits, usage=usage)
    if (short := budget.too_little_for(ask.amount)) is not None:
        raise budget.exceeded(short, ask.at)
    return replace(usage, used=usage.used + ask.amount)


def abandoned(account: Account, counters: Amount, usage: DayUsage) -> tuple[Account, DayUsage]:
    """An account whose task runs no more: charge what the task committed, give back the rest.

    `counters` are the task's as last committed, `usage` is the day of the account.
    """
    settled = DayUsage(
        used=usage.used + counters.beyond(account.counted),
        reserved=usage.reserved.beyond(account.held),
    )
    return replace(account, held=NOTHING, counted=account.counted.most(counters)), settled


def days_of(ask: Exchange, account: Account | None) -> set[date]:
    """The days that an exchange reads and writes."""
    return {day_of(ask.at)} | ({account.day} if account else set())


def day_of(at: datetime) -> date:
    """The day (UTC) of a moment."""
    return at.astimezone(UTC).date()


def end_of(day: date) -> datetime:
    """The first moment of the next day."""
    return datetime.combine(day + timedelta(days=1), time(), UTC)


def micro_usd(dollars: float | None) -> int:
    """Dollars in millionths; an unknown price is nothing."""
    return 0 if dollars is None else round(dollars * MICRO)


def counters_of(statistics: Statistics) -> Amount:
    """A task's counters, as budgets count them."""
    return Amount(
        tokens=statistics.input_tokens + statistics.output_tokens,
        micro_usd=micro_usd(statistics.cost_usd),
        steps=statistics.steps,
    )


def _charge(ask: Exchange, account: Account | None) -> Amount:
    if account is None:
        return ask.counted.beyond(ask.base)
    if account.epoch == ask.epoch:
        return ask.counted.beyond(account.counted)
    # An owner before this one committed more than it told; then this one counts on from its claim.
    return ask.base.beyond(account.counted) + ask.counted.beyond(ask.base)


def _granted(budget: Budget, ask: Exchange) -> Amount:
    def part(measure: Measure) -> int:
        needed, wanted, left = ask.needed.of(measure), ask.wanted.of(measure), budget.left(measure)
        return max(needed, wanted if left is None else min(wanted, left // BATCH_SHARE))

    return Amount(tokens=part("tokens"), micro_usd=part("micro_usd"), steps=part("steps"))
