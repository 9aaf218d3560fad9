"""Use cases of sessions."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from app.domain.call import CallContext
from app.domain.ids import SessionId, TaskId
from app.domain.paging import Page, page_size
from app.domain.sessions import Session, TranscriptEntry
from app.service.idempotency import KeyedCalls, PlainAnswers, idempotent
from app.service.inputs import MAX_TITLE_CHARS, Checks, metadata_into
from app.storage.base import SessionStore, TaskStore


class ReadTranscript(Protocol):
    """Decodes stored model messages into what a person reads (the agents' own encoding)."""

    def __call__(self, messages: Sequence[tuple[TaskId, bytes]]) -> list[TranscriptEntry]: ...


class SessionUseCases:
    """Conversations over several tasks."""

    def __init__(
        self,
        store: SessionStore,
        tasks: TaskStore,
        *,
        read_transcript: ReadTranscript,
        now: Callable[[], datetime],
        mint: Callable[[str], str],
        keyed: KeyedCalls,
    ) -> None:
        self.keyed = keyed
        self._store = store
        self._tasks = tasks
        self._read_transcript = read_transcript
        self._now = now
        self._mint = mint

    @idempotent("SessionService/CreateSession", PlainAnswers(Session))
    async def create(
        self, call: CallContext, *, title: str = "", metadata: Mapping[str, str] | None = None
    ) -> Session:
        """Raises InvalidRequestError."""
        checks = Checks()
        checks.text("title", title, MAX_TITLE_CHARS)
        metadata_into(checks, metadata or {})
        checks.done()
        now = self._now()
        session = Session(
            id=SessionId(self._mint("session")),
            tenant=call.tenant,
            title=title,
            metadata=dict(metadata or {}),
            created_at=now,
            updated_at=now,
        )
        return await self._store.add(session)

    async def get(self, call: CallContext, session_id: SessionId) -> Session:
        """Raises NotFoundError."""
        return await self._store.get(call.tenant, session_id)

    async def page(
        self, call: CallContext, *, size: int | None = None, cursor: str | None = None
    ) -> Page[Session]:
        """Newest first. Raises InvalidRequestError, InvalidCursorError."""
        return await self._store.page(call.tenant, size=page_size(size), cursor=cursor or None)

    async def delete(self, call: CallContext, session_id: SessionId) -> None:
        """Forget the session; its tasks stay. Raises NotFoundError, SessionBusyError."""
        await self._store.delete(call.tenant, session_id)

    async def transcript(self, call: CallContext, session_id: SessionId) -> list[TranscriptEntry]:
        """What was said, in order, over all tasks of the session. Raises NotFoundError."""
        await self._store.get(call.tenant, session_id)
        task_ids = await self._tasks.session_tasks(session_id)
        return self._read_transcript(await self._tasks.transcript(task_ids))
