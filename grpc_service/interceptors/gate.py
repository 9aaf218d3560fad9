"""The one interceptor: request id, span, admission, deadline, errors and metrics around every call.

One class, not five: each further one costs more than what it does. Order, outermost first: request id ->
server span -> default deadline -> authenticate and admit -> handler -> error rendering -> metrics.

Where `x-request-id` comes back: in the trailing metadata and the details of every refusal; in the initial
metadata of streams, and of unary calls that brought one (metadata cost 25 to 50 us: only those pay who ask).
The same holds for how the caller's limits stand (`x-ratelimit-want`).
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from time import perf_counter
from typing import Any, cast

import grpc.aio
from grpc_interceptor.server import AsyncServerInterceptor

from app.domain.errors import CallDeadlineError, DomainError, InternalError
from app.policy.admission import NOTHING_TAKEN, Admission, Admitted, CallHead, Taken, request_id_of
from app.policy.deadlines import MESSAGE, DefaultDeadline
from app.policy.idempotency_keys import REPLAYED
from app.policy.quota_fields import Fields, fields_of
from app.telemetry import context as log_context
from app.telemetry import names, spans, traceparent
from app.telemetry.metrics import Metrics
from app.telemetry.metrics.calls import CallSeries, sampled_trace_of
from app.telemetry.tracing import NO_SPAN, Span, Tracing
from grpc_service.errors import CODES, REQUEST_ID, RpcContext, abort_with
from grpc_service.interceptors.calls import enter_call, was_replayed
from grpc_service.interceptors.peers import GrpcPeer
from grpc_service.interceptors.resuming import resumes
from grpc_service.methods import Handler

log = logging.getLogger(__name__)

PUBLIC_METHODS = frozenset(
    {
        "/grpc.health.v1.Health/Check",
        "/grpc.health.v1.Health/List",
        "/grpc.health.v1.Health/Watch",
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    }
)
"""All that is served without admission; probes and tools have no credentials."""
WANT_LIMITS = "x-ratelimit-want"
"""With any value: the caller of a unary method wants to be told how its limits stand."""
_NATIVE = "agentgateway.v1."

Behaviour = Callable[[Any, RpcContext], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Route:
    """What is the same for all calls of a method, looked up once a call."""

    path: str
    label: str
    use_case: str
    public: bool
    streamed: bool
    plan: spans.SpanPlan
    series: CallSeries


class Gate(AsyncServerInterceptor):
    """Wraps unary calls and streams alike.

    Streams are iterated and written here, inside the RPC's own coroutine, not handed to grpc.aio as a
    generator: so a cancellation also arrives while a write waits for a slow client, and the handler's
    generator is closed before the RPC ends.
    """

    def __init__(
        self,
        admission: Admission,
        tracing: Tracing,
        metrics: Metrics,
        *,
        default_deadline_s: float | None,
        always_tells_limits: bool = False,
    ) -> None:
        self._admission = admission
        self._tracing = tracing
        self._metrics = metrics
        self._deadline = None if default_deadline_s is None else DefaultDeadline(default_deadline_s)
        self._always_tells_limits = always_tells_limits
        self._routes: dict[str, _Route] = {}
        self._wrapped: dict[str, Handler] = {}
        self._streams = metrics.calls.stream_readers.labels("grpc")
        self._in_flight = metrics.calls.in_flight

    def close(self) -> None:
        """Stop the default deadline's timer."""
        if self._deadline is not None:
            self._deadline.close()

    async def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        """Wrap a method's handler once, not once a call, which is what the base class does (20 us)."""
        method_name: str = handler_call_details.method
        handler = self._wrapped.get(method_name)
        if handler is None:
            base: Any = super()
            handler = await base.intercept_service(continuation, handler_call_details)
            if handler is not None:  # callers must not fill the memory with methods that do not exist
                self._wrapped[method_name] = handler
        return handler

    async def intercept(
        self, method: Behaviour, request_or_iterator: Any, context: RpcContext, method_name: str
    ) -> Any:
        """Serve one call of a method that exists. Always lets `CancelledError` through."""
        started = perf_counter()
        route = self._routes.get(method_name) or self._route(method_name)
        metadata = {
            name: value for name, value in context.invocation_metadata() or () if isinstance(value, str)
        }
        request_id = request_id_of(metadata)
        span = self._span(route, metadata, request_id)
        failure: BaseException | None = None
        self._in_flight["grpc"] += 1
        try:
            timeout_s = cast("float | None", context.time_remaining())
            serving = self._serve(
                method, request_or_iterator, context, route, metadata, request_id, span, timeout_s
            )
            if timeout_s is not None or self._deadline is None or route.streamed:
                return await serving
            return await self._within(self._deadline, serving)
        except (asyncio.CancelledError, grpc.aio.AbortError, grpc.aio.InternalError) as error:
            failure = error  # left by the client, ended by the servicer, or the connection broke
            raise
        except DomainError as error:
            failure = error
            await abort_with(context, error, request_id=request_id)
        except Exception as error:
            failure = error
            log.exception("unexpected error in %s", route.label)
            await abort_with(context, InternalError(), request_id=request_id)
        finally:
            self._over(route, context, span, failure, perf_counter() - started)

    async def _serve(
        self,
        method: Behaviour,
        request: Any,
        context: RpcContext,
        route: _Route,
        metadata: dict[str, str],
        request_id: str,
        span: Span,
        timeout_s: float | None,
    ) -> Any:
        admitted: Admitted | None = None
        if not route.public:
            resumed = route.streamed and resumes(route.path, request)
            admitted = await self._admit(
                route, context, metadata, request_id, span, timeout_s, resumed=resumed
            )
        try:
            taken = NOTHING_TAKEN if admitted is None else admitted.taken
            answer = method(request, context)
            if hasattr(answer, "__aiter__"):
                head = [(REQUEST_ID, request_id), *fields_of(taken.quotas)]
                await self._stream(answer, context, head, public=route.public)
                if not route.public and was_replayed():
                    context.set_trailing_metadata(((REPLAYED, "true"),))
                return None
            if told := self._told(metadata, request_id, taken):
                await context.send_initial_metadata(tuple(told))
            answered = await answer
            if not route.public and was_replayed():
                context.set_trailing_metadata(((REPLAYED, "true"),))
            return answered
        finally:
            if admitted is not None:
                admitted.release()

    def _told(self, metadata: dict[str, str], request_id: str, taken: Taken) -> Fields:
        """The initial metadata of a unary answer."""
        told: Fields = [(REQUEST_ID, request_id)] if metadata.get(REQUEST_ID) == request_id else []
        if taken is not NOTHING_TAKEN and (self._always_tells_limits or WANT_LIMITS in metadata):
            told += fields_of(taken.quotas)
        return told

    async def _admit(
        self,
        route: _Route,
        context: RpcContext,
        metadata: dict[str, str],
        request_id: str,
        span: Span,
        timeout_s: float | None,
        *,
        resumed: bool,
    ) -> Admitted:
        parent = span.traceparent
        admitted = await self._admission.admit(
            CallHead(
                protocol="grpc",
                method=route.use_case,
                path=route.path,
                metadata=metadata,
                peer=GrpcPeer(context),
                resumes=resumed,
                timeout_s=timeout_s,
                traceparent=parent,
                request_id=request_id,
            )
        )
        enter_call(admitted.call)
        trace_id = None if parent is None else parent.split("-", 2)[1]
        log_context.bind(request_id=request_id, trace_id=trace_id, tenant=admitted.call.tenant)
        return admitted

    async def _stream(
        self, answers: AsyncGenerator[bytes, None], context: RpcContext, head: Fields, *, public: bool
    ) -> None:
        if not public:
            self._streams.inc()
        try:
            async with aclosing(answers) as messages:
                await context.send_initial_metadata(tuple(head))
                async for message in messages:
                    await context.write(message)
        finally:
            if not public:
                self._streams.dec()

    async def _within(self, deadline: DefaultDeadline, answer: Any) -> Any:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - an RPC always runs in a task of grpc.aio
        deadline.enter(task)
        try:
            return await answer
        except asyncio.CancelledError:
            if deadline.ended(task):
                raise CallDeadlineError(MESSAGE) from None
            raise
        finally:
            deadline.leave(task)

    def _span(self, route: _Route, metadata: dict[str, str], request_id: str) -> Span:
        parent = traceparent.extract(metadata) if traceparent.HEADER in metadata else None
        if parent is None and not self._tracing.is_on:
            return NO_SPAN
        return self._tracing.start(route.plan, parent=parent, attributes={names.REQUEST_ID: request_id})

    def _over(
        self,
        route: _Route,
        context: RpcContext,
        span: Span,
        failure: BaseException | None,
        duration_s: float,
    ) -> None:
        self._in_flight["grpc"] -= 1
        trace_id = sampled_trace_of(span)
        if failure is None:
            route.series.over("OK", "ok", duration_s, trace_id)
            if span.is_recording:
                span.set({names.RPC_STATUS_CODE: "OK", names.OUTCOME: "ok"})
        else:
            outcome = _outcome(failure, context)
            code = _code(failure, outcome)
            route.series.over(code, outcome, duration_s, trace_id)
            if span.is_recording:
                span.set({names.RPC_STATUS_CODE: code})
        span.end(failure)

    def _route(self, method_name: str) -> _Route:
        label, handler = method_name.removeprefix("/"), self._wrapped.get(method_name)
        route = self._routes[method_name] = _Route(
            path=method_name,
            label=label,
            use_case=label.removeprefix(_NATIVE),
            public=method_name in PUBLIC_METHODS,
            streamed=handler is None or bool(handler.response_streaming),
            plan=spans.rpc_server(label),
            series=self._metrics.calls.series("grpc", label),
        )
        return route


def _outcome(failure: BaseException, context: RpcContext) -> str:
    """The metric's outcome: a reason of ours, or how the call was left."""
    if isinstance(failure, DomainError):
        return failure.reason
    if isinstance(failure, asyncio.CancelledError):
        return "DEADLINE_EXCEEDED" if context.time_remaining() == 0 else "CANCELLED"
    if isinstance(failure, grpc.aio.AbortError):
        return "ABORTED_BY_HANDLER"
    return "CANCELLED" if isinstance(failure, grpc.aio.InternalError) else InternalError.reason


def _code(failure: BaseException, outcome: str) -> str:
    if isinstance(failure, DomainError):
        return CODES[failure.kind].name
    return outcome if outcome in {"CANCELLED", "DEADLINE_EXCEEDED", "INTERNAL"} else "UNKNOWN"
