"""The gRPC server: options, listening, draining, stopping."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import grpc
import grpc.aio

from app.policy.admission import Admission
from app.service.agent_service import AgentService
from app.service.readiness import Report
from app.telemetry.metrics import Metrics
from app.telemetry.tracing import Tracing
from grpc_service.credentials import ServerTls
from grpc_service.health import Health
from grpc_service.interceptors.gate import Gate
from grpc_service.methods import Handlers, MethodTable
from grpc_service.native.services import NATIVE_SERVICES, native_handlers
from grpc_service.reflection import reflection_handlers

SERVED_SERVICES = NATIVE_SERVICES
"""Full names of what `GetServerInfo` should list: everything but health and reflection."""


class ListenError(OSError):
    """The address cannot be listened on; the message names it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GrpcOptions:
    """How to serve. Times in seconds, sizes in bytes."""

    host: str | None = "127.0.0.1"
    """None listens on the Unix socket only."""
    port: int = 50051
    """0 takes a free one."""
    tls: ServerTls | None = None
    """Of host and port; a Unix socket is guarded by its file's permissions."""
    uds: Path | None = None
    """A Unix socket to listen on as well. What was there before has been looked at by the caller."""
    uds_mode: int = 0o600
    max_receive_bytes: int = 4 * 1024 * 1024
    max_concurrent_streams: int = 1_000
    """Calls and streams that one connection may have open; more wait at the client."""
    compression: Literal["none", "gzip"] = "none"
    reflection: bool = True
    default_deadline_s: float | None = 60.0
    """Of unary calls that give none (SubmitTask with a wait: that much more). None for none."""
    always_tells_limits: bool = False
    """Unary answers tell how the caller's limits stand, not only to who asks (`x-ratelimit-want`)."""
    keepalive_s: float = 60.0
    """A silent connection is pinged this often; one that does not answer is closed 20 s later."""
    min_ping_interval_s: float = 5.0
    """Clients may ping an idle connection this often, with or without calls on it."""
    max_metadata_bytes: int = 16 * 1024
    """Of one call, as HTTP/2 counts (32 bytes more for each entry); RESOURCE_EXHAUSTED beyond it."""
    max_send_bytes: int | None = None
    """The largest answer; None for any."""
    max_connections: int = 10_000
    handshake_timeout_s: float = 10.0
    """From the connection to its end of TLS and HTTP/2 handshakes."""
    max_connection_age_s: float | None = None
    """Then clients are asked to connect again, so that balancers can spread them. None for never."""
    max_connection_age_grace_s: float = 60.0
    """How long calls and streams of such a connection may go on; then they are cut."""
    max_connection_idle_s: float | None = None
    """A connection without calls is closed after this long. None for never."""


class GrpcServer:
    """One server, started once and stopped once."""

    def __init__(self, handlers: Handlers, health: Health, gate: Gate, options: GrpcOptions) -> None:
        self._handlers = handlers
        self._health = health
        self._gate = gate
        self._options = options
        self._server: grpc.aio.Server | None = None

    @property
    def methods(self) -> frozenset[str]:
        """Full names of all methods served (`/package.Service/Method`)."""
        return frozenset(self._handlers)

    async def start(self) -> int:
        """Listen and serve; returns the port (0 without one). Raises ListenError."""
        options = self._options
        aio: Any = grpc.aio  # the stubs leave the type of `server` half open
        server: grpc.aio.Server = aio.server(
            handlers=(MethodTable(self._handlers),),
            interceptors=(self._gate,),
            options=_channel_arguments(options),
            compression=grpc.Compression.Gzip if options.compression == "gzip" else None,
        )
        port = _listen(server, options)
        await server.start()
        self._server = server
        return port

    def show(self, report: Report) -> None:
        """Tell the health service's readers whether to send calls here, and to which services."""
        self._health.show(report)

    async def enter_drain(self) -> None:
        """Report NOT_SERVING, so that balancers send nothing new; calls are still served. Idempotent."""
        self._health.enter_graceful_shutdown()

    async def stop(self, grace_s: float) -> None:
        """Take nothing new, give what runs `grace_s` to end, then cancel it. Idempotent."""
        await self.enter_drain()
        self._health.close()
        if self._server is not None:
            await self._server.stop(grace_s)
        self._gate.close()


def build_grpc_server(
    service: AgentService, admission: Admission, tracing: Tracing, metrics: Metrics, *, options: GrpcOptions
) -> GrpcServer:
    """Put the server together; nothing listens before `start`."""
    health = Health(NATIVE_SERVICES)
    handlers = native_handlers(service) | health.handlers
    if options.reflection:
        handlers |= reflection_handlers((*NATIVE_SERVICES, "grpc.health.v1.Health"))
    gate = Gate(
        admission,
        tracing,
        metrics,
        default_deadline_s=options.default_deadline_s,
        always_tells_limits=options.always_tells_limits,
    )
    return GrpcServer(handlers, health, gate, options)


def _listen(server: grpc.aio.Server, options: GrpcOptions) -> int:
    port = 0
    if options.host is not None:
        host = f"[{options.host}]" if ":" in options.host else options.host
        address = f"{host}:{options.port}"
        try:
            if options.tls is None:
                port = server.add_insecure_port(address)
            else:
                port = server.add_secure_port(address, options.tls.credentials())
        except RuntimeError as error:
            raise ListenError(f"gRPC cannot listen on {address}: is the port taken?") from error
    if options.uds is not None:
        mask = os.umask(0o777 & ~stat.S_IMODE(options.uds_mode))
        try:
            server.add_insecure_port(f"unix:{options.uds}")
        except RuntimeError as error:
            raise ListenError(f"gRPC cannot listen on {options.uds}") from error
        finally:
            os.umask(mask)
    return port


def _channel_arguments(options: GrpcOptions) -> list[tuple[str, int]]:
    arguments = [
        # A second process on the same port would share it in silence.
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", options.max_receive_bytes),
        ("grpc.max_send_message_length", options.max_send_bytes or -1),
        ("grpc.max_metadata_size", options.max_metadata_bytes),
        # Between the two gRPC refuses by chance, growing with the size: here it is one line.
        ("grpc.absolute_max_metadata_size", options.max_metadata_bytes),
        ("grpc.max_concurrent_streams", options.max_concurrent_streams),
        ("grpc.max_allowed_incoming_connections", options.max_connections),
        ("grpc.server_handshake_timeout_ms", _ms(options.handshake_timeout_s)),
        ("grpc.keepalive_time_ms", _ms(options.keepalive_s)),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        # The default lets a client ping every 5 minutes and hangs up on the third ping too early.
        ("grpc.http2.min_recv_ping_interval_without_data_ms", _ms(options.min_ping_interval_s)),
        ("grpc.http2.max_ping_strikes", 4),
    ]
    if options.max_connection_age_s is not None:
        arguments.append(("grpc.max_connection_age_ms", _ms(options.max_connection_age_s)))
        arguments.append(("grpc.max_connection_age_grace_ms", _ms(options.max_connection_age_grace_s)))
    if options.max_connection_idle_s is not None:
        arguments.append(("grpc.max_connection_idle_ms", _ms(options.max_connection_idle_s)))
    return arguments


def _ms(seconds: float) -> int:
    return int(seconds * 1_000)
