"""`agent-gateway budgets`: the operator sees and sets what a tenant may use in a day.

Works on the store itself, beside a running server or without one; a server hears of it within seconds.
"""

import json
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from app.bootstrap.budgets import OperatorsBudgets
    from app.domain.budgets import Budget, BudgetLimits

budgets = typer.Typer(help="See and set what tenants may use in a day (UTC).", no_args_is_help=True)

Tenant = Annotated[str, typer.Option(help="Whose budget.")]
Limit = Annotated[str | None, typer.Option(help="A number of the day, or `unlimited`.")]


@budgets.command("show")
def show(
    tenant: Tenant = "default",
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.")] = False,
) -> None:
    """Print the limits in force, what is used, and what is reserved for what runs."""

    async def read(found: "OperatorsBudgets") -> "Budget":
        from app.domain.identity import TenantId

        return await found.state(TenantId(tenant))

    _print(_with_budgets(read), as_json=as_json)


@budgets.command("set")
def set_(
    tenant: Tenant = "default", tokens: Limit = None, micro_usd: Limit = None, steps: Limit = None
) -> None:
    """Store limits that win over the settings. What is not named stays as it is."""
    from app.domain.budgets import BudgetLimits

    given = BudgetLimits(
        tokens=_number("--tokens", tokens),
        micro_usd=_number("--micro-usd", micro_usd),
        steps=_number("--steps", steps),
    )
    if not given.limited:
        raise typer.BadParameter("name at least one of --tokens, --micro-usd, --steps")

    async def store(found: "OperatorsBudgets") -> "Budget":
        from app.domain.identity import TenantId

        await found.override(TenantId(tenant), given)
        return await found.state(TenantId(tenant))

    _print(_with_budgets(store))


@budgets.command("clear")
def clear(tenant: Tenant = "default") -> None:
    """Forget stored limits: those of the settings hold again."""

    async def forget(found: "OperatorsBudgets") -> "Budget":
        from app.domain.identity import TenantId

        await found.clear_override(TenantId(tenant))
        return await found.state(TenantId(tenant))

    _print(_with_budgets(forget))


def _with_budgets(use: "Callable[[OperatorsBudgets], Coroutine[Any, Any, Budget]]") -> "Budget":
    from app import process
    from app.bootstrap.budgets import operators_budgets
    from app.cli import EXIT_UNAVAILABLE, fail, load_settings
    from app.domain.errors import DomainError

    settings = load_settings()

    async def run() -> "Budget":
        async with operators_budgets(settings) as found:
            return await use(found)

    try:
        return process.run(run)
    except (DomainError, OSError) as error:
        fail(str(error), EXIT_UNAVAILABLE)


def _number(option: str, text: str | None) -> int | None:
    from app.domain.budgets import MAX_LIMIT, UNLIMITED

    if text is None:
        return None
    if text == "unlimited":
        return UNLIMITED
    if not (text.isascii() and text.isdigit()) or int(text) > MAX_LIMIT:
        raise typer.BadParameter(f"{option} must be a number from 0 to {MAX_LIMIT}, or `unlimited`")
    return int(text)


def _print(budget: "Budget", *, as_json: bool = False) -> None:
    from app.domain.budgets import MEASURES

    rows = {
        measure: {
            "limit": _shown(budget.limits, measure),
            "used": budget.usage.used.of(measure),
            "reserved": budget.usage.reserved.of(measure),
        }
        for measure in MEASURES
    }
    if as_json:
        told = {"tenant": budget.tenant, "reset_time": budget.resets_at.isoformat(), **rows}
        typer.echo(json.dumps(told, indent=2))
        return
    typer.echo(f"tenant {budget.tenant}, until {budget.resets_at:%Y-%m-%d %H:%M} UTC")
    typer.echo(f"{'':<10} {'limit':>16} {'used':>16} {'reserved':>16}")
    for measure, row in rows.items():
        limit = "unlimited" if row["limit"] is None else row["limit"]
        typer.echo(f"{measure:<10} {limit:>16} {row['used']:>16} {row['reserved']:>16}")


def _shown(limits: "BudgetLimits", measure: Any) -> int | None:
    return limits.of(measure)
