"""AccessService, and the browser sessions that only HTTP has."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from rest_api.browsers import SessionCookie
from rest_api.routing import Agents, Call, OperationRoute, answer
from rest_api.schemas.access import (
    BrowserSessionOut,
    CallerOut,
    CreateStreamTicketIn,
    CreateStreamTicketResponse,
)

router = APIRouter(route_class=OperationRoute, tags=["access"])


@router.get("/v1/caller", operation_id="getCaller")
async def get_caller(call: Call, agents: Agents) -> CallerOut:
    """As whom this very call was let in."""
    return CallerOut.from_domain(await agents.access.caller(call))


@router.post(
    "/v1/stream-tickets",
    operation_id="createStreamTicket",
    status_code=201,
    response_model=CreateStreamTicketResponse,
)
async def create_stream_ticket(body: CreateStreamTicketIn, call: Call, agents: Agents) -> Response:
    """A ticket that lets its bearer in once, as the caller, by GET on one path: for `EventSource`.

    It waits 30 s at most. A connection that broke needs a new one: an `EventSource` does not reconnect
    with a ticket that was used.
    """
    issued = await agents.access.create_ticket(call, body.path)
    return answer(CreateStreamTicketResponse.from_domain(issued), 201)


@router.post(
    "/v1/browser-sessions",
    operation_id="createBrowserSession",
    status_code=201,
    response_model=BrowserSessionOut,
)
async def create_browser_session(request: Request, call: Call, agents: Agents) -> Response:
    """Show a key or token once, and have a cookie stand for it (`HttpOnly`, `SameSite`).

    With the cookie, changes need a page of this origin (or of one in `rest.cors_origins`), and JSON or the
    header `X-Requested-With`.
    """
    opened = await agents.access.open_session(call)
    cookie = _cookie(request).written(
        opened.cookie.reveal(), max_age_s=max(1, int(opened.lifetime.total_seconds()))
    )
    return answer(BrowserSessionOut.from_domain(opened), 201, {"Set-Cookie": cookie})


@router.delete("/v1/browser-sessions/current", operation_id="deleteBrowserSession", status_code=204)
async def delete_browser_session(request: Request, call: Call, agents: Agents) -> Response:
    """End the session of the cookie that came along, and remove the cookie."""
    await agents.access.end_session(call)
    return Response(status_code=204, headers={"Set-Cookie": _cookie(request).forgotten()})


def _cookie(request: Request) -> SessionCookie:
    return request.scope["app"].cookie
