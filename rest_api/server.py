"""The REST application: FastAPI with our own layers, and nothing of its own that costs or tells."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from app.policy.admission import Admission
from app.policy.deadlines import DefaultDeadline
from app.service.agent_service import AgentService
from app.service.readiness import READY, Report
from app.telemetry.metrics import Metrics
from app.telemetry.tracing import Tracing
from rest_api.browsers import SessionCookie
from rest_api.docs_page import docs_routes
from rest_api.forwarding import Forwarded, Proxy
from rest_api.middleware.gate import Gate
from rest_api.middleware.visitors import LocalVisitors
from rest_api.openapi_document import DESCRIPTION, TAGS, finished
from rest_api.routes import all_routes

_NO_TELEMETRY: Any = {"tracing": False, "metrics": False, "logs": False, "operation_spans": False}
_ALLOWED_HEADERS = (
    "Accept",
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "If-Match",
    "If-None-Match",
    "Last-Event-ID",
    "Prefer",
    "Range",
    "Request-Timeout",
    "Traceparent",
    "X-Api-Key",
    "X-Request-Id",
    "X-Requested-With",
)
_EXPOSED_HEADERS = (
    "Content-Disposition",
    "Content-Range",
    "ETag",
    "Idempotency-Replayed",
    "Location",
    "Preference-Applied",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "X-RateLimit-Limit",
    "X-RateLimit-Remaining",
    "X-RateLimit-Reset",
    "X-Request-Id",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RestOptions:
    """What the REST front end is told at start."""

    version: str
    max_body_bytes: int = 1024 * 1024
    default_deadline_s: float | None = 60.0
    """Of unary calls that give none (submitting with `Prefer: wait`: that much more). None for none."""
    body_timeout_s: float = 60.0
    """How long a request's body may take."""
    docs: bool = True
    """Serve /docs and /openapi.json."""
    prometheus: bool = True
    """Serve /metrics."""
    cors_origins: Sequence[str] = ()
    cors_headers: Sequence[str] = ()
    """Request headers that pages of those origins may send, beside our own."""
    cors_credentials: bool = False
    """Their requests may carry cookies. Never together with `*` as origin."""
    cors_max_age_s: int = 600
    trusted_proxies: Sequence[Proxy] = ()
    """Who is believed about the clients it brings."""
    allowed_hosts: Sequence[str] | None = None
    """Names to answer to beside loopback ones; None for any, where callers need a key."""
    cookie: SessionCookie = field(default_factory=SessionCookie)
    """Of browser sessions."""
    readiness: Callable[[], Report] = lambda: READY
    """Whether calls should be sent here; asked by /healthz/ready."""


class RestApp(FastAPI):
    """FastAPI whose layers are ours: its own error pages, limits and telemetry are not built."""

    def __init__(
        self,
        agents: AgentService,
        admission: Admission,
        tracing: Tracing,
        metrics: Metrics,
        options: RestOptions,
    ) -> None:
        super().__init__(
            title="agent-gateway",
            version=options.version,
            description=DESCRIPTION,
            openapi_tags=TAGS,
            openapi_url="/openapi.json" if options.docs else None,
            docs_url=None,  # ours loads nothing from elsewhere
            redoc_url=None,
            swagger_ui_oauth2_redirect_url=None,
            redirect_slashes=False,
            telemetry=_NO_TELEMETRY,
        )
        self.agents = agents
        self.admission = admission
        self.cookie = options.cookie
        self.metrics = metrics
        self.rest_options = options
        self.default_deadline = (
            None if options.default_deadline_s is None else DefaultDeadline(options.default_deadline_s)
        )
        self._tracing = tracing
        routes: list[APIRoute] = all_routes()
        if not options.prometheus:
            routes = [route for route in routes if route.path != "/metrics"]
        if options.docs:
            self.router.routes.extend(docs_routes())
        self.router.routes[:0] = routes  # the busiest first: the router looks from the top

    def build_middleware_stack(self) -> ASGIApp:
        """The layers, outermost first: proxies, CORS (where there are any), gate, who may visit, router."""
        app: ASGIApp = self.router
        if self.rest_options.allowed_hosts is not None:
            app = LocalVisitors(
                app,
                allowed_hosts=self.rest_options.allowed_hosts,
                allowed_origins=self.rest_options.cors_origins,
            )
        app = Gate(
            app,
            router=self.router,
            tracing=self._tracing,
            metrics=self.metrics,
            max_body_bytes=self.rest_options.max_body_bytes,
        )
        if self.rest_options.cors_origins:
            app = CORSMiddleware(
                app,
                allow_origins=list(self.rest_options.cors_origins),
                allow_methods=["GET", "HEAD", "POST", "PUT", "DELETE"],
                allow_headers=[*_ALLOWED_HEADERS, *self.rest_options.cors_headers],
                allow_credentials=self.rest_options.cors_credentials,
                expose_headers=list(_EXPOSED_HEADERS),
                max_age=self.rest_options.cors_max_age_s,
            )
        if self.rest_options.trusted_proxies:
            app = Forwarded(app, trusted=self.rest_options.trusted_proxies)
        return app

    def openapi(self) -> dict[str, Any]:
        """The document, made once."""
        if self.openapi_schema is None:
            self.openapi_schema = finished(super().openapi())
        return self.openapi_schema


def build_rest_app(
    service: AgentService,
    admission: Admission,
    tracing: Tracing,
    metrics: Metrics,
    *,
    options: RestOptions,
) -> RestApp:
    """The ASGI application over the door. It opens nothing and needs no lifespan."""
    return RestApp(service, admission, tracing, metrics, options)
