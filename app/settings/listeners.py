"""Where the gateway listens, what a connection may cost, and how its streams behave."""

from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from app.settings.sections import Port, Seconds, Section
from app.settings.tls import ClientCertificateRule

Mode = Field(default="0600", pattern=r"0?[0-7]{3}")


class GrpcSettings(Section):
    """The gRPC listener."""

    enabled: bool = True
    """Whether there is one."""
    tcp: bool = True
    """Listen on host and port. Without it there must be `grpc.uds`."""
    host: str = "127.0.0.1"
    """Anything but a loopback address needs `auth.mode=required` or `auth.keys`."""
    port: Port = 50051
    """0 takes a free one."""
    tls: bool = True
    """Use the certificate of `tls.certificate`, when there is one."""
    client_certificates: ClientCertificateRule | None = None
    """Instead of `tls.client_certificates`, for this listener. `optional` cannot be had with gRPC."""
    uds: Path | None = None
    """A Unix socket to listen on as well. Never TLS: `grpc.uds_mode` says who may connect."""
    uds_mode: str = Mode
    """Permissions of the socket, octal. Who may open it calls like a program of this machine."""
    max_receive_bytes: int = Field(default=4 * 1024 * 1024, ge=1024)
    """The largest request message, also after decompression."""
    max_send_bytes: int | None = Field(default=None, ge=1024)
    """The largest answer; empty for any (larger things come in parts)."""
    max_metadata_bytes: int = Field(default=16 * 1024, ge=1024)
    """Metadata of one call, each entry counted with 32 bytes more (RESOURCE_EXHAUSTED beyond it)."""
    max_concurrent_streams: int = Field(default=1_000, ge=1)
    """Per connection."""
    max_connections: int = Field(default=10_000, ge=1)
    """Open at a time; more are closed at once."""
    max_connection_age: Seconds | None = None
    """Clients are asked to connect anew after this long, so that balancers spread them. Empty for never."""
    max_connection_age_grace: Seconds = timedelta(seconds=60)
    """What calls and streams of such a connection have left; then they are cut (streams resume)."""
    max_connection_idle: Seconds | None = None
    """A connection without calls is closed after this long. Empty for never."""
    keepalive: Seconds = timedelta(seconds=60)
    """A silent connection is pinged this often; one that does not answer within 20 s is closed."""
    min_ping_interval: Seconds = timedelta(seconds=5)
    """How often clients may ping; who does it more often, five times, is told to go (`too_many_pings`)."""
    reflection: bool = True
    """Let tools such as `grpcurl` and `buf curl` ask for the schema."""
    default_deadline: Seconds = timedelta(seconds=60)
    """Of unary calls that give none (SubmitTask with a wait: that much more)."""

    @model_validator(mode="after")
    def _listens_somewhere(self) -> Self:
        if self.enabled and not self.tcp and self.uds is None:
            raise ValueError("grpc.tcp is off and there is no grpc.uds: nothing would listen")
        if self.client_certificates == "optional":
            raise ValueError("grpc.client_certificates: gRPC offers none and required only")
        return self


class RestSettings(Section):
    """The HTTP listener: REST, SSE, health, metrics."""

    enabled: bool = True
    """Whether there is one."""
    tcp: bool = True
    """Listen on host and port. Without it there must be `rest.uds`."""
    host: str = "127.0.0.1"
    """Anything but a loopback address needs `auth.mode=required` or `auth.keys`."""
    port: Port = 8080
    """0 takes a free one."""
    tls: bool = True
    """Use the certificate of `tls.certificate`, when there is one."""
    client_certificates: ClientCertificateRule | None = None
    """Instead of `tls.client_certificates`, for this listener."""
    uds: Path | None = None
    """A Unix socket to listen on as well. Never TLS: `rest.uds_mode` says who may connect."""
    uds_mode: str = Mode
    """Permissions of the socket, octal. Who may open it calls like a program of this machine."""
    max_body_bytes: int = Field(default=1024 * 1024, ge=1024)
    """The largest request body (413 beyond it)."""
    default_deadline: Seconds = timedelta(seconds=60)
    """Of unary calls without `Request-Timeout` (submitting with `Prefer: wait`: that much more)."""
    max_target_bytes: int = Field(default=16 * 1024, ge=256)
    """Path and query of a request (414)."""
    max_head_bytes: int = Field(default=64 * 1024, ge=1024)
    """Target and headers of a request (431)."""
    max_headers: int = Field(default=128, ge=16)
    """Header fields of a request (431)."""
    head_timeout: Seconds = timedelta(seconds=30)
    """From a connection, or a head's first byte, to its end; then the connection is closed."""
    body_timeout: Seconds = timedelta(seconds=60)
    """For a request's whole body (408)."""
    keep_alive: Seconds = timedelta(seconds=75)
    """How long a connection may be idle between two requests."""
    stall_timeout: Seconds = timedelta(seconds=60)
    """A client that reads less than `rest.min_bytes_per_s` of what waits for it for this long is cut."""
    min_bytes_per_s: int = Field(default=128, ge=1)
    """The pace of the slowest reader that is served. Streams resume where they were cut."""
    max_connections: int = Field(default=10_000, ge=1)
    """Open at a time; more get 503, or are closed before their TLS handshake."""
    max_connections_per_address: int | None = Field(default=None, ge=1)
    """The same for each address but loopback ones. Empty for any; leave it so behind a proxy."""
    trusted_proxies: tuple[IPv4Network | IPv6Network | Literal["unix"], ...] = ()
    """Networks whose `Forwarded` or `X-Forwarded-*` headers say where a request comes from (`unix`: who calls
    over `rest.uds`). From everybody else those headers mean nothing."""
    hsts_max_age: timedelta = Field(default=timedelta(days=180), ge=timedelta(0))
    """What `Strict-Transport-Security` promises browsers under TLS; 0 sends none."""
    docs: bool = True
    """Serve /docs and /openapi.json."""
    cors_origins: tuple[str, ...] = ()
    """Web origins whose pages may call (`https://app.example.org`); none without this."""
    cors_headers: tuple[str, ...] = ()
    """Request headers such pages may send, beside our own."""
    cors_credentials: bool = False
    """Let their requests carry cookies and client certificates. Not with `*` as origin."""
    cors_max_age: Seconds = timedelta(minutes=10)
    """How long browsers may keep the answer to a preflight."""
    allowed_hosts: tuple[str, ...] = ()
    """Names (no ports) that requests may be addressed to, beside loopback ones. They are looked at while
    calls need no credential: else any web page could reach this machine by a name of its own."""

    @model_validator(mode="after")
    def _listens_somewhere(self) -> Self:
        if self.enabled and not self.tcp and self.uds is None:
            raise ValueError("rest.tcp is off and there is no rest.uds: nothing would listen")
        if self.cors_credentials and "*" in self.cors_origins:
            raise ValueError("rest.cors_credentials: name the origins in rest.cors_origins, not *")
        return self


class StreamSettings(Section):
    """Event streams."""

    heartbeat: Seconds = timedelta(seconds=5)
    """A stream says at least this often that it lives."""
