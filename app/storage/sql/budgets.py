"""`BudgetStore` for both makes.

Rows are locked class by class (days that are today's, accounts, other days) and by key within each,
so replicas wait for each other but never in a circle; midnight between two clocks is a conflict that
is tried again.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from app.domain import budgets as rules
from app.domain.budgets import MEASURES, Account, Amount, BudgetLimits, DayUsage, Exchange, Spend
from app.domain.errors import DomainError
from app.domain.identity import TenantId
from app.domain.ids import TaskId
from app.storage.codec import to_us
from app.storage.schema import budget_accounts, budget_days, budgets, budgets_held, tasks
from app.storage.sql.database import Database, Row
from app.storage.sql.gathering import Gathering
from app.storage.sql.rows import task_of

DAY_ZERO = date(1970, 1, 1)

Asked = Exchange | Spend
DayKey = tuple[TenantId, date]
Told = Account | None | Exception


class SqlBudgetStore:
    """See `BudgetStore`. Those who ask at once share a transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._asking = Gathering[Asked, Account | None](self._commit)

    async def exchange(self, ask: Exchange) -> Account:
        """See `BudgetStore`."""
        account = await self._asking.hand_in(ask)
        assert account is not None  # noqa: S101 - an exchange is answered with its account
        return account

    async def spend(self, ask: Spend) -> None:
        """See `BudgetStore`. It names no task, so what is repeated after a cancellation counts again."""
        await self._asking.hand_in(ask)

    async def usage(self, tenant: TenantId, day: date) -> DayUsage:
        """See `BudgetStore`."""
        query = _days([(tenant, day)])
        row = await self._database.read(lambda db: db.execute(query).first())
        return DayUsage() if row is None else _usage_of(row)

    async def settle_abandoned(self, *, limit: int) -> int:
        """See `BudgetStore`."""
        return await self._database.write(lambda db: _settle_abandoned(db, limit))

    async def forget(self, before: date) -> None:
        """See `BudgetStore`."""
        day = _number(before)

        def forget(db: sa.Connection) -> None:
            db.execute(sa.delete(budget_days).where(budget_days.c.day < day))
            db.execute(sa.delete(budget_accounts).where(budget_accounts.c.day < day, sa.not_(budgets_held)))

        await self._database.write(forget)

    async def overrides(self) -> Mapping[TenantId, BudgetLimits]:
        """See `BudgetStore`."""
        rows = await self._database.read(lambda db: db.execute(sa.select(budgets)).all())
        return {
            TenantId(row.tenant): BudgetLimits(tokens=row.tokens, micro_usd=row.micro_usd, steps=row.steps)
            for row in rows
        }

    async def override(self, tenant: TenantId, limits: BudgetLimits, at: datetime) -> None:
        """See `BudgetStore`."""
        values = {measure: limits.of(measure) for measure in MEASURES} | {"updated_at": to_us(at)}

        def put(db: sa.Connection) -> None:
            if db.execute(sa.update(budgets).where(budgets.c.tenant == tenant).values(values)).rowcount == 0:
                db.execute(sa.insert(budgets).values(tenant=tenant, **values))

        await self._database.write(put)

    async def clear_override(self, tenant: TenantId) -> bool:
        """See `BudgetStore`."""
        delete = sa.delete(budgets).where(budgets.c.tenant == tenant)
        return await self._database.write(lambda db: db.execute(delete).rowcount > 0)

    async def _commit(self, asks: Sequence[Asked]) -> Sequence[Told]:
        return await self._database.write(lambda db: _settle(db, asks))


class _Ledger:
    """The rows that a transaction stands on, and those it changed."""

    def __init__(self, db: sa.Connection) -> None:
        self._db = db
        self.days: dict[DayKey, DayUsage] = {}
        self.accounts: dict[TaskId, Account] = {}
        self._changed_days: set[DayKey] = set()
        self._changed_accounts: set[TaskId] = set()

    def lock_days(self, keys: Iterable[DayKey]) -> None:
        """Read these days and keep others from changing them; days that are not there are made."""
        wanted = sorted(set(keys) - self.days.keys())
        if not wanted:
            return
        found = self._read_days(wanted)
        if missing := [key for key in wanted if key not in found]:
            nothing = _columns("used", rules.NOTHING) | _columns("reserved", rules.NOTHING)
            rows = [{"tenant": tenant, "day": _number(day), **nothing} for tenant, day in missing]
            self._db.execute(_insert(self._db, budget_days).on_conflict_do_nothing(), rows)
            found = self._read_days(wanted)
        self.days |= found

    def lock_accounts(self, task_ids: Iterable[TaskId]) -> None:
        """Read these accounts, and keep others from changing them."""
        wanted = sorted(set(task_ids))
        if wanted:
            query = sa.select(budget_accounts).where(budget_accounts.c.task_id.in_(wanted))
            query = query.order_by(budget_accounts.c.task_id).with_for_update()
            self.accounts |= {TaskId(row.task_id): _account_of(row) for row in self._db.execute(query)}

    def put(self, account: Account, usage: Mapping[date, DayUsage]) -> None:
        """Keep an account and the days it stands in."""
        self.accounts[account.task_id] = account
        self._changed_accounts.add(account.task_id)
        for day, used in usage.items():
            self.put_day((account.tenant, day), used)

    def put_day(self, key: DayKey, usage: DayUsage) -> None:
        """Keep a day."""
        if self.days.get(key) != usage:
            self.days[key] = usage
            self._changed_days.add(key)

    def write(self) -> None:
        """Write what changed."""
        if self._changed_accounts:
            insert = _insert(self._db, budget_accounts)
            update = {
                column.name: insert.excluded[column.name]
                for column in budget_accounts.columns
                if column.name != "task_id"
            }
            rows = [_account_row(self.accounts[key]) for key in sorted(self._changed_accounts)]
            self._db.execute(insert.on_conflict_do_update(index_elements=["task_id"], set_=update), rows)
        if self._changed_days:
            self._db.execute(
                _UPDATE_DAY, [_day_row(key, self.days[key]) for key in sorted(self._changed_days)]
            )

    def _read_days(self, keys: Sequence[DayKey]) -> dict[DayKey, DayUsage]:
        rows = self._db.execute(_days(keys).with_for_update())
        return {(TenantId(row.tenant), _date(row.day)): _usage_of(row) for row in rows}


def _settle(db: sa.Connection, asks: Sequence[Asked]) -> list[Told]:
    ledger = _Ledger(db)
    ledger.lock_days((ask.tenant, rules.day_of(ask.at)) for ask in asks)
    ledger.lock_accounts(ask.task_id for ask in asks if isinstance(ask, Exchange))
    ledger.lock_days((account.tenant, account.day) for account in ledger.accounts.values())
    told: list[Told] = []
    for ask in asks:
        try:
            told.append(_exchange(ledger, ask) if isinstance(ask, Exchange) else _spend(ledger, ask))
        except DomainError as error:
            told.append(error)
    ledger.write()
    return told


def _exchange(ledger: _Ledger, ask: Exchange) -> Told:
    account = ledger.accounts.get(ask.task_id)
    days = {day: ledger.days[ask.tenant, day] for day in rules.days_of(ask, account)}
    after = rules.exchanged(ask, account, days)
    ledger.put(after.account, after.usage)
    return after.refused or after.account


def _spend(ledger: _Ledger, ask: Spend) -> None:
    key = (ask.tenant, rules.day_of(ask.at))
    ledger.put_day(key, rules.spent(ask, ledger.days[key]))


def _settle_abandoned(db: sa.Connection, limit: int) -> int:
    gone = (
        sa.select(budget_accounts.c.task_id, budget_accounts.c.tenant, budget_accounts.c.day)
        .join(tasks, tasks.c.id == budget_accounts.c.task_id, isouter=True)
        .where(budgets_held, sa.or_(tasks.c.id.is_(None), tasks.c.state != "running"))
        .order_by(budget_accounts.c.task_id)
        .limit(limit)
    )
    found = db.execute(gone).all()
    if not found:
        return 0
    ledger = _Ledger(db)
    ledger.lock_days((TenantId(row.tenant), _date(row.day)) for row in found)
    ledger.lock_accounts(TaskId(row.task_id) for row in found)
    ledger.lock_days((account.tenant, account.day) for account in ledger.accounts.values())
    # Read again under the lock: an owner may have taken it up, or settled it, in between.
    rows = sa.select(tasks.c.spec, tasks.c.body).where(tasks.c.id.in_(list(ledger.accounts)))
    known = {task.id: task for task in map(task_of, db.execute(rows))}
    settled = 0
    for account in list(ledger.accounts.values()):
        task = known.get(account.task_id)
        if account.held == rules.NOTHING or (task is not None and task.state == "running"):
            continue
        counters = account.counted if task is None else rules.counters_of(task.statistics)
        kept, usage = rules.abandoned(account, counters, ledger.days[account.tenant, account.day])
        ledger.put(kept, {kept.day: usage})
        settled += 1
    ledger.write()
    return settled


_UPDATE_DAY = (
    sa.update(budget_days)
    .where(budget_days.c.tenant == sa.bindparam("key_tenant"), budget_days.c.day == sa.bindparam("key_day"))
    .values(
        {
            f"{name}_{measure}": sa.bindparam(f"{name}_{measure}")
            for name in ("used", "reserved")
            for measure in MEASURES
        }
    )
)


def _days(keys: Sequence[DayKey]) -> "sa.Select[Any]":
    pairs = sa.tuple_(budget_days.c.tenant, budget_days.c.day)
    wanted = [(tenant, _number(day)) for tenant, day in keys]
    query = sa.select(budget_days).where(pairs.in_(wanted))
    return query.order_by(budget_days.c.tenant, budget_days.c.day)


def _insert(db: sa.Connection, table: sa.Table) -> "postgresql.Insert | sqlite.Insert":
    return postgresql.insert(table) if db.dialect.name == "postgresql" else sqlite.insert(table)


def _columns(name: str, amount: Amount) -> dict[str, int]:
    return {f"{name}_{measure}": amount.of(measure) for measure in MEASURES}


def _amount(row: Row, name: str) -> Amount:
    return Amount(**{measure: getattr(row, f"{name}_{measure}") for measure in MEASURES})


def _usage_of(row: Row) -> DayUsage:
    return DayUsage(used=_amount(row, "used"), reserved=_amount(row, "reserved"))


def _day_row(key: DayKey, usage: DayUsage) -> dict[str, Any]:
    named = {"key_tenant": key[0], "key_day": _number(key[1])}
    return named | _columns("used", usage.used) | _columns("reserved", usage.reserved)


def _account_of(row: Row) -> Account:
    return Account(
        task_id=TaskId(row.task_id),
        tenant=TenantId(row.tenant),
        epoch=row.epoch,
        day=_date(row.day),
        counted=_amount(row, "counted"),
        held=_amount(row, "held"),
    )


def _account_row(account: Account) -> dict[str, Any]:
    plain = {"task_id": account.task_id, "tenant": account.tenant, "epoch": account.epoch}
    day = {"day": _number(account.day)}
    return plain | day | _columns("counted", account.counted) | _columns("held", account.held)


def _number(day: date) -> int:
    return (day - DAY_ZERO).days


def _date(number: int) -> date:
    return DAY_ZERO + timedelta(days=number)
