"""Routes: FastAPI's for the document and the path, ours for the call itself.

FastAPI reads an endpoint's signature for every request anew; here that is done once, at start. What
a parameter may be is listed in `_getter`; anything else stops the start. A call costs a third of
FastAPI's own way, and has one order: admission, then headers, query and body, then the use case.
"""

import asyncio
import inspect
import re
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Protocol, cast, get_args, get_origin, get_type_hints

from fastapi import Depends, params
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import Receive, Scope, Send

from app.domain.call import CallContext
from app.domain.errors import CallDeadlineError, InvalidRequestError, NotFoundError
from app.domain.ids import MAX_ID_LENGTH
from app.policy.admission import NOTHING_TAKEN, Admission, Admitted, CallHead, Taken
from app.policy.deadlines import MESSAGE, DefaultDeadline, without_default_deadline
from app.policy.idempotency_keys import REPLAYED
from app.service.agent_service import AgentService
from app.telemetry import context as log_context
from rest_api.browsers import SessionCookie
from rest_api.errors import HttpError, invalid_body, invalid_query
from rest_api.negotiation import EVENT_STREAM, JSON, is_json, preferred, timeout_of
from rest_api.operations import OPERATIONS, PUBLIC, REST_ONLY, STREAMED, operation_id_of
from rest_api.peers import HttpPeer
from rest_api.schemas.base import QueryIn, encoded

EXCHANGE: Final = "agentgateway.exchange"
"""The key of the ASGI scope under which the gate leaves the `Exchange`."""
NO_CONTENT: Final = 204
_CURSOR: Final = re.compile(rb"(?:^|&)(?:after|last_event_id)=0*[1-9]")


@dataclass(slots=True, kw_only=True)
class Exchange:
    """One request and its answer, as the gate sees them."""

    request_id: str
    path: str
    headers: dict[str, str]
    """Names in lower-case; values of a repeated one are joined by a comma."""
    traceparent: str | None = None
    status: int = 0
    started: bool = False
    """Whether the status line has been sent."""
    ticket: str | None = field(default=None, repr=False)
    """The one-time ticket that stood in the URL; it was taken out of the query."""
    outcome: str | None = None
    """The reason of a failure that was told inside a stream."""
    taken: Taken = NOTHING_TAKEN
    """What the call took of its limits; the answer tells how they stand."""


class Door(Protocol):
    """What an application of ours has for its routes."""

    agents: AgentService
    admission: Admission
    cookie: SessionCookie
    default_deadline: DefaultDeadline | None


async def _call_of(request: Request) -> CallContext:
    return request.scope["agentgateway.call"]


async def _agents_of(request: Request) -> AgentService:
    return request.scope["app"].agents


async def _exchange_of(request: Request) -> Exchange:
    return request.scope[EXCHANGE]


Call = Annotated[CallContext, Depends(_call_of)]
"""The admitted call."""
Agents = Annotated[AgentService, Depends(_agents_of)]
"""The door to the use cases."""
ExchangeOf = Annotated[Exchange, Depends(_exchange_of)]
"""The request's id and headers."""

Getter = Callable[[Request], Any]


class _IdConvertor(Convertor[str]):
    """`{task_id:id}`: what stands before a slash or the colon of a custom method."""

    regex = "[^/:]+"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("id", _IdConvertor())


class OperationRoute(APIRoute):
    """One route of the native API. It answers a pydantic model (as JSON), None (204) or a Response."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        self.methods: set[str] = set(self.methods or ())
        methods = sorted(self.methods - {"HEAD"}) or ["GET"]
        self.label = f"{methods[0]} {self.path_format}"
        self.public = self.path_format in PUBLIC
        served = OPERATIONS | REST_ONLY
        rpcs = [rpc for rpc, route in served.items() if route == (methods[0], self.path_format)]
        self.rpc = next((rpc for rpc in rpcs if operation_id_of(rpc) == self.operation_id), None)
        self.streamed = STREAMED.get(self.rpc or "")
        if self.rpc is None and not self.public:
            raise TypeError(f"{self.label} is neither public nor in the table of operations")
        self._offered = _offered(self.rpc, self.streamed)
        self._endpoint = cast("Callable[..., Coroutine[Any, Any, Any]]", endpoint)
        self._getters, self._body = _bound(endpoint)
        self.app = self._serve

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """As FastAPI's, without what mounted and included routers would need: none is used here."""
        if scope["type"] != "http":
            return Match.NONE, {}
        found = self.path_regex.match(scope["path"])
        if found is None:
            return Match.NONE, {}
        matched: Scope = {"endpoint": self.endpoint, "path_params": found.groupdict(), "route": self}
        return (Match.FULL if scope["method"] in self.methods else Match.PARTIAL), matched

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive, send)
        if self.public:
            response = await self._answer(request)
            await response(scope, receive, send)
            return
        timeout_s = timeout_of(scope[EXCHANGE].headers)
        admission = self._admit(scope, timeout_s)
        clock = scope["app"].default_deadline if timeout_s is None else None
        if timeout_s is not None:
            admitted, response = await self._before(timeout_s, admission, request)
        elif clock is not None:
            admitted, response = await self._within(clock, admission, request)
        else:
            admitted, response = await self._admitted(admission, request)
        try:
            await response(scope, receive, send)
        finally:
            admitted.release()

    async def _before(
        self, timeout_s: float, admission: Awaitable[Admitted], request: Request
    ) -> tuple[Admitted, Response]:
        """The answer before the caller's own deadline; that of a stream holds until its first byte."""
        timer = asyncio.timeout(timeout_s)
        try:
            async with timer:
                return await self._admitted(admission, request)
        except TimeoutError:
            if not timer.expired():
                raise  # somebody else's
            raise CallDeadlineError("the call's deadline has passed") from None

    async def _within(
        self, clock: DefaultDeadline, admission: Awaitable[Admitted], request: Request
    ) -> tuple[Admitted, Response]:
        """The answer before the server's own deadline for callers that give none."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a request always runs in a task of the listener
        clock.enter(task)
        try:
            return await self._admitted(admission, request)
        except asyncio.CancelledError:
            if clock.ended(task):
                raise CallDeadlineError(MESSAGE) from None
            raise
        finally:
            clock.leave(task)

    async def _admitted(self, admission: Awaitable[Admitted], request: Request) -> tuple[Admitted, Response]:
        """Admit the call and ask the use case; a failure gives back what admission took."""
        admitted = await admission
        try:
            request.scope["agentgateway.call"] = admitted.call
            response = await self._answer(request)
            idempotency = admitted.call.idempotency
            if idempotency is not None and idempotency.replayed:
                response.headers[REPLAYED] = "true"
            return admitted, response
        except BaseException:
            admitted.release()
            raise

    async def _admit(self, scope: Scope, timeout_s: float | None) -> Admitted:
        exchange: Exchange = scope[EXCHANGE]
        headers = exchange.headers
        rpc = self.rpc or ""
        chosen = JSON
        if self._offered:
            chosen = preferred(headers.get("accept"), *self._offered)
            if self.streamed and chosen == EVENT_STREAM:
                rpc = self.streamed
        door: Door = scope["app"]
        admitted = await door.admission.admit(
            CallHead(
                protocol="rest",
                method=rpc,
                path=exchange.path,
                http_method=scope["method"],
                metadata=headers,
                peer=HttpPeer(scope),
                query_ticket=exchange.ticket,
                session_cookie=door.cookie.read(headers.get("cookie")),
                resumes=chosen == EVENT_STREAM and _resumes(scope, headers),
                timeout_s=timeout_s,
                traceparent=exchange.traceparent,
                request_id=exchange.request_id,
            )
        )
        exchange.taken = admitted.taken
        log_context.bind(tenant=admitted.call.tenant)
        return admitted

    async def _answer(self, request: Request) -> Response:
        values = {name: get(request) for name, get in self._getters}
        if self._body is not None:
            name, model, optional = self._body
            values[name] = await _read_body(request, model, optional=optional)
        result = await self._endpoint(**values)
        if isinstance(result, Response):
            return result
        if result is None:
            return Response(status_code=NO_CONTENT)
        return answer(result, self.status_code or 200)


def answer(model: BaseModel, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A model as a JSON answer. No cache may keep it; with an `ETag`, the caller's own may, and must ask."""
    caching = "private, no-cache" if headers and "ETag" in headers else "no-store"
    return Response(encoded(model), status, {"Cache-Control": caching, **(headers or {})}, JSON)


async def _read_body(request: Request, model: type[BaseModel], *, optional: bool) -> BaseModel:
    if request.scope[EXCHANGE].headers.get("content-encoding", "identity") != "identity":
        detail = "send the body as it is, without Content-Encoding"
        raise HttpError(415, "UNSUPPORTED_CONTENT_ENCODING", detail, headers={"Accept-Encoding": "identity"})
    timeout_s: float = request.app.rest_options.body_timeout_s
    try:
        with without_default_deadline():
            async with asyncio.timeout(timeout_s):
                data = await request.body()
    except TimeoutError:
        detail = f"the body must be here within {timeout_s:g} s"
        raise HttpError(408, "BODY_TIMEOUT", detail, headers={"Connection": "close"}) from None
    if not data and optional:
        data = b"{}"
    elif not is_json(request.headers.get("content-type")):
        raise HttpError(415, "UNSUPPORTED_MEDIA_TYPE", "send JSON, as Content-Type: application/json")
    try:
        return model.model_validate_json(data)
    except ValidationError as error:
        raise invalid_body(error) from None


def _resumes(scope: Scope, headers: dict[str, str]) -> bool:
    """Whether a reader of a stream comes back with a cursor; the route reads which."""
    if headers.get("last-event-id"):
        return True
    query: bytes = scope["query_string"]
    return bool(query) and _CURSOR.search(query) is not None


def _offered(rpc: str | None, streamed: str | None) -> tuple[str, ...]:
    """The media types a route can answer with; none where the answer's type is the content's."""
    if streamed:
        return JSON, EVENT_STREAM
    if rpc == "TaskService/WatchTasks":
        return (EVENT_STREAM,)
    return () if rpc == "ArtifactService/ReadArtifact" else (JSON,)


def _bound(endpoint: Callable[..., Any]) -> tuple[list[tuple[str, Getter]], Any]:
    """How each parameter of an endpoint gets its value, and which one is the body."""
    hints = get_type_hints(endpoint, include_extras=True)
    getters: list[tuple[str, Getter]] = []
    body: tuple[str, type[BaseModel], bool] | None = None
    for name, parameter in inspect.signature(endpoint).parameters.items():
        hint = hints[name]
        model, *notes = get_args(hint) if get_origin(hint) is Annotated else (hint,)
        note = notes[0] if notes else None
        if note is None and inspect.isclass(model) and issubclass(model, BaseModel):
            body = (name, model, not any(field.is_required() for field in model.model_fields.values()))
        else:
            getters.append((name, _getter(name, model, note, parameter)))
    return getters, body


def _getter(name: str, model: Any, note: Any, parameter: inspect.Parameter) -> Getter:
    if isinstance(note, params.Depends):
        return _DEPENDENCIES[note.dependency]
    if isinstance(note, params.Header):
        header = (note.alias or name.replace("_", "-")).lower()
        return lambda request: request.scope[EXCHANGE].headers.get(header, parameter.default)
    if isinstance(note, params.Query):
        return lambda request: _read_query(request, model)
    if model is Request:
        return lambda request: request
    if model is str and parameter.default is parameter.empty:
        return lambda request: _path_value(name, request.path_params[name])
    raise TypeError(f"parameter {name} of a route is of a kind that routes do not know")


_DEPENDENCIES: dict[Callable[..., Awaitable[Any]] | None, Getter] = {
    _call_of: lambda request: request.scope["agentgateway.call"],
    _agents_of: lambda request: request.scope["app"].agents,
    _exchange_of: lambda request: request.scope[EXCHANGE],
}


def _path_value(name: str, value: str) -> str:
    """A part of the path. One that no store could even look for names nothing."""
    if len(value) > MAX_ID_LENGTH or not value.isprintable():
        raise NotFoundError(name.removesuffix("_id"), value[:MAX_ID_LENGTH])
    return value


def _read_query(request: Request, model: type[QueryIn]) -> QueryIn:
    prefix = model.any_prefix
    given: dict[str, Any] = {}
    for name, value in request.query_params.multi_items():
        if prefix and name.startswith(f"{prefix}."):
            given.setdefault(prefix, {})[name.removeprefix(f"{prefix}.")] = value
        elif name == prefix:
            raise InvalidRequestError.of(name, f"write {prefix}.KEY=VALUE", "INVALID")
        elif name in model.repeated:
            given.setdefault(name, []).append(value)
        elif name in given:
            raise InvalidRequestError.of(name, "is given twice", "INVALID")
        else:
            given[name] = value
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise invalid_query(error) from None
