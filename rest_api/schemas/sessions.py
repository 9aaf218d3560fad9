"""Sessions and their transcripts."""

from datetime import datetime

from app.domain.sessions import Session, TranscriptEntry
from rest_api.schemas.base import BodyIn, Out


class CreateSessionIn(BodyIn):
    """A new conversation."""

    title: str = ""
    """At most 200 characters."""
    metadata: dict[str, str] | None = None


class SessionOut(Out):
    """A conversation over several tasks, one at a time."""

    id: str
    title: str
    metadata: dict[str, str]
    create_time: datetime
    update_time: datetime
    task_count: int
    last_task_id: str | None = None
    sandbox_id: str | None = None

    @classmethod
    def from_domain(cls, session: Session) -> "SessionOut":
        """The session, for callers."""
        return cls(
            id=session.id,
            title=session.title,
            metadata=session.metadata,
            create_time=session.created_at,
            update_time=session.updated_at,
            task_count=session.task_count,
            last_task_id=session.last_task_id,
            sandbox_id=session.sandbox_id,
        )


class ListSessionsOut(Out):
    """One page, newest first."""

    sessions: list[SessionOut]
    next_cursor: str | None = None
    """Absent on the last page."""


class TranscriptEntryOut(Out):
    """One thing said in a session."""

    task_id: str
    index: int
    role: str
    """user, assistant or tool."""
    text: str
    tool: str | None = None
    time: datetime | None = None

    @classmethod
    def from_domain(cls, entry: TranscriptEntry) -> "TranscriptEntryOut":
        """The entry, for callers."""
        return cls(
            task_id=entry.task_id,
            index=entry.index,
            role=entry.role,
            text=entry.text,
            tool=entry.tool,
            time=entry.at,
        )


class GetTranscriptOut(Out):
    """What was said, in order."""

    entries: list[TranscriptEntryOut]
