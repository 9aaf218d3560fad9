"""The two listeners, from the settings."""

from datetime import timedelta
from importlib.metadata import version as installed_version

from app.bootstrap.certificates import CertificateWatch
from app.bootstrap.identity import cookie_is_secure
from app.bootstrap.parts import NAME
from app.policy.admission import Admission
from app.service.agent_service import AgentService
from app.settings import Settings
from app.telemetry.metrics import Metrics
from app.telemetry.tracing import Tracing
from grpc_service import credentials
from grpc_service.server import GrpcOptions, GrpcServer, build_grpc_server
from rest_api import tls as https
from rest_api.browsers import SessionCookie
from rest_api.connections import Connections, HttpLimits, Refusal
from rest_api.security_headers import security_headers
from rest_api.server import RestOptions, build_rest_app
from rest_api.uvicorn_server import UvicornServer


def grpc_listener(
    settings: Settings,
    service: AgentService,
    admission: Admission,
    tracing: Tracing,
    metrics: Metrics,
    watch: CertificateWatch | None,
) -> GrpcServer | None:
    """The gRPC server, not started; None where it is off. With a watch, it takes what that reloads."""
    wanted = settings.grpc
    if not wanted.enabled:
        return None
    tls = None
    if watch is not None and wanted.tls and wanted.tcp:
        rule = wanted.client_certificates or settings.tls.client_certificates
        tls = credentials.ServerTls(watch.loaded.certificate, require_clients=rule == "required")
        watch.add(tls.replace)
    options = GrpcOptions(
        host=wanted.host if wanted.tcp else None,
        port=wanted.port,
        tls=tls,
        uds=wanted.uds,
        uds_mode=int(wanted.uds_mode, 8),
        max_receive_bytes=wanted.max_receive_bytes,
        max_send_bytes=wanted.max_send_bytes,
        max_metadata_bytes=wanted.max_metadata_bytes,
        max_concurrent_streams=wanted.max_concurrent_streams,
        max_connections=wanted.max_connections,
        max_connection_age_s=_seconds(wanted.max_connection_age),
        max_connection_age_grace_s=wanted.max_connection_age_grace.total_seconds(),
        max_connection_idle_s=_seconds(wanted.max_connection_idle),
        handshake_timeout_s=settings.tls.handshake_timeout.total_seconds(),
        keepalive_s=wanted.keepalive.total_seconds(),
        min_ping_interval_s=wanted.min_ping_interval.total_seconds(),
        reflection=wanted.reflection,
        default_deadline_s=wanted.default_deadline.total_seconds(),
        always_tells_limits=settings.rate_limits.metadata == "always",
    )
    return build_grpc_server(service, admission, tracing, metrics, options=options)


def rest_listener(
    settings: Settings,
    service: AgentService,
    admission: Admission,
    tracing: Tracing,
    metrics: Metrics,
    watch: CertificateWatch | None,
) -> UvicornServer | None:
    """The HTTP server, not started; None where it is off. With a watch, it takes what that reloads."""
    wanted = settings.rest
    if not wanted.enabled:
        return None
    tls = None
    if watch is not None and wanted.tls and wanted.tcp:
        tls = https.ServerTls(
            watch.loaded.certificate,
            clients=wanted.client_certificates or settings.tls.client_certificates,
            minimum=settings.tls.minimum_version,
        )
        watch.add(tls.replace)
    options = RestOptions(
        version=installed_version(NAME),
        max_body_bytes=wanted.max_body_bytes,
        default_deadline_s=wanted.default_deadline.total_seconds(),
        body_timeout_s=wanted.body_timeout.total_seconds(),
        docs=wanted.docs,
        cors_origins=wanted.cors_origins,
        cors_headers=wanted.cors_headers,
        cors_credentials=wanted.cors_credentials,
        cors_max_age_s=int(wanted.cors_max_age.total_seconds()),
        trusted_proxies=wanted.trusted_proxies,
        allowed_hosts=None if settings.auth.configured else wanted.allowed_hosts,
        prometheus=settings.telemetry.prometheus,
        cookie=SessionCookie(secure=cookie_is_secure(settings), same_site=settings.auth.browser.same_site),
        ready=lambda: not service.tasks.draining,
    )

    def refused(reason: Refusal) -> None:
        metrics.listeners.connections_refused.labels(reason).inc()

    hsts_s = 0 if tls is None else int(wanted.hsts_max_age.total_seconds())
    return UvicornServer(
        build_rest_app(service, admission, tracing, metrics, options=options),
        host=wanted.host if wanted.tcp else None,
        port=wanted.port,
        uds=wanted.uds,
        uds_mode=int(wanted.uds_mode, 8),
        tls=tls,
        connections=Connections(_limits(settings), refused),
        headers=security_headers(hsts_max_age_s=hsts_s),
    )


def _limits(settings: Settings) -> HttpLimits:
    wanted = settings.rest
    return HttpLimits(
        max_target_bytes=wanted.max_target_bytes,
        max_head_bytes=wanted.max_head_bytes,
        max_headers=wanted.max_headers,
        head_timeout_s=wanted.head_timeout.total_seconds(),
        keep_alive_s=wanted.keep_alive.total_seconds(),
        stall_timeout_s=wanted.stall_timeout.total_seconds(),
        min_bytes_per_s=wanted.min_bytes_per_s,
        handshake_timeout_s=settings.tls.handshake_timeout.total_seconds(),
        max_connections=wanted.max_connections,
        max_connections_per_address=wanted.max_connections_per_address,
    )


def _seconds(given: timedelta | None) -> float | None:
    return None if given is None else given.total_seconds()
