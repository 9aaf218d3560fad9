"""The one layer around all routes: request id, span, body limit, error rendering, metrics.

One class, not five. Order, outermost first: request id -> server span -> body limit -> route (which
admits the call) -> errors as problems -> metrics.
"""

import asyncio
import logging
from time import perf_counter

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.domain.errors import DomainError, InternalError, PayloadTooLargeError
from app.policy.admission import NOTHING_TAKEN, request_id_of
from app.policy.quota_fields import fields_of
from app.telemetry import context as log_context
from app.telemetry import names, spans, traceparent
from app.telemetry.metrics import Metrics
from app.telemetry.metrics.calls import CallSeries, sampled_trace_of
from app.telemetry.tracing import NO_SPAN, Span, Tracing
from rest_api.browsers import without_ticket
from rest_api.disconnect import ClientGoneError
from rest_api.errors import HttpError, answer_of
from rest_api.operations import PUBLIC
from rest_api.routing import EXCHANGE, Exchange

log = logging.getLogger(__name__)

_BODILESS = frozenset({"GET", "HEAD", "OPTIONS"})
_UNMATCHED = "unmatched"


class Gate:
    """Wraps a router. Anything that a route raises ends here, and nowhere else."""

    def __init__(
        self, app: ASGIApp, *, router: Router, tracing: Tracing, metrics: Metrics, max_body_bytes: int
    ) -> None:
        self._app = app
        self._router = router
        self._tracing = tracing
        self._metrics = metrics
        self._max_body_bytes = max_body_bytes
        self._series: dict[str, CallSeries] = {}
        self._in_flight = metrics.calls.in_flight

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request. Always lets `CancelledError` through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = perf_counter()
        headers = _headers_of(scope)
        scope["query_string"], ticket = without_ticket(scope["query_string"])
        exchange = Exchange(
            request_id=request_id_of(headers), path=scope["path"], headers=headers, ticket=ticket
        )
        scope[EXCHANGE] = exchange
        span = self._span(scope, exchange)
        exchange.traceparent = span.traceparent
        log_context.bind(request_id=exchange.request_id, trace_id=_trace_id(exchange.traceparent))
        respond = _Responder(send, exchange)
        failure: BaseException | None = None
        self._in_flight["rest"] += 1
        try:
            await self._app(scope, self._limited(scope, headers, receive), respond)
        except asyncio.CancelledError as error:
            failure = error
            raise
        except Exception as error:  # noqa: BLE001 - the one catch-all of the REST side
            failure = self._told(error, scope)
            if not exchange.started and not isinstance(failure, ClientGoneError):
                told = answer_of(failure, instance=exchange.path, request_id=exchange.request_id)
                await told(scope, receive, respond)
        finally:
            self._over(scope, exchange, span, failure, perf_counter() - started)

    def _told(self, error: Exception, scope: Scope) -> DomainError | HttpError:
        """The failure as it is told to the caller; what was not foreseen goes to the log."""
        if isinstance(error, (DomainError, HttpError)):
            return error
        if isinstance(error, HTTPException):
            return self._of_router(error, scope)
        if isinstance(error, ClientDisconnect):  # before the end of the body
            return ClientGoneError()
        log.error("unexpected error in %s %s", scope["method"], _route_of(scope), exc_info=error)
        return InternalError()

    def _of_router(self, error: HTTPException, scope: Scope) -> HttpError:
        if error.status_code == 404:
            return HttpError(404, "ROUTE_NOT_FOUND", f"there is nothing at {scope['path'][:200]}")
        if error.status_code == 405:
            allowed = ", ".join(sorted(self._methods_at(scope)))
            detail = f"{scope['method'][:32]} is not one of {allowed}"
            return HttpError(405, "METHOD_NOT_ALLOWED", detail, headers={"Allow": allowed})
        return HttpError(error.status_code, "INVALID_REQUEST", str(error.detail))

    def _methods_at(self, scope: Scope) -> set[str]:
        """The methods of this path: the router itself knows only those of one route.

        The first match says which path it is: `/v1/sandboxes/kinds` is none of `/v1/sandboxes/{id}`.
        """
        here: Scope = {"type": "http", "path": scope["path"], "method": scope["method"], "headers": []}
        matching = [route for route in self._router.routes if route.matches(here)[0] is not Match.NONE]
        path = getattr(matching[0], "path_format", None)
        same = (route for route in matching if getattr(route, "path_format", None) == path)
        return {method for route in same for method in getattr(route, "methods", None) or ()}

    def _limited(self, scope: Scope, headers: dict[str, str], receive: Receive) -> Receive:
        """`receive`, as long as the body is not too long. Raises PayloadTooLargeError."""
        limit = self._max_body_bytes
        if scope["method"] in _BODILESS and "content-length" not in headers:
            return receive
        declared = headers.get("content-length", "0")
        if declared.isdigit() and int(declared[:18]) > limit:
            raise _too_large(limit)
        taken = 0

        async def counting() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > limit:
                raise _too_large(limit)
            return message

        return counting

    def _span(self, scope: Scope, exchange: Exchange) -> Span:
        headers = exchange.headers
        parent = traceparent.extract(headers) if traceparent.HEADER in headers else None
        if parent is None and not self._tracing.is_on:
            return NO_SPAN
        plan = spans.http_server(
            scope["method"], scope["path"], scheme=scope["scheme"], request_id=exchange.request_id
        )
        return self._tracing.start(plan, parent=parent)

    def _over(
        self,
        scope: Scope,
        exchange: Exchange,
        span: Span,
        failure: BaseException | None,
        duration_s: float,
    ) -> None:
        self._in_flight["rest"] -= 1
        route = _route_of(scope)
        outcome = exchange.outcome or "ok"
        if isinstance(failure, (DomainError, HttpError)):
            outcome = failure.reason
        elif failure is not None:
            outcome = "CANCELLED"
        series = self._series.get(route) or self._series_of(route)
        series.over(_code(exchange.status), outcome, duration_s, sampled_trace_of(span))
        if span.is_recording:
            if route != _UNMATCHED:
                span.rename(route)
                span.set({names.HTTP_ROUTE: route.partition(" ")[2]})
            span.set({names.HTTP_RESPONSE_STATUS_CODE: exchange.status})
            if outcome == "ok":
                span.set({names.OUTCOME: "ok"})
            # A caller's mistake is no failure of the server's span.
            failure = failure if exchange.status >= 500 or exchange.status == 0 else None
        span.end(failure)

    def _series_of(self, route: str) -> CallSeries:
        series = self._series[route] = self._metrics.calls.series("rest", route)
        return series


class _Responder:
    """`send` that notes the status and adds the request id."""

    __slots__ = ("_exchange", "_send")

    def __init__(self, send: Send, exchange: Exchange) -> None:
        self._send = send
        self._exchange = exchange

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            exchange = self._exchange
            exchange.started = True
            exchange.status = message["status"]
            headers = [*message.get("headers", ()), (b"x-request-id", exchange.request_id.encode())]
            if exchange.taken is not NOTHING_TAKEN and all(name != b"ratelimit" for name, _ in headers):
                quotas = fields_of(exchange.taken.quotas)
                headers += [(name.encode(), value.encode()) for name, value in quotas]
            message["headers"] = headers
        await self._send(message)


def _headers_of(scope: Scope) -> dict[str, str]:
    found: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


def _route_of(scope: Scope) -> str:
    label = getattr(scope.get("route"), "label", None)
    if label is not None:
        return label
    return f"GET {scope['path']}" if scope["path"] in PUBLIC and scope["method"] == "GET" else _UNMATCHED


def _code(status: int) -> str:
    return str(status) if status else "499"  # nothing was answered: the client left


def _trace_id(parent: str | None) -> str | None:
    return None if parent is None else parent.split("-", 2)[1]


def _too_large(limit: int) -> PayloadTooLargeError:
    return PayloadTooLargeError(f"the body must have at most {limit} bytes", limit_bytes=limit)
