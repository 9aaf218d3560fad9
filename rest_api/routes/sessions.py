"""SessionService: conversations over several tasks."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from app.domain.ids import SessionId
from rest_api.routing import Agents, Call, OperationRoute, answer
from rest_api.schemas.base import PageQuery
from rest_api.schemas.sessions import (
    CreateSessionIn,
    GetTranscriptOut,
    ListSessionsOut,
    SessionOut,
    TranscriptEntryOut,
)

router = APIRouter(route_class=OperationRoute, tags=["sessions"])


@router.post("/v1/sessions", operation_id="createSession", status_code=201, response_model=SessionOut)
async def create_session(body: CreateSessionIn, call: Call, agents: Agents) -> Response:
    """Open a conversation."""
    session = await agents.sessions.create(call, title=body.title, metadata=body.metadata)
    return answer(SessionOut.from_domain(session), 201, {"Location": f"/v1/sessions/{session.id}"})


@router.get("/v1/sessions", operation_id="listSessions")
async def list_sessions(query: Annotated[PageQuery, Query()], call: Call, agents: Agents) -> ListSessionsOut:
    """The sessions, newest first."""
    page = await agents.sessions.page(call, size=query.page_size, cursor=query.cursor)
    return ListSessionsOut(
        sessions=[SessionOut.from_domain(session) for session in page.items], next_cursor=page.next_cursor
    )


@router.get("/v1/sessions/{session_id:id}", operation_id="getSession")
async def get_session(session_id: str, call: Call, agents: Agents) -> SessionOut:
    """One session."""
    return SessionOut.from_domain(await agents.sessions.get(call, SessionId(session_id)))


@router.delete("/v1/sessions/{session_id:id}", operation_id="deleteSession", status_code=204)
async def delete_session(session_id: str, call: Call, agents: Agents) -> None:
    """Forget the session; its tasks stay."""
    await agents.sessions.delete(call, SessionId(session_id))


@router.get("/v1/sessions/{session_id:id}/transcript", operation_id="getTranscript")
async def get_transcript(session_id: str, call: Call, agents: Agents) -> GetTranscriptOut:
    """What was said, in order, over all tasks of the session."""
    entries = await agents.sessions.transcript(call, SessionId(session_id))
    return GetTranscriptOut(entries=[TranscriptEntryOut.from_domain(entry) for entry in entries])
