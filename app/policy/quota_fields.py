"""Quotas in words: the same names and texts as HTTP header fields and as gRPC metadata.

`RateLimit-Policy` and `RateLimit` are draft-ietf-httpapi-ratelimit-headers-11 (lists of structured
fields, RFC 9651); the `X-RateLimit-*` three are what most clients know, for the tightest quota alone.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from app.domain.quotas import Quota

POLICY: Final = "ratelimit-policy"
REMAINING: Final = "ratelimit"
NAMES: Final = (
    "RateLimit-Policy",
    "RateLimit",
    "X-RateLimit-Limit",
    "X-RateLimit-Remaining",
    "X-RateLimit-Reset",
)
"""As they are written; on the wire they are in lower case."""

Fields = list[tuple[str, str]]


def fields_of(quotas: Sequence[Quota]) -> Fields:
    """Names (in lower case) and values; none without quotas. The first quota is the tightest."""
    if not quotas:
        return []
    first = quotas[0]
    return [
        (POLICY, ", ".join([_policy(q.policy, q.limit, q.window_s, q.unit) for q in quotas])),
        (REMAINING, ", ".join([_standing(quota) for quota in quotas])),
        ("x-ratelimit-limit", str(first.limit)),
        ("x-ratelimit-remaining", str(first.remaining)),
        ("x-ratelimit-reset", str(_effective_s(first))),
    ]


@lru_cache(maxsize=1_024)
def _policy(policy: str, limit: int, window_s: float | None, unit: str) -> str:
    """`"tenant-submit";q=100;w=60`; `qu` where not requests are counted."""
    window = "" if window_s is None else f";w={max(1, math.ceil(window_s))}"
    return f'"{policy}";q={limit}{window}' + ("" if unit == "requests" else f';qu="{unit}"')


def _standing(quota: Quota) -> str:
    """`"tenant-submit";r=50;t=30`; nobody can say `t` of places that are taken."""
    text = f'"{quota.policy}";r={quota.remaining}'
    return text if quota.window_s is None else f"{text};t={_effective_s(quota)}"


def _effective_s(quota: Quota) -> int:
    """Whole seconds within which `remaining` more are let through and no promise is made of others:
    until the quota is whole, or while nothing remains until the next one, as `Retry-After` has it."""
    return math.ceil(quota.reset_s if quota.remaining else quota.retry_s)
