"""Live fan-out: what was committed, held once per feed and encoded once per protocol.

A feed is a bounded run of consecutive frames. Readers have no queue of their own, only a cursor
into it; one that lags behind the run reads the journal until it has caught up. So a slow reader
costs nobody anything, and its own memory is one page.
"""

import asyncio
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

from app.domain.events import JournaledEvent
from app.domain.identity import TenantId
from app.domain.ids import TaskId

Codec = Callable[[JournaledEvent], bytes]
Key = tuple[str, str]

MAX_FEED_FRAMES = 2_048
MAX_FEED_WEIGHT = 2 * 1024 * 1024
"""About the bytes of event text a feed keeps for its readers."""


class Frame:
    """One committed event and its encodings."""

    __slots__ = ("_encoded", "journaled", "weight")

    def __init__(self, journaled: JournaledEvent) -> None:
        self.journaled = journaled
        self.weight = _weight(journaled)
        self._encoded: dict[Codec, bytes] = {}

    def encoded(self, codec: Codec) -> bytes:
        """The event in one protocol's form, made on first use."""
        ready = self._encoded.get(codec)
        if ready is None:
            ready = self._encoded[codec] = codec(self.journaled)
        return ready


class Follower:
    """One reader's place in a feed: the cursor of what it took last."""

    __slots__ = ("cursor",)

    def __init__(self, cursor: int) -> None:
        self.cursor = cursor


class Feed:
    """The newest consecutive frames of one task, or of one tenant.

    `base` is the cursor before the first frame; `stale` says that the journal may hold more than
    this run (nobody has looked yet, or another replica committed something).
    """

    __slots__ = (
        "_frames",
        "_past_weight",
        "_start",
        "_waiters",
        "_weight",
        "base",
        "followers",
        "readers",
        "refreshing",
        "stale",
    )

    def __init__(self) -> None:
        self.base: int | None = None
        self.stale = True
        self.readers = 0
        self.followers: set[Follower] = set()
        self.refreshing = asyncio.Lock()
        self._frames: list[Frame] = []
        self._start = 0
        self._weight = 0
        self._past_weight = 0
        self._waiters: set[asyncio.Future[None]] = set()

    @property
    def last(self) -> int | None:
        """The cursor of the newest frame (or `base` when there is none)."""
        return None if self.base is None else self.base + len(self._frames) - self._start

    @contextmanager
    def following(self, cursor: int) -> Generator[Follower]:
        """Tell inside the block where a reader is, who keeps its place up to date."""
        follower = Follower(cursor)
        self.followers.add(follower)
        try:
            yield follower
        finally:
            self.followers.discard(follower)

    def after(self, cursor: int, *, max_weight: int) -> Sequence[Frame] | None:
        """Frames beyond `cursor`, up to a weight; None when this run does not reach back to it.

        A reader ahead of the run (it read the journal itself) moves the run to its cursor.
        """
        last = self.last
        if last is None or last < cursor:
            self.rebase(cursor)
        if self.base is None or cursor < self.base:
            return None
        index = self._start + cursor - self.base
        frames: list[Frame] = []
        weight = 0
        while index < len(self._frames) and (not frames or weight < max_weight):
            frame = self._frames[index]
            frames.append(frame)
            weight += frame.weight
            index += 1
        return frames

    def extend(self, cursor: int, frames: Sequence[Frame]) -> None:
        """Add frames that follow `cursor`; those already here are skipped, a hole makes it stale."""
        last = self.last
        if last is None or cursor > last:
            self.stale = True
            return
        for frame in frames[last - cursor :]:
            self._frames.append(frame)
            self._weight += frame.weight
        self._trim()

    def rebase(self, cursor: int) -> None:
        """Start an empty run here; what it lacks is in the journal, and who waits must look there."""
        self.base = cursor
        self._frames.clear()
        self._start = self._weight = self._past_weight = 0
        self.stale = True
        self.wake()

    def wake(self) -> None:
        """Let every waiting reader look again."""
        waiters, self._waiters = self._waiters, set()
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def changed(self) -> None:
        """Wait for the next `wake`."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)

    def _trim(self) -> None:
        while len(self._frames) - self._start > MAX_FEED_FRAMES or (
            self._weight > MAX_FEED_WEIGHT and len(self._frames) - self._start > 1
        ):
            weight = self._frames[self._start].weight
            self._weight -= weight
            self._past_weight += weight
            self._start += 1
            self.base = (self.base or 0) + 1
        # What is past is let go of in portions: in number, so that a frame costs little to drop, and in
        # weight, so that it costs little to keep.
        if self._start > MAX_FEED_FRAMES // 4 or self._past_weight > MAX_FEED_WEIGHT // 2:
            del self._frames[: self._start]
            self._start = self._past_weight = 0


class Feeds:
    """The feeds that somebody reads, and the two signals every reader must see: tick and drain."""

    def __init__(self) -> None:
        self._feeds: dict[Key, Feed] = {}
        self.draining = False

    @property
    def readers(self) -> int:
        """How many streams are open."""
        return sum(feed.readers for feed in self._feeds.values())

    @property
    def lags(self) -> list[int]:
        """How many events each reader has not taken yet, as far as this process knows."""
        return [
            max(0, last - follower.cursor)
            for feed in list(self._feeds.values())
            if (last := feed.last) is not None
            for follower in list(feed.followers)
        ]

    @contextmanager
    def task(self, task_id: TaskId) -> Generator[Feed]:
        """Read one task's feed inside the block."""
        with self._reading(("task", task_id)) as feed:
            yield feed

    @contextmanager
    def tenant(self, tenant: TenantId) -> Generator[Feed]:
        """Read the feed of all of a tenant's tasks inside the block."""
        with self._reading(("tenant", tenant)) as feed:
            yield feed

    def committed(self, events: Sequence[JournaledEvent]) -> None:
        """Hand out events of this process, right after their commit, in commit order."""
        if not self._feeds:
            return
        touched: set[Key] = set()
        for journaled in events:
            task_key, tenant_key = ("task", journaled.task_id), ("tenant", journaled.tenant)
            task_feed, tenant_feed = self._feeds.get(task_key), self._feeds.get(tenant_key)
            if task_feed is None and tenant_feed is None:
                continue
            frame = Frame(journaled)
            if task_feed is not None:
                task_feed.extend(journaled.seq - 1, (frame,))
                touched.add(task_key)
            if tenant_feed is not None:
                tenant_feed.extend(journaled.position - 1, (frame,))
                touched.add(tenant_key)
        for key in touched:
            self._feeds[key].wake()

    def doubt(self, task_id: TaskId | None, tenant: TenantId | None) -> None:
        """Another replica committed for this task (None: perhaps for any): readers re-read."""
        for key, feed in self._feeds.items():
            if task_id is None or key in (("task", task_id), ("tenant", tenant)):
                feed.stale = True
                feed.wake()

    def tick(self) -> None:
        """Wake every reader, so that it can send a heartbeat and poll a stale journal."""
        for feed in list(self._feeds.values()):
            feed.wake()

    def drain(self) -> None:
        """The process shuts down: every reader says so and ends."""
        self.draining = True
        self.tick()

    @contextmanager
    def _reading(self, key: Key) -> Generator[Feed]:
        feed = self._feeds.setdefault(key, Feed())
        feed.readers += 1
        try:
            yield feed
        finally:
            feed.readers -= 1
            if feed.readers == 0 and self._feeds.get(key) is feed:
                del self._feeds[key]


def _weight(journaled: JournaledEvent) -> int:
    event = journaled.event
    weight = 256
    for name in ("text", "output", "arguments_json", "instruction", "message"):
        value = getattr(event, name, None)
        if isinstance(value, str):
            weight += len(value)
    result = getattr(event, "result", None)
    if result is not None:
        weight += len(result.output) + (len(str(result.data)) if result.data else 0)
    return weight
