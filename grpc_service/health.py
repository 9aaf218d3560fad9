"""`grpc.health.v1`: Check, Watch and List over one table of statuses."""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from datetime import timedelta
from typing import Any, Final

from grpc_health.v1 import health_pb2

from app.domain.errors import DrainingError, NotFoundError, RateLimitedError
from grpc_service.methods import Handlers, handlers_of

MAX_WATCHERS: Final = 256
"""Watch is open to everybody and lasts, so the number of its streams is bounded."""

_SERVING: Final = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING: Final = health_pb2.HealthCheckResponse.NOT_SERVING
_UNKNOWN: Final = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


class Health:
    """Serves while it lives; `enter_graceful_shutdown` is final, as the protocol's rules want it.

    `""` stands for the whole server.
    """

    def __init__(self, services: Iterable[str]) -> None:
        self._statuses = dict.fromkeys(("", *services), _SERVING)
        self._changed = asyncio.Condition()
        self._watchers = 0
        self._closed = False

    @property
    def handlers(self) -> Handlers:
        """What to serve."""
        return handlers_of(health_pb2.DESCRIPTOR.services_by_name["Health"], self)

    async def enter_graceful_shutdown(self) -> None:
        """Say NOT_SERVING for everything, from now on. Idempotent."""
        for service in self._statuses:
            self._statuses[service] = _NOT_SERVING
        await self._tell()

    async def close(self) -> None:
        """End the Watch streams, which would keep the server from stopping before its grace is over."""
        self._closed = True
        await self._tell()

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
                status = self._statuses.get(request.service, _UNKNOWN)
                if status != last:
                    yield health_pb2.HealthCheckResponse(status=status)
                    last = status
                    continue  # it may have changed while the client was slow
                async with self._changed:
                    if status == self._statuses.get(request.service, _UNKNOWN) and not self._closed:
                        await self._changed.wait()
        finally:
            self._watchers -= 1
        raise DrainingError("the server is shutting down", retry_after=timedelta(seconds=1))

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()
