"""TaskService: the journal, in pages and as server-sent events."""

import re
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from app.domain.errors import InvalidCursorError
from app.domain.ids import TaskId
from app.service.streams import EventPage
from rest_api.event_documents import document_of
from rest_api.json_bytes import json_bytes
from rest_api.negotiation import EVENT_STREAM, JSON, preferred
from rest_api.routing import Agents, Call, Exchange, ExchangeOf, OperationRoute
from rest_api.schemas.events import AllEventsQuery, EventsQuery, ListTaskEventsOut
from rest_api.sse import OPENING, EventStream, task_frame, tenant_frame

router = APIRouter(route_class=OperationRoute, tags=["events"])

_CURSOR = re.compile(r"[0-9]{1,19}")
_STREAM: dict[str, Any] = {"text/event-stream": {}}


@router.get(
    "/v1/tasks/{task_id:id}/events",
    operation_id="listTaskEvents",
    response_model=ListTaskEventsOut,
    responses={
        200: {"content": _STREAM},
        204: {"description": "The stream is over: the task has ended and everything was seen."},
    },
)
async def list_task_events(
    task_id: str, query: Annotated[EventsQuery, Query()], call: Call, agents: Agents, exchange: ExchangeOf
) -> Response:
    """A page of a task's journal, or with `Accept: text/event-stream` all of it and what follows.

    The stream ends with the task's terminal event; the answer to the reconnect after that is 204,
    which tells a browser to stop.
    """
    after = _after(exchange, query) or 0
    if preferred(exchange.headers.get("accept"), JSON, EVENT_STREAM) == JSON:
        page = await agents.streams.page(call, TaskId(task_id), after=after, size=query.page_size)
        return Response(_page_bytes(page), headers={"Cache-Control": "no-store"}, media_type=JSON)
    watch = await agents.streams.watch(call, TaskId(task_id), after=after)
    if watch.finished:
        return Response(status_code=204)
    return EventStream(watch.items, task_frame, exchange, deadline=call.deadline)


@router.get(
    "/v1/events",
    operation_id="watchTasks",
    response_model=None,
    responses={200: {"description": "Server-sent events.", "content": _STREAM}},
)
async def watch_tasks(
    query: Annotated[AllEventsQuery, Query()], call: Call, agents: Agents, exchange: ExchangeOf
) -> Response:
    """All of the caller's tasks in one stream of server-sent events; the ids are positions.

    It starts with the id of the position it starts from, so that a reconnect loses nothing even
    before the first event.
    """
    watch = await agents.streams.watch_all(call, after=_after(exchange, query))
    opening = OPENING[:-1] + b"id: %d\n\n" % watch.after
    return EventStream(watch.items, tenant_frame, exchange, opening=opening, deadline=call.deadline)


def _after(exchange: Exchange, query: EventsQuery | AllEventsQuery) -> int | None:
    """Where the reader is: the header that browsers set by themselves wins over the URL they were given."""
    given = exchange.headers.get("last-event-id") or query.last_event_id
    if not given:
        return query.after
    if not _CURSOR.fullmatch(given):
        raise InvalidCursorError("last_event_id")
    return int(given)


def _page_bytes(page: EventPage) -> bytes:
    events = b",".join([json_bytes(document_of(event)) for event in page.events])
    return b'{"events":[%s],"next_after_seq":%d}' % (events, page.next_after or 0)
