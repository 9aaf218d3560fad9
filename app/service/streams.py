"""Watching: replay from the journal, then live, without a gap and without a double.

The order matters: a reader registers at the feed first, then reads the journal up to n, then
takes frames from n + 1 on. Every stream of one task ends with its terminal event, or says why not
(`DrainNotice`); an end without either means the connection was cut.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, aclosing
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic

from app.domain.call import CallContext
from app.domain.errors import InvalidCursorError, InvalidRequestError
from app.domain.events import JournaledEvent
from app.domain.ids import TaskId
from app.domain.paging import page_size
from app.domain.tasks import Task
from app.service.feeds import Feed, Feeds, Frame
from app.storage.base import EventJournal, TaskStore

BATCH_WEIGHT = 192 * 1024
"""About the most event text handed out at once: far below gRPC's 4 MiB message limit."""
JOURNAL_PAGE = 256
MAX_CURSOR = 2**63 - 1


@dataclass(frozen=True, slots=True)
class GapNotice:
    """Events before `next_seq` are forgotten; the snapshot stands in for them.

    In a stream of all tasks there is no snapshot, and `next_seq` is a position.
    """

    snapshot: Task | None
    next_seq: int


@dataclass(frozen=True, slots=True)
class DrainNotice:
    """The server shuts down; reconnect with `cursor` after `retry_after`."""

    cursor: int
    retry_after: timedelta


@dataclass(frozen=True, slots=True)
class HeartbeatNotice:
    """Nothing happened for a heartbeat interval."""


@dataclass(frozen=True, slots=True)
class EventPage:
    """One page of a journal; `next_after` is None when the task has ended and there is no more."""

    events: Sequence[JournaledEvent]
    next_after: int | None


StreamItem = Sequence[Frame] | GapNotice | DrainNotice | HeartbeatNotice


@dataclass(frozen=True, slots=True)
class Watch:
    """An opened stream of what comes after the cursor `after`.

    `finished`: the task had ended and the cursor was at its end already.
    """

    items: AsyncGenerator[StreamItem]
    finished: bool = False
    after: int = 0


class StreamUseCases:
    """Event pages and streams."""

    def __init__(
        self,
        tasks: TaskStore,
        journal: EventJournal,
        feeds: Feeds,
        *,
        heartbeat: timedelta,
        drain_retry: timedelta = timedelta(seconds=1),
    ) -> None:
        self._tasks = tasks
        self._journal = journal
        self._feeds = feeds
        self._heartbeat_s = heartbeat.total_seconds()
        self._drain_retry = drain_retry

    async def page(self, call: CallContext, task_id: TaskId, *, after: int, size: int | None) -> EventPage:
        """One page of a task's journal. Raises NotFoundError, InvalidRequestError."""
        limit = page_size(size)
        _check_cursor(after)
        task = await self._tasks.get(call.tenant, task_id)
        events = await self._journal.read(task_id, after, limit=limit)
        seen = events[-1].seq if events else after
        return EventPage(events, None if task.state.terminal and seen >= task.last_seq else seen)

    async def watch(self, call: CallContext, task_id: TaskId, *, after: int) -> Watch:
        """Open a stream of one task's events beyond `after`.

        Raises NotFoundError; InvalidCursorError for a cursor the journal has not reached.
        """
        _check_cursor(after)
        task = await self._tasks.get(call.tenant, task_id)
        if after > task.last_seq:
            raise InvalidCursorError("after_seq")
        if task.state.terminal and after >= task.last_seq:
            return Watch(_nothing(), finished=True, after=after)
        return Watch(self._follow_task(call, task, after), after=after)

    async def watch_all(self, call: CallContext, *, after: int | None) -> Watch:
        """Open one stream of all the tenant's events; `after` None means from now on.

        Raises InvalidCursorError for a position the tenant has not reached.
        """
        _, last = await self._journal.positions(call.tenant)
        if after is None:
            after = last
        _check_cursor(after)
        if after > last:
            raise InvalidCursorError("after_position")
        return Watch(self._follow_tenant(call, after), after=after)

    async def _follow_task(self, call: CallContext, task: Task, cursor: int) -> AsyncGenerator[StreamItem]:
        task_id = task.id

        async def read(after: int) -> list[JournaledEvent]:
            return await self._journal.read(task_id, after, limit=JOURNAL_PAGE)

        async with aclosing(self._follow(self._feeds.task(task_id), read, _seq, cursor)) as items:
            async for item in items:
                if not isinstance(item, (GapNotice, DrainNotice, HeartbeatNotice)):
                    first = _seq(item[0].journaled)
                    if first != cursor + 1:
                        yield GapNotice(await self._tasks.get(call.tenant, task_id), first)
                    cursor = _seq(item[-1].journaled)
                    yield item
                    if item[-1].journaled.terminal:
                        return
                else:
                    if isinstance(item, HeartbeatNotice) and cursor < task.last_seq:
                        # Events were there when the stream began, and the journal has none: deleted?
                        await self._tasks.get(call.tenant, task_id)
                    yield item

    async def _follow_tenant(self, call: CallContext, cursor: int) -> AsyncGenerator[StreamItem]:
        async def read(after: int) -> list[JournaledEvent]:
            return await self._journal.read_tenant(call.tenant, after, limit=JOURNAL_PAGE)

        async with aclosing(self._follow(self._feeds.tenant(call.tenant), read, _position, cursor)) as items:
            async for item in items:
                if not isinstance(item, (GapNotice, DrainNotice, HeartbeatNotice)):
                    first, last = _position(item[0].journaled), _position(item[-1].journaled)
                    if first != cursor + 1 or last != cursor + len(item):
                        yield GapNotice(None, first)  # positions are dense: what is missing is forgotten
                    cursor = last
                yield item

    async def _follow(
        self,
        attached: AbstractContextManager[Feed],
        read: Callable[[int], Awaitable[list[JournaledEvent]]],
        key: Callable[[JournaledEvent], int],
        cursor: int,
    ) -> AsyncGenerator[StreamItem]:
        with attached as feed, feed.following(cursor) as follower:
            heard = monotonic()
            while True:
                frames = feed.after(cursor, max_weight=BATCH_WEIGHT)
                if frames is None:
                    frames = _portion([Frame(event) for event in await read(cursor)])
                    if not frames and feed.base is not None and feed.base > cursor:
                        cursor = follower.cursor = feed.base  # retention took what lay between
                        continue
                elif not frames and feed.stale:
                    frames = await self._refresh(feed, read, key, cursor)
                if frames:
                    cursor = follower.cursor = key(frames[-1].journaled)
                    yield frames
                    heard = monotonic()
                elif self._feeds.draining:
                    yield DrainNotice(cursor, self._drain_retry)
                    return
                elif not feed.stale and feed.last == cursor:
                    await feed.changed()
                    if monotonic() - heard >= self._heartbeat_s * 0.9 and not self._feeds.draining:
                        yield HeartbeatNotice()
                        heard = monotonic()

    async def _refresh(
        self,
        feed: Feed,
        read: Callable[[int], Awaitable[list[JournaledEvent]]],
        key: Callable[[JournaledEvent], int],
        cursor: int,
    ) -> Sequence[Frame]:
        """Bring the feed up to the journal; one reader does it for all that wait at its end."""
        async with feed.refreshing:
            fresh = feed.after(cursor, max_weight=BATCH_WEIGHT)
            if fresh or not feed.stale:
                return fresh or ()
            feed.stale = False
            try:
                events = await read(cursor)
            except BaseException:
                feed.stale = True
                raise
            frames = [Frame(event) for event in events]
            if len(events) == JOURNAL_PAGE:
                feed.stale = True
            if any(key(event) != cursor + index for index, event in enumerate(events, 1)):
                feed.rebase(key(events[-1]))  # holes left by retention: this run cannot hold them
                return _portion(frames)
            feed.extend(cursor, frames)
            feed.wake()  # others may have found it empty and not stale meanwhile
            return feed.after(cursor, max_weight=BATCH_WEIGHT) or ()


def _portion(frames: list[Frame]) -> Sequence[Frame]:
    weight = 0
    for index, frame in enumerate(frames):
        weight += frame.weight
        if weight >= BATCH_WEIGHT:
            return frames[: index + 1]
    return frames


def _seq(journaled: JournaledEvent) -> int:
    return journaled.seq


def _position(journaled: JournaledEvent) -> int:
    return journaled.position


async def _nothing() -> AsyncGenerator[StreamItem]:
    return
    yield


def _check_cursor(after: int) -> None:
    if not 0 <= after <= MAX_CURSOR:
        raise InvalidRequestError.of("after_seq", "must be a seq of this journal, 0 or more", "OUT_OF_RANGE")
