"""Sessions of browsers: how long they last, what ends them, and that no other site's page can use them."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from app.domain.errors import NotFoundError, PermissionDeniedError
from app.domain.identity import Principal
from tests.unit.policy.doorways import ZOE, Doorways, open_doorways


@pytest.fixture
async def doors(tmp_path: Path) -> AsyncIterator[Doorways]:
    async with open_doorways(tmp_path) as doors:
        yield doors


async def opened(doors: Doorways, principal: Principal = ZOE) -> str:
    return (await doors.sessions.open(principal)).cookie.reveal()


async def test_a_session_lets_in_as_whoever_opened_it(doors: Doorways) -> None:
    session = await doors.sessions.open(ZOE)

    principal = await doors.enter(cookie=session.cookie.reveal())

    assert principal == replace(
        ZOE, credential="session", credential_id=session.id, expires_at=session.expires_at
    )
    assert session.lifetime == timedelta(hours=12)
    assert session.cookie.reveal() not in repr((session, principal))


async def test_a_session_that_is_used_lasts_and_ends_after_its_time(doors: Doorways) -> None:
    cookie = await opened(doors)

    for _ in range(12 * 2 - 1):
        doors.clock.s += 1_800
        await doors.enter(cookie=cookie)
    doors.clock.s += 1_800

    await doors.refuses(cookie=cookie)


@pytest.mark.parametrize(("idle_s", "good"), [(3_599, True), (3_600, False), (7_200, False)])
async def test_a_session_that_is_not_used_ends(doors: Doorways, idle_s: int, good: bool) -> None:
    cookie = await opened(doors)
    doors.clock.s += idle_s

    if good:
        await doors.enter(cookie=cookie)
    else:
        await doors.refuses(cookie=cookie)


async def test_a_session_is_no_longer_good_than_the_token_it_came_from(doors: Doorways) -> None:
    end = doors.clock.now() + timedelta(seconds=300)
    session = await doors.sessions.open(replace(ZOE, expires_at=end))

    assert (session.expires_at, session.lifetime) == (end, timedelta(seconds=300))
    doors.clock.s += 300
    await doors.refuses(cookie=session.cookie.reveal())


async def test_with_the_key_its_sessions_end_for_good(doors: Doorways) -> None:
    cookie, other = await opened(doors), await opened(doors, replace(ZOE, credential_id="key_2"))
    doors.revoked.add(ZOE.credential_id)

    await doors.refuses(cookie=cookie)
    doors.revoked.clear()

    await doors.refuses(cookie=cookie)
    assert await doors.enter(cookie=other)


async def test_a_credential_of_a_kind_that_nobody_issues_any_more_is_not_good(doors: Doorways) -> None:
    await doors.refuses(cookie=await opened(doors, replace(ZOE, credential="token")))


async def test_a_session_that_was_ended_is_over(doors: Doorways) -> None:
    cookie, other = await opened(doors), await opened(doors)
    principal = await doors.enter(cookie=cookie)

    await doors.sessions.end(principal)
    await doors.sessions.end(principal)

    await doors.refuses(cookie=cookie)
    assert await doors.enter(cookie=other)
    with pytest.raises(NotFoundError):
        await doors.sessions.end(ZOE)


async def test_no_session_prolongs_itself(doors: Doorways) -> None:
    principal = await doors.enter(cookie=await opened(doors))

    for derived in (principal, replace(principal, credential="ticket")):
        with pytest.raises(PermissionDeniedError):
            await doors.sessions.open(derived)


@pytest.mark.parametrize("wrong", ["", "x", "x" * 43, "x" * 10_000, "\ud800"])
async def test_what_is_no_session_is_refused(doors: Doorways, wrong: str) -> None:
    await doors.refuses(cookie=wrong)


JSON = {"content-type": "application/json; charset=utf-8"}
MARK = {"x-requested-with": "fetch"}
OWN = {"origin": "https://gateway.example"}
LISTED = {"origin": "https://app.example"}


@pytest.mark.parametrize(
    ("headers", "welcome"),
    [
        (OWN | JSON, True),
        (OWN | MARK, True),
        (LISTED | JSON | {"sec-fetch-site": "cross-site"}, True),
        ({"sec-fetch-site": "same-origin"} | JSON, True),
        # Nothing tells where it comes from, or it is said to come from elsewhere.
        (JSON | MARK, False),
        ({"origin": "https://evil.example"} | JSON | MARK, False),
        ({"origin": "https://gateway.example.evil.example"} | JSON, False),
        ({"origin": "https://gateway.example:8443"} | JSON, False),
        ({"origin": "http://gateway.example"} | JSON, False),
        ({"origin": "null"} | JSON, False),
        ({"origin": "*"} | JSON, False),
        ({"origin": ""} | JSON, False),
        (OWN | JSON | {"sec-fetch-site": "same-site"}, False),
        ({"sec-fetch-site": "none"} | JSON, False),
        # What a form of our own page could send, which an injected one could, too.
        (OWN, False),
        (OWN | {"content-type": "text/plain"}, False),
        (OWN | {"content-type": "text/plain; x=application/json"}, False),
        (OWN | {"content-type": "application/x-www-form-urlencoded"}, False),
        (OWN | {"x-requested-with": ""}, False),
    ],
)
@pytest.mark.parametrize("method", ["POST", "DELETE"])
async def test_changes_are_asked_for_by_our_own_pages_only(
    doors: Doorways, headers: dict[str, str], welcome: bool, method: str
) -> None:
    cookie = await opened(doors)
    head = {"metadata": {"host": "gateway.example", **headers}, "http_method": method}

    if welcome:
        assert await doors.enter(cookie=cookie, **head)
    else:
        with pytest.raises(PermissionDeniedError):
            await doors.enter(cookie=cookie, **head)
    assert await doors.enter(cookie=cookie, metadata={"origin": "https://evil.example"})  # reading is free
