"""Limits as callers see them: one decision, rendered by each protocol in its own words."""

from dataclasses import dataclass
from typing import Literal

QuotaUnit = Literal["requests", "concurrent-requests", "tokens", "micro-usd", "steps"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """One limit and how much of it is left after the call it was told for.

    `policy` names it for callers (`principal-read`); `subject` is what it is counted for. `window_s` is
    its window in seconds, None where there is none (concurrency). `reset_s` are the seconds until
    `limit` is whole again; `retry_s` those until one more would be let through (0 while some remain).
    """

    policy: str
    limit: int
    remaining: int
    window_s: float | None = None
    reset_s: float = 0.0
    retry_s: float = 0.0
    unit: QuotaUnit = "requests"
    subject: Literal["principal", "tenant", "address", "global"] = "principal"

    @property
    def violated(self) -> bool:
        """Whether nothing more would be let through now."""
        return self.retry_s > 0
