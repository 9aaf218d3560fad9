"""The limiter, as the settings want it."""

from contextlib import AsyncExitStack

from app.domain.errors import NotConfiguredError
from app.domain.identity import TenantId
from app.domain.rates import Rate
from app.domain.secrets import Secret
from app.policy.admission import Limiter
from app.policy.buckets import Buckets, Guarded
from app.policy.limits import CallClass, Limits, Scope, ScopeLimits, Scopes
from app.settings import Settings
from app.settings.rate_limits import RateLimitSettings, ScopeSettings, rate_of
from app.telemetry.metrics import Metrics


async def open_limiter(settings: Settings, stack: AsyncExitStack, metrics: Metrics) -> Limiter:
    """The limiter; `stack` closes its store. Raises NotConfiguredError for a missing extra or setting."""
    wanted = settings.rate_limits
    buckets = _buckets(settings)
    shared = None
    if buckets is not None:
        await stack.enter_async_context(buckets.opened())
        shared = Guarded(
            buckets,
            timeout_s=wanted.store_timeout.total_seconds(),
            on_outage=wanted.on_outage,
            failed=metrics.limits.failures.inc,
        )
    limits = Limits(
        _scopes(wanted),
        tenants={
            TenantId(name): {"principal": _scope(own.principal), "tenant": _scope(own.tenant)}
            for name, own in wanted.tenants.items()
        },
        shared=shared,
        replicas=wanted.replicas,
        refused=metrics.limits.refused,
    )
    metrics.limits.allowed.read_from(lambda: {(name,): count for name, count in limits.admitted.items()})
    metrics.limits.leases.read_from(lambda: {(policy,): held for policy, held in limits.held().items()})
    return limits


def unfinished_limits(wanted: RateLimitSettings) -> tuple[int | None, dict[TenantId, int]]:
    """How many unfinished tasks a tenant may have, and which tenants may have how many others."""
    own = {TenantId(name): its.unfinished_tasks for name, its in wanted.tenants.items()}
    return wanted.unfinished_tasks, {name: limit for name, limit in own.items() if limit is not None}


def _scopes(wanted: RateLimitSettings) -> Scopes:
    found: dict[Scope, ScopeLimits] = {
        "principal": _scope(wanted.principal),
        "tenant": _scope(wanted.tenant),
        "global": _scope(wanted.everybody),
    }
    return found


def _scope(given: ScopeSettings) -> ScopeLimits:
    texts: dict[CallClass, str | None] = {
        "read": given.read,
        "write": given.write,
        "submit": given.submit,
        "stream": given.stream,
        "resume": given.resume,
    }
    rates: dict[CallClass, Rate] = {name: rate_of(text) for name, text in texts.items() if text}
    return ScopeLimits(rates=rates, streams=given.open_streams, calls=given.open_calls)


def _buckets(settings: Settings) -> Buckets | None:
    wanted, storage = settings.rate_limits, settings.storage
    place = wanted.shared
    if place == "auto":
        place = "postgres" if storage.backend == "postgres" else "memory"
    if place == "memory" or not _any_rate(wanted):
        return None
    try:
        if place == "redis":
            from app.policy.buckets_redis import RedisBuckets

            assert wanted.redis_url is not None  # noqa: S101 - checked by the settings
            return RedisBuckets(
                Secret(wanted.redis_url.get_secret_value()), prefix=f"agent-gateway:{storage.postgres_schema}"
            )
        from app.policy.buckets_postgres import PostgresBuckets
    except ModuleNotFoundError as error:
        raise NotConfiguredError(
            f"rate_limits.shared={place} needs {error.name}: pip install 'agent-gateway[{place}]'"
        ) from error
    if storage.backend != "postgres" or storage.postgres_url is None:
        raise NotConfiguredError("rate_limits.shared=postgres needs storage.backend=postgres")
    return PostgresBuckets(Secret(storage.postgres_url.get_secret_value()), schema=storage.postgres_schema)


def _any_rate(wanted: RateLimitSettings) -> bool:
    own = [scope for tenant in wanted.tenants.values() for scope in (tenant.principal, tenant.tenant)]
    return any(_scope(scope).rates for scope in (wanted.principal, wanted.tenant, wanted.everybody, *own))
