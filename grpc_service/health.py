"""`grpc.health.v1`: Check, Watch and List over one table of statuses."""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from datetime import timedelta
from typing import Any, Final

from grpc_health.v1 import health_pb2

from app.domain.errors import DrainingError, NotFoundError, RateLimitedError
from app.service.readiness import Report
from grpc_service.methods import Handlers, handlers_of

MAX_WATCHERS: Final = 256
"""Watch is open to everybody and lasts, so the number of its streams is bounded."""

_SERVING: Final = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING: Final = health_pb2.HealthCheckResponse.NOT_SERVING
_UNKNOWN: Final = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


_EVERYWHERE: Final = frozenset({"store", "limiter"})
"""What every service stands on, where it is required at all."""
_STANDS_ON: Final[dict[str, tuple[str, ...]]] = {
    "TaskService": ("queue", "sandbox-"),
    "SandboxService": ("sandbox-",),
    "ToolService": ("sandbox-",),
}
"""What else a service stands on, by its short name: names of dependencies, or how they start."""


class Health:
    """Serves what readiness says; `enter_graceful_shutdown` is final, as the protocol's rules want it.

    `""` stands for the whole server.
    """

    def __init__(self, services: Iterable[str]) -> None:
        self._statuses = dict.fromkeys(("", *services), _SERVING)
        self._changed = asyncio.Event()
        self._watchers = 0
        self._draining = False
        self._closed = False

    @property
    def handlers(self) -> Handlers:
        """What to serve."""
        return handlers_of(health_pb2.DESCRIPTOR.services_by_name["Health"], self)

    def show(self, report: Report) -> None:
        """Serve this report from now on, and tell it to who watches. A service that does not stand on what
        is lacking is SERVING, although the whole server is not."""
        if self._draining:
            return
        if report.status == "draining":
            self.enter_graceful_shutdown()
            return
        lacking = frozenset(one.name for one in report.findings if one.required and not one.ok)
        for service in self._statuses:
            serving = report.ready if service == "" else not any(_needs(service, name) for name in lacking)
            self._statuses[service] = _SERVING if serving else _NOT_SERVING
        self._tell()

    def enter_graceful_shutdown(self) -> None:
        """Say NOT_SERVING for everything, from now on. Idempotent."""
        self._draining = True
        for service in self._statuses:
            self._statuses[service] = _NOT_SERVING
        self._tell()

    def close(self) -> None:
        """End the Watch streams, which would keep the server from stopping before its grace is over."""
        self._closed = True
        self._tell()

    async def Check(self, request: Any, context: Any) -> Any:
        """The status of a service. Raises NotFoundError for one this server does not know."""
        del context
        status = self._statuses.get(request.service)
        if status is None:
            raise NotFoundError("service", request.service)
        return health_pb2.HealthCheckResponse(status=status)

    async def List(self, request: Any, context: Any) -> Any:
        """All services and their statuses."""
        del request, context
        statuses = {
            service: health_pb2.HealthCheckResponse(status=status)
            for service, status in self._statuses.items()
        }
        return health_pb2.HealthListResponse(statuses=statuses)

    async def Watch(self, request: Any, context: Any) -> AsyncGenerator[Any, None]:
        """The status now and whenever it changes; SERVICE_UNKNOWN for a service we do not know.

        Raises RateLimitedError beyond `MAX_WATCHERS` streams, DrainingError when the server stops.
        """
        del context
        if self._watchers >= MAX_WATCHERS:
            raise RateLimitedError(
                f"{MAX_WATCHERS} health streams are open", retry_after=timedelta(seconds=5), limit="health"
            )
        self._watchers += 1
        last: Any = None
        try:
            while not self._closed:
                changed = self._changed
                status = self._statuses.get(request.service, _UNKNOWN)
                if status != last:
                    yield health_pb2.HealthCheckResponse(status=status)
                    last = status
                    continue  # it may have changed while the client was slow
                await changed.wait()
        finally:
            self._watchers -= 1
        raise DrainingError("the server is shutting down", retry_after=timedelta(seconds=1))

    def _tell(self) -> None:
        before, self._changed = self._changed, asyncio.Event()
        before.set()


def _needs(service: str, dependency: str) -> bool:
    needed = _STANDS_ON.get(service.rpartition(".")[2], ())
    return dependency in _EVERYWHERE or any(dependency.startswith(one) for one in needed)
