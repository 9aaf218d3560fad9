"""The trail: acts are durable before they are answered, refusals are bounded, nothing is lost in silence."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from pathlib import Path

import pytest

from app.domain.audit import NOBODYS, AuditEntry, AuditFilter
from app.domain.call import CallContext
from app.domain.errors import InternalError, NotFoundError, StorageUnavailableError, UnauthenticatedError
from app.domain.identity import Principal, TenantId
from app.policy.admission import CallHead, UnknownPeer
from app.policy.audit import BEYOND, MAX_OWED, Act, AuditTrail
from app.storage.sql.audit import SqlAuditStore
from app.storage.sqlite.database import SqliteDatabase, open_database
from tests.unit.policy.gatehouse import Clock

TENANT = TenantId("acme")
PER_MINUTE = 5


class Failing(SqlAuditStore):
    """The store, away when told so, and held up when told so."""

    def __init__(self, database: SqliteDatabase) -> None:
        super().__init__(database)
        self.away = False
        self.held: asyncio.Event | None = None

    async def append(self, entries: Sequence[AuditEntry]) -> None:
        if self.away:
            raise StorageUnavailableError("away")
        if self.held is not None:
            self.held.set()
            await asyncio.Event().wait()
        await super().append(entries)


@dataclass
class Scribe:
    """A trail over a real store, with a clock of the test's own."""

    store: Failing
    clock: Clock
    trail: AuditTrail
    numbers: "count[int]" = field(default_factory=count)

    def call(self, subject: str = "zoë", **fields: object) -> CallContext:
        call: dict[str, object] = {
            "principal": Principal(subject=subject, tenant=TENANT, credential="key", credential_id="key_1"),
            "request_id": f"r-{next(self.numbers)}",
            "protocol": "rest",
            "use_case": "TaskService/CancelTask",
            "peer": UnknownPeer("192.0.2.1"),
        }
        return CallContext(**call | fields)  # type: ignore[arg-type]

    def head(self, peer: str = "192.0.2.9", method: str = "TaskService/GetTask") -> CallHead:
        return CallHead(protocol="grpc", method=method, metadata={}, peer=UnknownPeer(peer))

    async def written(self) -> list[AuditEntry]:
        """All that is in the store, the oldest first."""
        page = await self.store.page(None, AuditFilter(), size=1000, cursor=None, oldest_first=True)
        return list(page.items)


@pytest.fixture
async def scribe(tmp_path: Path) -> AsyncGenerator[Scribe]:
    clock, ids = Clock(), count()
    async with open_database(tmp_path / "gateway.db", cache_bytes=0) as database:
        store = Failing(database)
        trail = AuditTrail(
            store, now=clock.now, mint=lambda kind: f"{kind}_{next(ids):04}", refusals_per_minute=PER_MINUTE
        )
        yield Scribe(store, clock, trail)


def act(task_id: str = "task_1") -> Act:
    return Act(resource="task", resource_id=task_id)


NOT_THERE = NotFoundError("task", "task_1")


async def test_an_act_is_in_the_store_when_its_note_is_taken(scribe: Scribe) -> None:
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    await scribe.trail.record(scribe.call(traceparent=parent), act())

    (entry,) = await scribe.written()
    assert (entry.tenant, entry.subject, entry.credential, entry.credential_id) == (
        TENANT,
        "zoë",
        "key",
        "key_1",
    )
    assert (entry.action, entry.resource, entry.resource_id) == ("TaskService/CancelTask", "task", "task_1")
    assert (entry.outcome, entry.reason, entry.count) == ("ok", "", 1)
    assert (entry.request_id, entry.trace_id) == ("r-0", "0af7651916cd43dd8448eb211c80319c")
    assert (entry.protocol, entry.peer, entry.at) == ("rest", "192.0.2.1", scribe.clock.now())


async def test_texts_of_callers_are_cut_and_made_storable(scribe: Scribe) -> None:
    await scribe.trail.record(scribe.call("\ud800" + "x" * 1_000), act("\ud800y"))

    (entry,) = await scribe.written()
    assert entry.subject == "?" + "x" * 255
    assert entry.resource_id == "?y"


async def test_equal_refusals_are_one_entry_with_their_number(scribe: Scribe) -> None:
    for _ in range(1_000):
        scribe.trail.refused(scribe.call(), act(), NOT_THERE)
    scribe.trail.refused(scribe.call(), act("task_2"), NOT_THERE)
    scribe.trail.refused(scribe.call(), act(), InternalError())

    await scribe.trail.flush()

    told = [(one.resource_id, one.outcome, one.reason, one.count) for one in await scribe.written()]
    assert told == [
        ("task_1", "refused", "NOT_FOUND", 1_000),
        ("task_2", "refused", "NOT_FOUND", 1),
        ("task_1", "failed", "INTERNAL", 1),
    ]


async def test_whoever_is_turned_away_is_noted_without_a_tenant(scribe: Scribe) -> None:
    scribe.trail.turned_away(scribe.head(), None, UnauthenticatedError("no"))
    await scribe.trail.flush()

    (entry,) = await scribe.written()
    assert (entry.tenant, entry.subject, entry.credential) == (NOBODYS, "", "none")
    assert (entry.action, entry.reason, entry.peer) == ("TaskService/GetTask", "UNAUTHENTICATED", "192.0.2.9")
    assert entry.request_id


async def test_refusals_beyond_the_minute_s_number_are_counted_in_one_entry(scribe: Scribe) -> None:
    for number in range(10_000):
        scribe.trail.turned_away(scribe.head(f"10.0.{number}"), None, UnauthenticatedError("no"))
    scribe.trail.refused(scribe.call(), act(), NOT_THERE)  # strangers take no room from callers
    await scribe.trail.flush()
    assert len(await scribe.written()) == PER_MINUTE + 1

    scribe.clock.s += timedelta(minutes=1).total_seconds()
    scribe.trail.turned_away(scribe.head(), None, UnauthenticatedError("no"))
    await scribe.trail.flush()

    entries = await scribe.written()
    assert len(entries) == PER_MINUTE + 3
    (beyond,) = (one for one in entries if one.reason == BEYOND)
    assert (beyond.tenant, beyond.action, beyond.peer) == (NOBODYS, "", "")
    assert sum(one.count for one in entries) == 10_000 + 2


async def test_the_last_flush_tells_of_refusals_whose_minute_is_not_over(scribe: Scribe) -> None:
    for number in range(1_000):
        scribe.trail.turned_away(scribe.head(f"10.0.{number}"), None, UnauthenticatedError("no"))
    await scribe.trail.flush()
    assert len(await scribe.written()) == PER_MINUTE

    await scribe.trail.flush(last=True)

    entries = await scribe.written()
    assert [one.count for one in entries if one.reason == BEYOND] == [1_000 - PER_MINUTE]
    assert len(entries) == PER_MINUTE + 1


async def test_what_the_store_does_not_take_now_is_written_later(scribe: Scribe) -> None:
    scribe.store.away = True
    await scribe.trail.record(scribe.call(), act("task_1"))
    scribe.trail.refused(scribe.call(), act("task_2"), NOT_THERE)
    await scribe.trail.flush()
    scribe.store.away = False

    await scribe.trail.flush()

    assert {one.resource_id for one in await scribe.written()} == {"task_1", "task_2"}


async def test_what_waits_for_the_store_is_bounded_and_then_logged(
    scribe: Scribe, caplog: pytest.LogCaptureFixture
) -> None:
    scribe.store.away = True
    for number in range(MAX_OWED + 1):
        await scribe.trail.record(scribe.call(), act(f"task_{number}"))
    scribe.store.away = False
    await scribe.trail.flush()

    assert len(await scribe.written()) == MAX_OWED
    assert f"task_{MAX_OWED}" in caplog.records[-1].getMessage()


async def test_a_caller_that_leaves_while_its_note_is_written_leaves_the_note(scribe: Scribe) -> None:
    scribe.store.held = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        noting = group.create_task(scribe.trail.record(scribe.call(), act()))
        await scribe.store.held.wait()
        noting.cancel()
    scribe.store.held = None
    await scribe.trail.flush()

    assert [one.outcome for one in await scribe.written()] == ["ok"]


async def test_an_act_that_was_left_before_its_answer_is_unknown(scribe: Scribe) -> None:
    scribe.trail.left(scribe.call(), act())
    await scribe.trail.flush()

    assert [(one.outcome, one.reason) for one in await scribe.written()] == [("unknown", "CANCELLED")]
