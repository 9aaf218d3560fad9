"""What the event streams send: ready bytes, several events a message."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from app.domain.errors import DrainingError
from app.service.feeds import Frame
from app.service.streams import DrainNotice, GapNotice, HeartbeatNotice, StreamItem
from grpc_service.gen.agentgateway.v1 import task_service_pb2 as pb
from grpc_service.native.mapping.events import event_to_entry
from grpc_service.native.mapping.tasks import task_to_proto

_HEARTBEAT = pb.WatchTaskResponse(notice=pb.StreamNotice(heartbeat=pb.Heartbeat())).SerializeToString()


async def event_messages(
    items: AsyncGenerator[StreamItem, None], *, head: bytes = b""
) -> AsyncGenerator[bytes, None]:
    """The stream's messages, for RunTask, WatchTask and WatchTasks alike: their fields have one numbering.

    `head` is put before the first message's own fields. Ends after the terminal event. Raises
    DrainingError after a drain notice. Leaving it closes `items`.
    """
    async with aclosing(items) as stream:
        async for item in stream:
            match item:
                case GapNotice():
                    message = _gap(item)
                case DrainNotice():
                    yield head + _drain(item)
                    raise DrainingError(
                        "the server is shutting down; go on elsewhere", retry_after=item.retry_after
                    )
                case HeartbeatNotice():
                    message = _HEARTBEAT
                case _:
                    message = b"".join([_entry(frame) for frame in item])
            yield head + message if head else message
            head = b""


def _entry(frame: Frame) -> bytes:
    return frame.encoded(event_to_entry)


def _gap(notice: GapNotice) -> bytes:
    snapshot = None if notice.snapshot is None else task_to_proto(notice.snapshot)
    gap = pb.Gap(snapshot=snapshot, next_seq=notice.next_seq)
    return pb.WatchTaskResponse(notice=pb.StreamNotice(gap=gap)).SerializeToString()


def _drain(notice: DrainNotice) -> bytes:
    drain = pb.Drain(cursor=notice.cursor)
    drain.retry_after.FromTimedelta(notice.retry_after)
    return pb.WatchTaskResponse(notice=pb.StreamNotice(drain=drain)).SerializeToString()
