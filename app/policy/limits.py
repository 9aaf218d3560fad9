"""Rate limits and concurrency: what a call takes, from whom, and whether there is any left."""

import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, Literal, Protocol, cast

from app.domain.errors import RateLimitedError
from app.domain.identity import Principal, TenantId
from app.domain.quotas import Quota
from app.domain.rates import MICROSECONDS, Draw, Meter, Rate
from app.policy.admission import NOTHING_TAKEN, CallHead, Lease, Taken
from app.policy.leases import Claim, Leases
from app.policy.use_cases import UseCase

CallClass = Literal["read", "write", "submit", "stream", "resume"]
"""A method's class; `resume` is a stream that goes on from a cursor."""
Scope = Literal["principal", "tenant", "global"]
CLASSES: Final[tuple[CallClass, ...]] = ("read", "write", "submit", "stream", "resume")
SHARED: Final[frozenset[CallClass]] = frozenset({"write", "submit", "stream", "resume"})
"""Classes that replicas count together. Reads are many and cheap: each replica counts its own."""
RETRY_PLACE_S: Final = 1.0
"""A hint: nobody knows when a call or stream that is open will end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopeLimits:
    """What one principal, one tenant or everybody together may do; what is absent is not limited."""

    rates: Mapping[CallClass, Rate] = field(default_factory=dict[CallClass, Rate])
    streams: int | None = None
    """Streams open at a time, in this process."""
    calls: int | None = None
    """Other calls open at a time, in this process."""

    def over(self, under: "ScopeLimits") -> "ScopeLimits":
        """These limits, and those of `under` where these say nothing."""
        return ScopeLimits(
            rates={**under.rates, **self.rates},
            streams=under.streams if self.streams is None else self.streams,
            calls=under.calls if self.calls is None else self.calls,
        )


Scopes = Mapping[Scope, ScopeLimits]


class SharedBuckets(Protocol):
    """Rates counted elsewhere: `Buckets`, guarded."""

    async def take(self, draws: Sequence[Draw]) -> tuple[bool, list[int]]:
        """See `Buckets.take`. Bounded in time. Raises StorageUnavailableError when nothing may pass."""
        ...


@dataclass(frozen=True, slots=True)
class _Limit:
    """One limit as a call meets it. `rate` is None for places, of which there are `limit`."""

    scope: Scope
    policy: str
    limit: int
    rate: Rate | None = None


_Plan = tuple[tuple[_Limit, ...], tuple[_Limit, ...]]
"""The rates and the places of a class of calls."""
_Plans = Mapping[tuple[CallClass, bool], _Plan]


class Limits:
    """See `Limiter`. All of a call's limits are taken, or none."""

    def __init__(
        self,
        scopes: Scopes,
        *,
        tenants: Mapping[TenantId, Scopes] | None = None,
        shared: SharedBuckets | None = None,
        replicas: int = 1,
        refused: Callable[[str], None] = lambda policy: None,
        now_us: Callable[[], int] = lambda: time.monotonic_ns() // 1_000,
    ) -> None:
        """`tenants` says where one tenant's limits differ. With `shared`, replicas count together what is
        not read; `replicas` divides what each counts for itself then. `refused` is told the policy's name.
        """
        self.leases = Leases()
        self.meter = Meter()
        self.admitted: dict[CallClass, int] = dict.fromkeys(CLASSES, 0)
        """Calls let in so far."""
        self._shared = shared
        self._refused = refused
        self._now_us = now_us
        divide = replicas if shared is not None else 1
        self._plans = _plans(scopes, divide)
        self._own = {
            tenant: _plans(_over(differing, scopes), divide) for tenant, differing in (tenants or {}).items()
        }

    async def take(self, principal: Principal, use_case: UseCase, head: CallHead) -> Taken:
        """See `Limiter`. Raises StorageUnavailableError when the shared store is away and that is to
        refuse; cancelling it gives everything back but what the shared store has counted."""
        kind = use_case.kind
        call_class: CallClass = "resume" if kind == "stream" and head.resumes else kind
        rates, places = self._own.get(principal.tenant, self._plans)[call_class, use_case.streamed]
        if not rates and not places:
            self.admitted[call_class] += 1
            return NOTHING_TAKEN
        lease = self._place(principal, places) if places else None
        if not rates:
            self.admitted[call_class] += 1
            return Drawn(self, principal, (), (), places, lease)
        try:
            draws = [(_key(limit, principal), limit.rate) for limit in rates if limit.rate is not None]
            if self._shared is not None and call_class in SHARED:
                admitted, levels = await self._shared.take(draws)
            else:
                admitted, levels = self.meter.take(draws, self._now_us())
            if not admitted:
                raise self._limited(Drawn(self, principal, rates, levels, (), None))
        except BaseException:
            if lease is not None:
                lease.release()
            raise
        self.admitted[call_class] += 1
        return Drawn(self, principal, rates, levels, places, lease)

    def held(self) -> dict[str, int]:
        """Places that are held now, by the name of their limit."""
        return dict(self.leases.by(_policy_of))

    def _place(self, principal: Principal, places: tuple[_Limit, ...]) -> Lease:
        claims: list[Claim] = [(_key(limit, principal), limit.limit) for limit in places]
        lease = self.leases.take(claims)
        if isinstance(lease, int):
            full = places[lease]
            drawn = Drawn(self, principal, (), (), (full,), None)
            raise self._limited(drawn)
        return lease

    def _limited(self, drawn: "Drawn") -> RateLimitedError:
        quotas = drawn.every
        violated = [quota for quota in quotas if quota.violated]
        first = max(violated, key=lambda quota: quota.retry_s)
        self._refused(first.policy)
        told = (first, *(quota for quota in quotas if quota is not first and _is_own(quota, violated)))
        return RateLimitedError(
            _message(first),
            quotas=told,
            retry_after=timedelta(seconds=first.retry_s),
            policy=first.policy,
            limit=first.limit,
        )


class Drawn:
    """See `Taken`. Quotas are made up when somebody asks: most calls over gRPC never do."""

    __slots__ = ("_levels", "_limits", "_places", "_principal", "_rates", "lease")

    def __init__(
        self,
        limits: Limits,
        principal: Principal,
        rates: Sequence[_Limit],
        levels: Sequence[int],
        places: Sequence[_Limit],
        lease: Lease | None,
    ) -> None:
        self._limits = limits
        self._principal = principal
        self._rates = rates
        self._levels = levels
        self._places = places
        self.lease = lease

    @property
    def quotas(self) -> tuple[Quota, ...]:
        """What the caller may know: not how much everybody together has left."""
        own = [quota for quota in self.every if quota.subject != "global"]
        return tuple(sorted(own, key=lambda quota: quota.remaining))

    @property
    def every(self) -> list[Quota]:
        """All of them, those of everybody included."""
        quotas = [
            _of_rate(limit, limit.rate, level)
            for limit, level in zip(self._rates, self._levels, strict=True)
            if limit.rate is not None
        ]
        held = self._limits.leases.held
        return quotas + [
            _of_place(limit, limit.limit - held(_key(limit, self._principal))) for limit in self._places
        ]


_SCOPES: Final[tuple[Scope, ...]] = ("principal", "tenant", "global")


def _plans(scopes: Scopes, divide: int) -> _Plans:
    """What each class of calls meets, the caller's own limits first."""
    return {
        (call_class, streamed): (_rates(scopes, call_class, divide), _places(scopes, streamed=streamed))
        for call_class in CLASSES
        for streamed in (False, True)
    }


def _rates(scopes: Scopes, call_class: CallClass, divide: int) -> tuple[_Limit, ...]:
    found: list[_Limit] = []
    for scope in _SCOPES:
        rate = scopes[scope].rates.get(call_class) if scope in scopes else None
        if rate is not None:
            if call_class not in SHARED and divide > 1:
                rate = Rate(max(1, rate.limit // divide), rate.window_s)
            found.append(_Limit(scope, f"{scope}-{call_class}", rate.limit, rate))
    return tuple(found)


def _places(scopes: Scopes, *, streamed: bool) -> tuple[_Limit, ...]:
    word = "streams" if streamed else "calls"
    found: list[_Limit] = []
    for scope in _SCOPES:
        limits = scopes.get(scope, ScopeLimits())
        places = limits.streams if streamed else limits.calls
        if places is not None:
            found.append(_Limit(scope, f"{scope}-open-{word}", places))
    return tuple(found)


def _over(differing: Scopes, scopes: Scopes) -> Scopes:
    merged: dict[Scope, ScopeLimits] = {}
    for scope in _SCOPES:
        under = scopes.get(scope, ScopeLimits())
        merged[scope] = differing[scope].over(under) if scope in differing else under
    return merged


def _key(limit: _Limit, principal: Principal) -> Hashable:
    if limit.scope == "principal":
        return limit.policy, principal.tenant, principal.subject
    return (limit.policy, principal.tenant) if limit.scope == "tenant" else (limit.policy,)


def _policy_of(key: Hashable) -> str:
    return cast("tuple[str, ...]", key)[0]


def _of_rate(limit: _Limit, rate: Rate, level_us: int) -> Quota:
    remaining = rate.remaining(level_us)
    return Quota(
        policy=limit.policy,
        limit=rate.limit,
        remaining=remaining,
        window_s=float(rate.window_s),
        reset_s=level_us / MICROSECONDS,
        retry_s=0.0 if remaining else rate.wait_us(level_us) / MICROSECONDS,
        subject=limit.scope,
    )


def _of_place(limit: _Limit, left: int) -> Quota:
    return Quota(
        policy=limit.policy,
        limit=limit.limit,
        remaining=max(0, left),
        retry_s=0.0 if left > 0 else RETRY_PLACE_S,
        unit="concurrent-requests",
        subject=limit.scope,
    )


def _is_own(quota: Quota, violated: Sequence[Quota]) -> bool:
    return quota.subject != "global" or quota in violated


def _message(quota: Quota) -> str:
    whose = {"principal": "your", "tenant": "your tenant's", "global": "the gateway's"}.get(quota.subject, "")
    if quota.window_s is None:
        return f"{whose} {quota.limit} places are taken ({quota.policy})"
    return f"{whose} {quota.limit} calls in {quota.window_s:g} s are used up ({quota.policy})"
