"""Builds the gateway and takes it down again."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from importlib.metadata import version as installed_version

from opentelemetry.sdk.trace import SpanProcessor

from app.agents.base import AgentRuntime
from app.bootstrap.access import running_access
from app.bootstrap.certificates import CertificateWatch, load_certificate, utc_now
from app.bootstrap.limits import open_limiter
from app.bootstrap.listeners import grpc_listener, rest_listener
from app.bootstrap.metrics import measured
from app.bootstrap.parts import NAME, Parts, open_parts
from app.bootstrap.service import build_service
from app.bootstrap.unix_sockets import claimed
from app.bootstrap.webhooks import build_dispatcher
from app.engine.engine import Engine, EngineRules
from app.engine.run import Surroundings
from app.engine.worker import Worker
from app.policy.admission import Admission
from app.service.agent_service import AgentService
from app.service.feeds import Feeds
from app.settings import Settings
from app.webhooks.dispatcher import Dispatcher
from grpc_service.server import GrpcServer
from rest_api.uvicorn_server import UvicornServer


class Gateway:
    """The running process, as its owner sees it.

    Ports are None for listeners that are off, and 0 for those with a Unix socket only.
    """

    def __init__(
        self,
        settings: Settings,
        service: AgentService,
        engine: Engine,
        feeds: Feeds,
        *,
        grpc: GrpcServer | None,
        rest: UvicornServer | None,
        certificates: CertificateWatch | None = None,
        dispatcher: Dispatcher | None = None,
    ) -> None:
        self.service = service
        self.engine = engine
        self.feeds = feeds
        self.grpc_port: int | None = None
        self.rest_port: int | None = None
        self._settings = settings
        self._grpc = grpc
        self._rest = rest
        self._certificates = certificates
        self._dispatcher = dispatcher

    @property
    def can_reload(self) -> bool:
        """Whether there is a certificate to reload."""
        return self._certificates is not None

    def reload(self) -> None:
        """Read the certificate's files again, soon; new connections get what is in them."""
        if self._certificates is not None:
            self._certificates.ask()

    @property
    def banner(self) -> list[str]:
        """What a person who started it wants to read."""
        settings = self._settings
        lines = [f"{NAME} {installed_version(NAME)}, storage {settings.storage.backend}"]
        rest, grpc = settings.rest, settings.grpc
        if self.rest_port is not None and rest.tcp:
            scheme = "https" if self._certificates is not None and rest.tls else "http"
            lines.append(f"  REST and SSE  {scheme}://{rest.host}:{self.rest_port}/v1  (docs: /docs)")
        if self.rest_port is not None and rest.uds is not None:
            lines.append(f"  REST and SSE  unix:{rest.uds}")
        if self.grpc_port is not None and grpc.tcp:
            secured = "  (TLS)" if self._certificates is not None and grpc.tls else ""
            lines.append(f"  gRPC          {grpc.host}:{self.grpc_port}{secured}")
        if self.grpc_port is not None and grpc.uds is not None:
            lines.append(f"  gRPC          unix:{grpc.uds}")
        if self._certificates is not None:
            loaded = self._certificates.loaded
            lines.append(f"  certificate   {loaded.subject}, until {loaded.expires_at:%Y-%m-%d %H:%M} UTC")
        lines.append(f"  model         {settings.model.default}")
        if not settings.auth.configured:
            lines.append(
                "  WARNING: calls need no credential: everybody on this machine is the local operator"
                " (GATEWAY_AUTH__MODE=required changes that)"
            )
        return lines

    @property
    def drain_timeout(self) -> timedelta:
        """The longest that `drain` takes."""
        return self._settings.engine.drain_timeout

    async def listen(self) -> None:
        """Open the listeners. Raises OSError naming the address that is taken."""
        if self._grpc is not None:
            self.grpc_port = await self._grpc.start()
        if self._rest is not None:
            self.rest_port = await self._rest.start()

    async def drain(self) -> None:
        """Take nothing new, tell every stream, finish or park the tasks, answer what is open.

        Returns within the drain timeout (and a little); what did not park by then is cut short.
        """
        whole = self.drain_timeout
        if self._grpc is not None:
            await self._grpc.enter_drain()
        if self._rest is not None:
            self._rest.enter_drain()
        self.service.tasks.draining = True
        self.feeds.drain()
        await self.engine.drain(whole * 0.7)
        if self._dispatcher is not None:
            await self._dispatcher.drain(whole * 0.1)
        await self.close((whole * 0.2).total_seconds())

    async def close(self, grace_s: float) -> None:
        """Close the listeners, giving open calls `grace_s` seconds. Idempotent."""
        async with asyncio.TaskGroup() as group:
            if self._rest is not None:
                group.create_task(self._rest.stop(grace_s))
            if self._grpc is not None:
                group.create_task(self._grpc.stop(grace_s))


@asynccontextmanager
async def open_gateway(
    settings: Settings,
    *,
    runtimes: Mapping[str, AgentRuntime] | None = None,
    span_processors: Sequence[SpanProcessor] = (),
) -> AsyncGenerator[Gateway]:
    """Build everything and serve; leaving the block closes it in reverse order.

    `runtimes` are agent runtimes beside our own, by the name that agent definitions give;
    `span_processors` are handed every span that ends (they are shut down with the gateway).
    Raises DomainError or OSError naming what keeps it from starting.
    """
    loaded = load_certificate(settings.tls, utc_now())
    async with AsyncExitStack() as stack:
        parts = await open_parts(settings, stack, runtimes=runtimes, span_processors=span_processors)
        feeds, metrics, tracing = parts.feeds, parts.metrics, parts.tracing
        engine = _engine(parts)
        service = build_service(parts, running=lambda: engine.running)
        limiter = await open_limiter(settings, stack, metrics)
        admission = Admission(parts.access.authenticator, limiter)
        watch = None if loaded is None else CertificateWatch(settings.tls, loaded, metrics, now=utc_now)
        dispatcher = build_dispatcher(parts)
        gateway = Gateway(
            settings,
            service,
            engine,
            feeds,
            grpc=grpc_listener(settings, service, admission, tracing, metrics, watch),
            rest=rest_listener(settings, service, admission, tracing, metrics, watch),
            certificates=watch,
            dispatcher=dispatcher,
        )
        if dispatcher is not None:
            await stack.enter_async_context(dispatcher.running())
        await stack.enter_async_context(engine.started())
        await stack.enter_async_context(
            running_access(parts.access, parts.storage.stores.credentials, settings, now=parts.now)
        )
        await stack.enter_async_context(measured(parts, running=lambda: engine.running))
        await stack.enter_async_context(_ticking(feeds, settings.stream.heartbeat.total_seconds() / 2))
        if settings.telemetry.prometheus_port is not None:
            stack.enter_context(metrics.listening(settings.rest.host, settings.telemetry.prometheus_port))
        if watch is not None:
            await stack.enter_async_context(_watched(watch))
        for name, section in (("grpc", settings.grpc), ("rest", settings.rest)):
            stack.enter_context(claimed(f"{name}.uds", section.uds if section.enabled else None))
        stack.push_async_callback(gateway.close, 0)
        await gateway.listen()
        yield gateway


def _engine(parts: Parts) -> Engine:
    settings, storage = parts.settings, parts.storage
    worker = Worker(
        Surroundings(
            storage.stores,
            parts.fleet,
            parts.tracing,
            parts.now,
            settings.sandbox.default_kind,
            parts.budgets,
        ),
        parts.runtimes,
        unseal=storage.sealer.unseal if storage.sealer else None,
        max_recoveries=settings.engine.max_recoveries,
        parked_ttl=settings.engine.parked_ttl,
        waited=parts.metrics.tasks.queue_wait.observe,
    )
    return Engine(
        storage.stores,
        storage.queue,
        storage.bus,
        worker,
        parts.fleet,
        now=parts.now,
        rules=EngineRules(
            keep_ended=settings.retention.keep_ended,
            events_per_task=settings.retention.events_per_task,
            recover_at_start=storage.owned,
        ),
        budgets=parts.budgets,
    )


@asynccontextmanager
async def _ticking(feeds: Feeds, every_s: float) -> AsyncGenerator[None]:
    """Wake every stream now and then for its heartbeat."""

    async def tick() -> None:
        while True:
            await asyncio.sleep(every_s)
            feeds.tick()

    async with asyncio.TaskGroup() as group:
        ticking = group.create_task(tick(), name="stream-ticks")
        try:
            yield
        finally:
            ticking.cancel()


@asynccontextmanager
async def _watched(watch: CertificateWatch) -> AsyncGenerator[None]:
    """Look after the certificate inside the block."""
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(watch.run(), name="certificate-watch")
        try:
            yield
        finally:
            watching.cancel()
