"""What a feed keeps in memory."""

import gc
import weakref

from app.domain.events import MAX_EVENT_TEXT_CHARS, JournaledEvent, TextProduced
from app.domain.identity import DEFAULT_TENANT
from app.domain.ids import TaskId
from app.service.feeds import MAX_FEED_WEIGHT, Feed, Frame
from tests.tasks_made import AT


class _Noted(Frame):
    """A frame that can be watched."""

    __slots__ = ("__weakref__",)


def test_a_feed_lets_go_of_the_frames_it_no_longer_offers() -> None:
    feed, alive = Feed(), weakref.WeakSet[_Noted]()
    feed.rebase(0)
    for seq in range(1, 1_001):
        event = TextProduced(turn=1, text="x" * MAX_EVENT_TEXT_CHARS)
        frame = _Noted(
            JournaledEvent(
                task_id=TaskId("t"), tenant=DEFAULT_TENANT, seq=seq, position=seq, at=AT, event=event
            )
        )
        alive.add(frame)
        feed.extend(seq - 1, (frame,))
    del frame
    gc.collect()

    assert feed.last == 1_000
    assert sum(frame.weight for frame in alive) <= 2 * MAX_FEED_WEIGHT
