"""What readiness looks at, as the settings want it."""

from collections.abc import Awaitable, Callable

from app.bootstrap.parts import Parts
from app.domain.errors import SandboxUnavailableError, StorageUnavailableError
from app.domain.ids import TaskId
from app.domain.sandboxes import Availability
from app.policy.buckets import Guarded
from app.service.readiness import Dependency, Readiness

NOBODY = TaskId("readiness")


def build_readiness(parts: Parts, shared_limits: Guarded | None) -> Readiness:
    """The checks: store, queue, bus, sandboxes that live on a service, the shared store of the limits."""
    settings, storage, fleet = parts.settings, parts.storage, parts.fleet

    async def store() -> None:
        await storage.stores.tasks.find(NOBODY)

    async def queue() -> None:
        if not storage.queue.connected:
            raise StorageUnavailableError("the queue has no connection")

    async def bus() -> None:
        if not storage.bus.connected:
            raise StorageUnavailableError("the bus has no connection")

    def sandbox(kind: str) -> Callable[[], Awaitable[None]]:
        async def probed() -> None:
            if (await fleet.probe(kind)).availability is Availability.UNAVAILABLE:
                raise SandboxUnavailableError(f"sandbox {kind!r} is not available")

        return probed

    dependencies = [
        Dependency(name="store", check=store),
        Dependency(name="queue", check=queue),
        # Only hints travel on it: without it streams and cancellations of other replicas are late.
        Dependency(name="bus", check=bus, required=False),
        *(
            Dependency(
                name=f"sandbox-{kind}",
                check=sandbox(kind),
                required=kind == settings.sandbox.default_kind,
            )
            for kind in fleet.remote_kinds
        ),
    ]
    if shared_limits is not None:
        refuses = settings.rate_limits.on_outage == "closed"
        dependencies.append(Dependency(name="limiter", check=shared_limits.check, required=refuses))
    health = settings.health
    readiness = Readiness(
        dependencies, every_s=health.interval.total_seconds(), timeout_s=health.timeout.total_seconds()
    )
    parts.metrics.process.ready.read_one(lambda: readiness.report.ready)
    parts.metrics.process.dependencies.read_from(
        lambda: {(finding.name,): finding.ok for finding in readiness.report.findings}
    )
    return readiness
