"""What a tenant may use in a day."""

from pydantic import Field

from app.domain.budgets import MAX_LIMIT
from app.settings.sections import Section


class DayLimits(Section):
    """Limits of one day (UTC); what is not set is not limited, or as in `budgets.default`."""

    tokens: int | None = Field(default=None, ge=0, le=MAX_LIMIT)
    """Input and output tokens together."""
    micro_usd: int | None = Field(default=None, ge=0, le=MAX_LIMIT)
    """Millionths of a US dollar; a model whose price is not known cannot be used then."""
    steps: int | None = Field(default=None, ge=0, le=MAX_LIMIT)
    """Actions in sandboxes."""


class BudgetSettings(Section):
    """What a tenant may use in a day (UTC). Limits stored by `agent-gateway budgets set` win over these."""

    default: DayLimits = DayLimits()
    """Of every tenant: `{"tokens": 1000000, "micro_usd": 5000000, "steps": 10000}`."""
    tenants: dict[str, DayLimits] = Field(default_factory=dict[str, DayLimits])
    """Of some tenants, in place of the default: `{"acme": {"tokens": 5000000}}`."""
    max_output_tokens: int = Field(default=8_192, ge=1)
    """The longest answer of a model, for tasks under a budget of tokens or dollars that name none; so much
    is reserved before each call."""
