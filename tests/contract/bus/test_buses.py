"""What every `EventBus` promises, and what only the one over replicas has to stand."""

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any

import pytest

from app.domain.events import JournaledEvent, TextProduced
from app.domain.identity import TenantId
from app.domain.ids import TaskId
from app.engine.base import EventBus, Wake
from app.engine.bus_local import LocalBus
from tests.contract.storage.values import T0

ACME = TenantId("acme")


class Ear:
    """A listener that can be waited on."""

    def __init__(self) -> None:
        self.heard: list[Wake] = []
        self._changed = asyncio.Event()

    def __call__(self, wake: Wake) -> None:
        self.heard.append(wake)
        self._changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    @property
    def tasks(self) -> list[TaskId]:
        return [wake.task_id for wake in self.heard if wake.task_id is not None]

    @property
    def blanks(self) -> int:
        return sum(wake.task_id is None for wake in self.heard)


def an_event(task: str, seq: int = 1) -> JournaledEvent:
    return JournaledEvent(
        task_id=TaskId(task), tenant=ACME, seq=seq, position=seq, at=T0, event=TextProduced(turn=1, text="x")
    )


@contextlib.asynccontextmanager
async def _local(request: Any) -> AsyncGenerator[EventBus]:
    yield LocalBus()


@contextlib.asynccontextmanager
async def _postgres(request: Any) -> AsyncGenerator[EventBus]:
    from app.engine.bus_postgres import PostgresBus

    yield PostgresBus(request.getfixturevalue("postgres_url"), channel="gw", replica_id="one")


@pytest.fixture(
    params=[
        pytest.param(_local, id="local"),
        pytest.param(_postgres, id="postgres", marks=pytest.mark.postgres),
    ]
)
async def bus(request: pytest.FixtureRequest) -> AsyncIterator[EventBus]:
    async with request.param(request) as bus, bus.opened():
        yield bus


async def test_of_own_commits_listeners_hear_at_once_with_the_events(bus: EventBus) -> None:
    ear = Ear()
    bus.listen(ear)
    events = [an_event("a", 1), an_event("a", 2), an_event("b", 1), an_event("a", 3)]

    bus.committed(events)

    wakes = [wake for wake in ear.heard if wake.task_id]
    assert [(wake.task_id, len(wake.events)) for wake in wakes] == [("a", 2), ("b", 1), ("a", 1)]
    assert [event for wake in wakes for event in wake.events] == events


async def test_of_a_listener_that_raises_the_others_hear(bus: EventBus) -> None:
    ear = Ear()

    def broken(_: Wake) -> None:
        raise RuntimeError("broken listener")

    bus.listen(broken)
    bus.listen(ear)

    bus.committed([an_event("a")])

    assert ear.tasks == ["a"]


async def test_of_a_listener_that_stopped_nothing_is_heard(bus: EventBus) -> None:
    ear = Ear()
    stop = bus.listen(ear)

    stop()
    stop()
    bus.committed([an_event("a")])

    assert ear.tasks == []


@pytest.mark.postgres
async def test_of_another_replica_only_committed_events_are_heard(postgres_url: str) -> None:
    import asyncpg

    from app.engine.bus_postgres import PostgresBus

    one, two = (PostgresBus(postgres_url, channel="gw", replica_id=name) for name in ("one", "two"))
    ear_one, ear_two = Ear(), Ear()
    one.listen(ear_one)
    two.listen(ear_two)

    async with one.opened(), two.opened():
        await ear_one.until(lambda: ear_one.blanks == 1)
        await ear_two.until(lambda: ear_two.blanks == 1)
        connection = await asyncpg.connect(postgres_url)
        transaction = connection.transaction()
        await transaction.start()
        await one.notify(connection, [an_event("never")])
        await transaction.rollback()
        async with connection.transaction():
            await one.notify(connection, [an_event("a"), an_event("b"), an_event("a")])
        await two.notify(connection, [an_event("last")])
        await connection.close()
        await ear_two.until(lambda: len(ear_two.tasks) == 2)
        await ear_one.until(lambda: len(ear_one.tasks) == 1)

    assert ear_two.tasks == ["a", "b"]
    assert ear_one.tasks == ["last"]
    assert ear_two.heard[-1].tenant == ACME


@pytest.mark.postgres
async def test_of_a_cut_connection_listeners_are_told_to_read_again(postgres_url: str) -> None:
    import asyncpg

    from app.engine.bus_postgres import PostgresBus

    bus = PostgresBus(postgres_url, channel="gw", replica_id="one")
    ear = Ear()
    bus.listen(ear)

    async with bus.opened():
        await ear.until(lambda: ear.blanks == 1)
        connection = await asyncpg.connect(postgres_url)
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        await ear.until(lambda: ear.blanks == 2)
        await connection.execute("SELECT pg_notify('gw', 'not json')")
        await ear.until(lambda: ear.blanks == 3)
        await connection.close()


@pytest.mark.postgres
def test_of_many_tasks_notifications_stay_below_the_limit() -> None:
    from app.engine.bus_postgres import payloads, wakes

    tasks = [(TenantId("tenänt" * 5), TaskId(f"task_{n:026}")) for n in range(1000)]

    sent = list(payloads("replica", tasks))

    assert max(len(payload.encode()) for payload in sent) < 8000
    heard = [(wake.tenant, wake.task_id) for payload in sent for wake in wakes("other", payload)]
    assert heard == tasks
    assert [wake for payload in sent for wake in wakes("replica", payload)] == []
    assert list(payloads("replica", [])) == []
    assert [json.loads(payload)[0] for payload in sent] == ["replica"] * len(sent)
