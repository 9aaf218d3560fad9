"""Browser sessions and stream tickets: the same on every make of the store."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from app.domain.access import BrowserSession, StreamTicket
from app.domain.identity import Principal
from app.storage.base import Stores
from tests.contract.storage.conftest import Committed, Opener
from tests.contract.storage.values import ACME, T0, later

PRINCIPAL = Principal(
    subject="Zoë",
    tenant=ACME,
    scopes=frozenset({"tasks:read", "tools:*"}),
    credential="key",
    credential_id="key_1",
    expires_at=later(500),
)


def a_session(name: str, **fields: object) -> BrowserSession:
    session = BrowserSession(
        id=f"browser_{name}",
        digest=name * 64,
        principal=PRINCIPAL,
        created_at=T0,
        used_at=T0,
        expires_at=later(100),
    )
    return replace(session, **fields)  # type: ignore[arg-type]


def a_ticket(name: str = "a", **fields: object) -> StreamTicket:
    ticket = StreamTicket(
        digest=name * 64, principal=PRINCIPAL, path="/v1/tasks/ü/events", expires_at=later(30)
    )
    return replace(ticket, **fields)  # type: ignore[arg-type]


async def test_of_a_session_everything_is_read_back(stores: Stores) -> None:
    session = a_session("a")

    await stores.browser_sessions.add(session)

    assert await stores.browser_sessions.find(session.digest) == session
    assert await stores.browser_sessions.get(session.id) == session
    assert await stores.browser_sessions.find("b" * 64) is None
    assert await stores.browser_sessions.get("browser_b") is None


async def test_of_a_session_the_last_use_is_never_set_back(stores: Stores) -> None:
    session = a_session("a")
    await stores.browser_sessions.add(session)

    await stores.browser_sessions.touch(session.digest, later(20))
    await stores.browser_sessions.touch(session.digest, later(10))
    await stores.browser_sessions.touch("b" * 64, later(10))

    assert await stores.browser_sessions.find(session.digest) == replace(session, used_at=later(20))


async def test_of_sessions_one_is_ended_and_the_others_stay(stores: Stores) -> None:
    first, second = a_session("a"), a_session("b")
    for session in (first, second):
        await stores.browser_sessions.add(session)

    await stores.browser_sessions.end(first.id)
    await stores.browser_sessions.end(first.id)

    assert await stores.browser_sessions.find(first.digest) is None
    assert await stores.browser_sessions.find(second.digest) == second


async def test_of_a_ticket_everything_is_read_back_once(stores: Stores) -> None:
    ticket = a_ticket()
    await stores.stream_tickets.add(ticket)

    taken = [await stores.stream_tickets.take(ticket.digest) for _ in range(2)]

    assert taken == [ticket, None]


async def test_of_many_who_take_a_ticket_at_once_one_gets_it(stores: Stores) -> None:
    for name in "abcde":
        await stores.stream_tickets.add(a_ticket(name))

        taken = await asyncio.gather(*(stores.stream_tickets.take(name * 64) for _ in range(20)))

        assert [ticket for ticket in taken if ticket is not None] == [a_ticket(name)]


async def test_of_replicas_that_take_a_ticket_at_once_one_gets_it(opener: Opener, backend: str) -> None:
    if backend == "sqlite":  # one process, one store
        return
    async with opener(Committed()) as first, opener(Committed()) as second:
        for name in "0123456789abcdef":
            await first.stream_tickets.add(a_ticket(name))

            takers = [replica.stream_tickets.take(name * 64) for replica in (first, second) * 4]
            taken = await asyncio.gather(*takers)

            assert [ticket for ticket in taken if ticket is not None] == [a_ticket(name)]


async def test_of_a_sweep_what_has_expired_goes(stores: Stores) -> None:
    future = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
    old, young = a_session("a"), a_session("b", expires_at=future)
    late, early = a_ticket("a"), a_ticket("b", expires_at=future)
    for session in (old, young):
        await stores.browser_sessions.add(session)
    for ticket in (late, early):
        await stores.stream_tickets.add(ticket)

    await stores.retention.sweep(ended_before=T0, events_per_task=100, limit=10)

    assert await stores.browser_sessions.find(old.digest) is None
    assert await stores.browser_sessions.find(young.digest) == young
    assert await stores.stream_tickets.take(late.digest) is None
    assert await stores.stream_tickets.take(early.digest) == early
