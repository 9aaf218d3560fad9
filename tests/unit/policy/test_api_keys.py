"""Keys as admission sees them."""

import secrets
import tracemalloc
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest

from app.domain.credentials import (
    KeyRecord,
    digest_of,
    make_secret,
    rotated,
)
from app.domain.errors import RateLimitedError, StorageUnavailableError, UnauthenticatedError
from app.domain.identity import Principal
from app.policy.admission import CallHead, UnknownPeer
from app.policy.authentication.api_keys import ApiKeys
from app.policy.authentication.brake import FailureBrake
from app.policy.authentication.chain import AuthenticatorChain
from app.policy.authentication.last_uses import LastUses
from app.policy.authentication.static_keys import StaticKeys
from app.policy.authentication.stored_keys import StoredKeys
from app.policy.authentication.verified import VerifiedTokens
from tests.unit.policy.gatehouse import MAX_FAILURES, STATIC, TENANT, TTL_S, Gatehouse, wrong_key


async def test_a_stored_key_tells_who_calls(house: Gatehouse) -> None:
    expires_at = house.clock.now() + timedelta(hours=1)
    issued = await house.issue(expires_at=expires_at)
    text = issued.secret.reveal()

    expected = Principal(
        subject="robot",
        tenant=TENANT,
        scopes=frozenset({"tasks:read"}),
        credential="key",
        credential_id=issued.key.id,
        expires_at=expires_at,
    )
    assert await house.enter(text) == expected
    assert await house.enter(authorization=f"bearer  {text}") == expected
    assert await house.enter(text, authorization=f"Bearer {text}") == expected
    assert len(house.store.asked) == 1


async def test_two_different_credentials_are_refused_in_clear_words(house: Gatehouse) -> None:
    text = (await house.issue()).secret.reveal()

    assert "different credentials" in await house.refuses(text, authorization=f"Bearer {STATIC}")


async def test_a_key_of_the_settings_is_known_without_the_store(house: Gatehouse) -> None:
    house.store.away = True

    principal = await house.enter(STATIC)

    assert (principal.subject, principal.credential_id) == ("fixed", "static-0")
    assert house.store.asked == []


async def test_a_key_is_looked_up_once_within_the_time_it_is_remembered(house: Gatehouse) -> None:
    text = (await house.issue()).secret.reveal()

    for _ in range(3):
        await house.enter(text)
    house.clock.s += TTL_S
    await house.enter(text)

    assert len(house.store.asked) == 2


async def test_a_key_revoked_elsewhere_is_refused_after_that_time(house: Gatehouse) -> None:
    issued = await house.issue()
    text = issued.secret.reveal()
    await house.enter(text)

    await house.revoke(issued.key)

    await house.enter(text)
    house.clock.s += TTL_S
    await house.refuses(text)


async def test_a_key_revoked_here_is_refused_at_once(house: Gatehouse) -> None:
    issued = await house.issue()
    text = issued.secret.reveal()
    await house.enter(text)

    await house.revoke(issued.key)
    house.verified.forget(issued.key.id)

    await house.refuses(text)


async def test_what_was_read_before_a_revocation_is_not_remembered_after_it(house: Gatehouse) -> None:
    issued = await house.issue()
    text = issued.secret.reveal()
    read = house.store.by_prefix

    async def slowly(prefix: str) -> KeyRecord | None:
        record = await read(prefix)
        await house.revoke(issued.key)
        house.verified.forget(issued.key.id)
        return record

    house.store.by_prefix = slowly
    await house.enter(text)
    house.store.by_prefix = read

    await house.refuses(text)


async def test_a_key_that_expires_is_refused_from_that_moment(house: Gatehouse) -> None:
    issued = await house.issue(expires_at=house.clock.now() + timedelta(seconds=3))
    text = issued.secret.reveal()
    await house.enter(text)

    house.clock.s += 2.9
    await house.enter(text)
    house.clock.s += 0.1

    await house.refuses(text)


async def test_of_a_rotated_key_the_old_secret_is_good_until_the_overlap_ends(house: Gatehouse) -> None:
    issued = await house.issue()
    new = make_secret(issued.key.prefix, secrets.token_bytes(32))
    decide = partial(
        rotated,
        digest=digest_of(new.reveal()),
        at=house.clock.now(),
        overlap=timedelta(seconds=5),
    )
    await house.store.update(TENANT, issued.key.id, decide)

    await house.enter(new.reveal())
    await house.enter(issued.secret.reveal())
    house.clock.s += 4.9
    await house.enter(issued.secret.reveal())
    house.clock.s += 0.1

    await house.refuses(issued.secret.reveal())
    await house.enter(new.reveal())


async def test_unknown_and_wrong_keys_are_told_apart_by_nothing(house: Gatehouse) -> None:
    issued = await house.issue()
    await house.enter(issued.secret.reveal())  # it is remembered: that must not show either
    expired = await house.issue(expires_at=house.clock.now())
    gone = await house.issue(revoked_at=house.clock.now())
    house.store.asked.clear()

    answers = [
        await house.refuses(text, address=f"192.0.2.{number}")
        for number, text in enumerate(
            (
                wrong_key(),
                wrong_key(issued.key.prefix),
                wrong_key(expired.key.prefix),
                expired.secret.reveal(),
                gone.secret.reveal(),
            )
        )
    ]

    assert len(set(answers)) == 1
    assert len(house.store.asked) == len(
        answers
    )  # each cost one look-up, whether the prefix is somebody's or not
    assert await house.refuses("no key at all") == answers[0]


async def test_when_the_store_is_away_a_key_is_not_called_wrong(house: Gatehouse) -> None:
    text = (await house.issue()).secret.reveal()
    house.store.away = True

    with pytest.raises(StorageUnavailableError):
        await house.enter(text)
    house.store.away = False

    await house.enter(text)


async def test_the_same_wrong_key_again_is_no_new_guess(house: Gatehouse) -> None:
    text = wrong_key()

    for _ in range(10 * MAX_FAILURES):
        await house.refuses(text)

    assert len(house.store.asked) == 1


async def test_who_tries_one_key_after_the_other_is_braked(house: Gatehouse) -> None:
    issued, fresh = await house.issue(), await house.issue()
    await house.enter(issued.secret.reveal())
    for _ in range(MAX_FAILURES):
        await house.refuses(wrong_key())
    asked = len(house.store.asked)

    with pytest.raises(RateLimitedError) as braked:
        await house.enter(wrong_key())

    assert braked.value.retry_after == timedelta(seconds=60 / MAX_FAILURES)
    assert [quota.subject for quota in braked.value.quotas] == ["address"]
    with pytest.raises(RateLimitedError):  # right or wrong is not looked at
        await house.enter(fresh.secret.reveal())
    with pytest.raises(RateLimitedError):
        await house.enter(STATIC)
    assert len(house.store.asked) == asked
    house.clock.s += TTL_S
    await house.enter(issued.secret.reveal())  # known to be good from before: not locked out
    await house.refuses(wrong_key(), address="192.0.2.9")
    house.clock.s += 60 / MAX_FAILURES - TTL_S
    await house.enter(fresh.secret.reveal())


async def test_a_flood_of_random_keys_takes_no_memory_and_pushes_nobody_out(house: Gatehouse) -> None:
    keys = ApiKeys(
        StaticKeys([]),
        StoredKeys(house.store, now=house.clock.now),
        verified=(verified := VerifiedTokens(clock=house.clock, ttl_s=3600, max_tokens=1_000)),
        uses=house.uses,
        brake=(brake := FailureBrake(MAX_FAILURES, clock=house.clock, max_addresses=1_000)),
    )
    chain = AuthenticatorChain([keys])
    text = (await house.issue()).secret.reveal()

    async def come(token: str, number: int) -> None:
        address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        head = CallHead(
            protocol="rest", method="m", metadata={"x-api-key": token}, peer=UnknownPeer(address=address)
        )
        await chain.authenticate(head)

    await come(text, 0)
    sizes: list[int] = []
    tracemalloc.start()
    try:
        for number in range(1, 100_001):
            with suppress(UnauthenticatedError):
                await come(f"random-{number}", number)
            if number in (10_000, 100_000):
                sizes.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()

    assert (len(verified), len(brake)) == (1_001, 1_000)
    assert sizes[1] - sizes[0] < 100_000
    asked = len(house.store.asked)
    await come(text, 0)
    assert len(house.store.asked) == asked


async def test_uses_are_written_together_and_not_lost_while_the_store_is_away(house: Gatehouse) -> None:
    one, two = await house.issue(), await house.issue()
    await house.enter(one.secret.reveal())
    house.clock.s += 1
    await house.enter(one.secret.reveal())
    await house.enter(two.secret.reveal())
    await house.enter(STATIC)
    used_at = house.clock.now()

    assert (await house.kept(one.key)).last_used_at is None
    house.store.away = True
    await house.uses.flush()
    house.store.away = False
    house.clock.s += 1
    await house.enter(two.secret.reveal())
    await house.uses.flush()

    assert (await house.kept(one.key)).last_used_at == used_at
    assert (await house.kept(two.key)).last_used_at == house.clock.now()


async def test_uses_that_wait_are_bounded(house: Gatehouse) -> None:
    uses = LastUses(house.store, clock=house.clock, max_pending=10)

    for number in range(1_000):
        uses.note(f"key_{number}")

    assert len(uses._pending) == 10  # pyright: ignore[reportPrivateUsage]


async def test_whether_a_key_still_stands_can_be_asked_without_it(house: Gatehouse) -> None:
    issued = await house.issue()
    stored, static = await house.enter(issued.secret.reveal()), await house.enter(STATIC)

    assert [await house.keys.stands(one) for one in (stored, static)] == [True, True]
    await house.revoke(issued.key)

    assert not await house.keys.stands(stored)
    assert not await house.keys.stands(replace(static, subject="another"))
    assert not await house.keys.stands(replace(static, credential_id="static-1"))
