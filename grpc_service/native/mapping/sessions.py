"""Sessions and what was said in them."""

from app.domain.sessions import Session, TranscriptEntry
from grpc_service.gen.agentgateway.v1 import session_service_pb2 as pb
from grpc_service.native.mapping.values import text_to_proto, timestamp_to_proto


def session_to_proto(session: Session) -> pb.Session:
    """A conversation."""
    return pb.Session(
        id=session.id,
        title=session.title,
        metadata=session.metadata,
        create_time=timestamp_to_proto(session.created_at),
        update_time=timestamp_to_proto(session.updated_at),
        task_count=session.task_count,
        last_task_id=session.last_task_id or "",
        sandbox_id=session.sandbox_id or "",
    )


def entry_to_proto(entry: TranscriptEntry) -> pb.TranscriptEntry:
    """One thing said."""
    return pb.TranscriptEntry(
        task_id=entry.task_id,
        index=entry.index,
        role=entry.role,
        text=text_to_proto(entry.text),
        tool=entry.tool,
        time=timestamp_to_proto(entry.at),
    )
