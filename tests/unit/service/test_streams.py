"""Replay, live and the seam between them, over a journal that other replicas write to as well."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.domain.call import CallContext
from app.domain.errors import InvalidCursorError, NotFoundError
from app.domain.events import JournaledEvent, ProgressReported, TaskEvent, TaskSucceeded
from app.domain.identity import DEFAULT_TENANT, Principal, TenantId
from app.domain.ids import TaskId
from app.domain.tasks import Statistics, Task, TaskResult, TaskState
from app.service.feeds import Feeds
from app.service.streams import DrainNotice, GapNotice, HeartbeatNotice, StreamItem, StreamUseCases
from tests.tasks_made import AT, a_task

CALL = CallContext(principal=Principal(subject="me"), request_id="r")
END = TaskSucceeded(result=TaskResult(output="x"), statistics=Statistics())


class FakeJournal:
    """A journal and task store in memory: several tasks of one tenant, trimmed when told."""

    def __init__(self) -> None:
        self.events: list[JournaledEvent] = []
        self.tasks: dict[TaskId, Task] = {}
        self.position = 0

    def commit(self, task_id: str, *events: TaskEvent) -> list[JournaledEvent]:
        task = self.tasks.setdefault(TaskId(task_id), a_task(task_id, state=TaskState.RUNNING))
        committed: list[JournaledEvent] = []
        for event in events:
            self.position += 1
            task = replace(task, last_seq=task.last_seq + 1)
            committed.append(
                JournaledEvent(
                    task_id=task.id,
                    tenant=task.tenant,
                    seq=task.last_seq,
                    position=self.position,
                    at=AT,
                    event=event,
                )
            )
            if isinstance(event, TaskSucceeded):
                task = replace(task, state=TaskState.SUCCEEDED)
        self.tasks[task.id] = task
        self.events += committed
        return committed

    def trim(self, task_id: str, first_seq: int) -> None:
        task = self.tasks[TaskId(task_id)]
        self.tasks[task.id] = replace(task, first_seq=first_seq)
        self.events = [e for e in self.events if e.task_id != task_id or e.seq >= first_seq]

    async def get(self, tenant: TenantId, task_id: TaskId) -> Task:
        del tenant
        if task_id not in self.tasks:
            raise NotFoundError("task", task_id)
        return self.tasks[task_id]

    async def read(self, task_id: TaskId, after: int, *, limit: int = 500) -> list[JournaledEvent]:
        await asyncio.sleep(0)
        found = [e for e in self.events if e.task_id == task_id and e.seq > after][:limit]
        await asyncio.sleep(0)
        return found

    async def read_tenant(self, tenant: TenantId, after: int, *, limit: int = 500) -> list[JournaledEvent]:
        await asyncio.sleep(0)
        found = [e for e in self.events if e.tenant == tenant and e.position > after][:limit]
        await asyncio.sleep(0)
        return found

    async def positions(self, tenant: TenantId) -> tuple[int, int]:
        kept = [e.position for e in self.events if e.tenant == tenant]
        return (kept[0] if kept else self.position + 1), self.position


def opened(journal: FakeJournal, feeds: Feeds, heartbeat_s: float = 60) -> StreamUseCases:
    return StreamUseCases(journal, journal, feeds, heartbeat=timedelta(seconds=heartbeat_s))  # pyright: ignore[reportArgumentType]


def said(number: int) -> ProgressReported:
    return ProgressReported(message=str(number))


async def collect(
    items: AsyncGenerator[StreamItem], into: list[JournaledEvent], until: int | None = None
) -> None:
    async with aclosing(items) as stream:
        async for item in stream:
            if isinstance(item, (GapNotice, DrainNotice, HeartbeatNotice)):
                continue
            into.extend(frame.journaled for frame in item)
            if until is not None and len(into) >= until:
                return


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    before=st.integers(0, 600),
    steps=st.lists(st.tuples(st.sampled_from(["here", "there", "lost"]), st.integers(1, 5)), max_size=40),
    cursors=st.lists(st.integers(0, 600), min_size=1, max_size=4),
)
async def test_every_reader_gets_each_event_once_in_order(
    before: int, steps: Sequence[tuple[str, int]], cursors: Sequence[int]
) -> None:
    """`here` commits on this replica, `there` on another (a hint comes), `lost` likewise but the
    hint comes late, with the next one."""
    journal, feeds = FakeJournal(), Feeds()
    streams = opened(journal, feeds)
    journal.commit("task_1", *(said(n) for n in range(before)))
    journal.tasks.setdefault(TaskId("task_1"), a_task(state=TaskState.RUNNING))
    readers: list[tuple[int, list[JournaledEvent]]] = []

    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        for cursor in cursors:
            after = min(cursor, before)
            seen: list[JournaledEvent] = []
            readers.append((after, seen))
            watch = await streams.watch(CALL, TaskId("task_1"), after=after)
            group.create_task(collect(watch.items, seen))
        for place, count in steps:
            await asyncio.sleep(0)
            committed = journal.commit("task_1", *(said(n) for n in range(count)))
            if place == "here":
                feeds.committed(committed)
            elif place == "there":
                feeds.doubt(TaskId("task_1"), DEFAULT_TENANT)
        journal.commit("task_1", END)
        feeds.doubt(None, None)

    for after, seen in readers:
        assert [event.seq for event in seen] == list(
            range(after + 1, journal.tasks[TaskId("task_1")].last_seq + 1)
        )


async def test_one_stream_of_a_tenant_has_all_tasks_in_commit_order() -> None:
    journal, feeds = FakeJournal(), Feeds()
    journal.commit("task_1", said(1))
    watch = await opened(journal, feeds).watch_all(CALL, after=0)
    seen: list[JournaledEvent] = []

    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        group.create_task(collect(watch.items, seen, until=6))
        for number in range(5):
            await asyncio.sleep(0)
            feeds.committed(journal.commit(f"task_{number % 2}", said(number)))

    assert [event.position for event in seen] == [1, 2, 3, 4, 5, 6]


async def test_holes_that_retention_left_do_not_stop_a_tenants_stream() -> None:
    journal, feeds = FakeJournal(), Feeds()
    for number in range(10):
        journal.commit(f"task_{number % 3}", said(number))
    journal.events = [event for event in journal.events if event.task_id != "task_1"]
    watch = await opened(journal, feeds).watch_all(CALL, after=0)
    seen: list[JournaledEvent] = []

    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        group.create_task(collect(watch.items, seen, until=8))
        await asyncio.sleep(0)
        feeds.committed(journal.commit("task_2", said(99)))

    assert [event.position for event in seen] == [1, 3, 4, 6, 7, 9, 10, 11]


async def test_a_tenants_stream_says_that_events_are_missing() -> None:
    journal, feeds = FakeJournal(), Feeds()
    for number in range(6):
        journal.commit(f"task_{number}", said(number))
    journal.events = journal.events[3:]
    watch = await opened(journal, feeds).watch_all(CALL, after=1)

    async with asyncio.timeout(5), aclosing(watch.items) as items:
        notice, frames = await anext(items), await anext(items)

    assert notice == GapNotice(None, 4)
    assert not isinstance(frames, (GapNotice, DrainNotice, HeartbeatNotice))
    assert [frame.journaled.position for frame in frames] == [4, 5, 6]


async def test_a_tenants_stream_without_holes_says_no_gap() -> None:
    journal, feeds = FakeJournal(), Feeds()
    for number in range(6):
        journal.commit(f"task_{number % 2}", said(number))
    watch = await opened(journal, feeds).watch_all(CALL, after=2)

    async with asyncio.timeout(5), aclosing(watch.items) as items:
        first = await anext(items)

    assert not isinstance(first, GapNotice)


async def test_a_cursor_older_than_retention_gets_a_gap_with_a_snapshot_first() -> None:
    journal, feeds = FakeJournal(), Feeds()
    journal.commit("task_1", *(said(n) for n in range(9)), END)
    journal.trim("task_1", 6)
    watch = await opened(journal, feeds).watch(CALL, TaskId("task_1"), after=2)

    items = [item async for item in watch.items]

    assert isinstance(items[0], GapNotice)
    assert items[0].snapshot is not None
    assert (items[0].next_seq, items[0].snapshot.last_seq) == (6, 10)
    assert not isinstance(items[1], (GapNotice, DrainNotice, HeartbeatNotice))
    assert [frame.journaled.seq for frame in items[1]] == [6, 7, 8, 9, 10]


async def test_a_finished_task_at_its_end_has_nothing_left() -> None:
    journal, feeds = FakeJournal(), Feeds()
    journal.commit("task_1", said(1), END)

    watch = await opened(journal, feeds).watch(CALL, TaskId("task_1"), after=2)

    assert watch.finished
    assert [item async for item in watch.items] == []


async def test_a_cursor_the_journal_has_not_reached_is_refused() -> None:
    journal, feeds = FakeJournal(), Feeds()
    journal.commit("task_1", said(1))

    with pytest.raises(InvalidCursorError):
        await opened(journal, feeds).watch(CALL, TaskId("task_1"), after=2)


async def test_a_drain_is_told_with_the_cursor_after_what_was_committed() -> None:
    journal, feeds = FakeJournal(), Feeds()
    journal.commit("task_1", said(1), said(2))
    watch = await opened(journal, feeds).watch(CALL, TaskId("task_1"), after=0)
    feeds.drain()

    items = [item async for item in watch.items]

    assert isinstance(items[-1], DrainNotice)
    assert items[-1].cursor == 2


async def test_a_tick_makes_a_quiet_stream_say_that_it_lives() -> None:
    journal, feeds = FakeJournal(), Feeds()
    journal.commit("task_1", said(1))
    watch = await opened(journal, feeds, heartbeat_s=0).watch(CALL, TaskId("task_1"), after=1)

    async with asyncio.timeout(5), aclosing(watch.items) as items, asyncio.TaskGroup() as group:
        waiting = group.create_task(anext(items))
        while not feeds.readers:
            await asyncio.sleep(0)
        while not waiting.done():
            feeds.tick()
            await asyncio.sleep(0)

        assert isinstance(waiting.result(), HeartbeatNotice)


async def test_a_feed_that_nobody_reads_is_not_kept() -> None:
    journal, feeds = FakeJournal(), Feeds()
    journal.commit("task_1", said(1))
    watch = await opened(journal, feeds).watch(CALL, TaskId("task_1"), after=0)
    await anext(watch.items)
    assert feeds.readers == 1

    await watch.items.aclose()

    assert feeds.readers == 0


async def test_an_event_is_encoded_once_for_all_readers() -> None:
    journal, feeds = FakeJournal(), Feeds()
    journal.commit("task_1", said(1))
    calls: list[int] = []

    def codec(journaled: JournaledEvent) -> bytes:
        calls.append(journaled.seq)
        return b"x"

    async def read(items: AsyncGenerator[StreamItem]) -> None:
        async with aclosing(items) as stream:
            async for item in stream:
                if not isinstance(item, (GapNotice, DrainNotice, HeartbeatNotice)):
                    for frame in item:
                        frame.encoded(codec)

    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        for _ in range(10):
            watch = await opened(journal, feeds).watch(CALL, TaskId("task_1"), after=1)
            group.create_task(read(watch.items))
        while feeds.readers < 10:
            await asyncio.sleep(0)
        feeds.committed(journal.commit("task_1", said(2), END))

    assert calls == [2, 3]


async def test_a_stream_of_a_task_that_is_deleted_before_its_first_read_ends() -> None:
    journal, feeds = FakeJournal(), Feeds()
    journal.commit("t", said(1), END)
    watch = await opened(journal, feeds, heartbeat_s=0).watch(CALL, TaskId("t"), after=0)
    journal.trim("t", 99)
    del journal.tasks[TaskId("t")]

    with pytest.raises(NotFoundError):
        await _ended_by_ticks(watch.items, feeds)


async def _ended_by_ticks(items: AsyncGenerator[StreamItem], feeds: Feeds) -> None:
    """Tick until the stream ends; it must not take more than a few heartbeats."""
    loop = asyncio.get_running_loop()

    def tick() -> None:
        nonlocal timer
        feeds.tick()
        timer = loop.call_later(0.01, tick)

    timer = loop.call_later(0, tick)
    try:
        async with asyncio.timeout(20), aclosing(items):
            for _ in range(3):
                assert isinstance(await anext(items), HeartbeatNotice)
    finally:
        timer.cancel()
