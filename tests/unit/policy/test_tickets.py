"""One-time stream tickets: good once, for seconds, on one path, by GET."""

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from app.domain.errors import InvalidRequestError, UnauthenticatedError
from app.domain.identity import Principal
from tests.unit.policy.doorways import PATH, ZOE, Doorways, open_doorways


@pytest.fixture
async def doors(tmp_path: Path) -> AsyncIterator[Doorways]:
    async with open_doorways(tmp_path) as doors:
        yield doors


async def issued(doors: Doorways, path: str = PATH, principal: Principal = ZOE) -> str:
    return (await doors.tickets.issue(principal, path)).ticket.reveal()


async def test_a_ticket_lets_in_as_whoever_asked_for_it(doors: Doorways) -> None:
    ticket = await doors.tickets.issue(ZOE, PATH)

    principal = await doors.enter(ticket=ticket.ticket.reveal())

    assert (principal.subject, principal.tenant, principal.scopes) == (ZOE.subject, ZOE.tenant, ZOE.scopes)
    assert (principal.credential, principal.expires_at) == ("ticket", ticket.expires_at)
    assert ticket.expires_at - doors.clock.now() == timedelta(seconds=30)
    assert ticket.ticket.reveal() not in repr((ticket, principal))


async def test_a_ticket_is_good_once(doors: Doorways) -> None:
    ticket = await issued(doors)
    await doors.enter(ticket=ticket)

    await doors.refuses(ticket=ticket)


async def test_of_many_who_show_a_ticket_at_once_one_gets_in(doors: Doorways) -> None:
    ticket = await issued(doors)

    outcomes = await asyncio.gather(*(doors.enter(ticket=ticket) for _ in range(50)), return_exceptions=True)

    assert len([one for one in outcomes if isinstance(one, Principal)]) == 1
    assert len([one for one in outcomes if isinstance(one, UnauthenticatedError)]) == 49


@pytest.mark.parametrize("seconds", [30, 31, 3_600])
async def test_a_ticket_expires(doors: Doorways, seconds: int) -> None:
    ticket = await issued(doors)
    doors.clock.s += seconds

    await doors.refuses(ticket=ticket)


async def test_a_ticket_is_no_longer_good_than_what_it_was_asked_for_with(doors: Doorways) -> None:
    end = doors.clock.now() + timedelta(seconds=5)
    ticket = await doors.tickets.issue(replace(ZOE, expires_at=end), PATH)

    assert ticket.expires_at == end
    doors.clock.s += 5
    await doors.refuses(ticket=ticket.ticket.reveal())


@pytest.mark.parametrize(
    "head",
    [
        {"path": "/v1/tasks/task_2/events"},
        {"path": PATH + "/"},
        {"path": PATH.upper()},
        {"path": "/v1/events"},
        {"http_method": "POST"},
        {"http_method": "DELETE"},
        {"http_method": "HEAD"},
    ],
)
async def test_a_ticket_is_for_one_path_and_get_and_a_wrong_try_uses_it_up(
    doors: Doorways, head: dict[str, str]
) -> None:
    ticket = await issued(doors)

    await doors.refuses(ticket=ticket, **head)
    await doors.refuses(ticket=ticket)


async def test_with_the_key_its_tickets_are_revoked(doors: Doorways) -> None:
    ticket = await issued(doors)
    doors.revoked.add(ZOE.credential_id)

    await doors.refuses(ticket=ticket)


async def test_with_the_session_its_tickets_end(doors: Doorways) -> None:
    opened = await doors.sessions.open(ZOE)
    principal = await doors.enter(cookie=opened.cookie.reveal())
    good, late = [await issued(doors, principal=principal) for _ in range(2)]

    assert (await doors.enter(ticket=good)).subject == "zoe"
    await doors.sessions.end(principal)

    await doors.refuses(ticket=late)


@pytest.mark.parametrize("wrong", ["", "agwt_", "agwt_" + "x" * 43, "agwt_" + "x" * 10_000, "\ud800", "a b"])
async def test_what_is_no_ticket_is_refused(
    doors: Doorways, wrong: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        await doors.refuses(ticket=wrong)

    assert "a stream ticket was refused" in caplog.text
    assert len(wrong) < 6 or wrong not in caplog.text


async def test_a_ticket_decides_before_a_cookie(doors: Doorways) -> None:
    cookie = (await doors.sessions.open(ZOE)).cookie.reveal()

    await doors.refuses(ticket="agwt_bad", cookie=cookie)


async def test_the_path_may_be_written_as_in_a_url(doors: Doorways) -> None:
    ticket = await issued(doors, "/v1/tasks/a%20b/events")

    assert await doors.enter(ticket=ticket, path="/v1/tasks/a b/events")


@pytest.mark.parametrize("path", ["", "v1", "//evil.example/v1", "/a?b", "/a#b", "/a\nb", "/" + "x" * 1_024])
async def test_what_is_no_path_gets_no_ticket(doors: Doorways, path: str) -> None:
    with pytest.raises(InvalidRequestError) as error:
        await doors.tickets.issue(ZOE, path)

    assert [violation.field for violation in error.value.violations] == ["path"]


async def test_the_store_holds_no_ticket_and_no_cookie(doors: Doorways, tmp_path: Path) -> None:
    ticket = await issued(doors)
    cookie = (await doors.sessions.open(ZOE)).cookie.reveal()

    kept = bytes_under(tmp_path)

    assert b"zoe" in kept
    assert ticket.encode() not in kept
    assert cookie.encode() not in kept


def bytes_under(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.glob("gateway.db*"))
