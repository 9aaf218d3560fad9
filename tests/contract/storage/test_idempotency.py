"""Calls with an idempotency key: the same on every make of the store."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from app.domain.call import KeyedCall
from app.domain.errors import DomainError, IdempotencyInProgressError, IdempotencyMismatchError
from app.storage.base import Stores
from tests.contract.storage.conftest import Committed, Opener
from tests.contract.storage.values import ACME, OTHER, T0, later


def a_call(owner: str = "first", *, at: float = 0, **fields: object) -> KeyedCall:
    call = KeyedCall(
        tenant=ACME,
        scope="Zoë:SessionService/CreateSession",
        key="ü" * 255,
        fingerprint="f" * 64,
        owner=owner,
        leased_until=later(at + 30),
        expires_at=later(at + 1_000),
    )
    return replace(call, **fields)  # type: ignore[arg-type]


async def test_of_a_call_the_first_answer_is_kept(stores: Stores) -> None:
    keyed = stores.keyed_calls
    assert await keyed.begin(a_call(), T0) is None

    with pytest.raises(IdempotencyInProgressError) as refused:
        await keyed.begin(a_call("second"), later(1))
    await keyed.finish(a_call(), b"\x00answer")

    assert refused.value.retry_after == timedelta(seconds=1)
    assert await keyed.begin(a_call("third"), later(500)) == b"\x00answer"


@pytest.mark.parametrize("finished", [False, True])
async def test_of_a_key_only_one_payload_is_taken(stores: Stores, finished: bool) -> None:
    await stores.keyed_calls.begin(a_call(), T0)
    if finished:
        await stores.keyed_calls.finish(a_call(), b"")

    for at in (1, 500):  # the lease's end changes nothing
        with pytest.raises(IdempotencyMismatchError):
            await stores.keyed_calls.begin(a_call("second", fingerprint="other"), later(at))


async def test_of_another_tenant_or_scope_the_key_is_another(stores: Stores) -> None:
    await stores.keyed_calls.begin(a_call(), T0)

    for other in (a_call(tenant=OTHER), a_call(scope="Zoë:KeyService/CreateKey"), a_call(key="k")):
        assert await stores.keyed_calls.begin(replace(other, fingerprint="other"), T0) is None


async def test_of_a_call_that_was_released_the_key_is_free(stores: Stores) -> None:
    await stores.keyed_calls.begin(a_call(), T0)
    await stores.keyed_calls.release(a_call("second"))  # not its to give
    with pytest.raises(IdempotencyInProgressError):
        await stores.keyed_calls.begin(a_call("second"), T0)

    await stores.keyed_calls.release(a_call())

    assert await stores.keyed_calls.begin(a_call("second", fingerprint="other"), T0) is None


async def test_of_an_owner_that_is_silent_the_lease_ends_and_its_answer_comes_too_late(
    stores: Stores,
) -> None:
    keyed = stores.keyed_calls
    await keyed.begin(a_call(), T0)
    await keyed.renew(a_call(), later(60))
    with pytest.raises(IdempotencyInProgressError):
        await keyed.begin(a_call("second", at=31), later(31))

    assert await keyed.begin(a_call("second", at=60), later(60)) is None
    await keyed.renew(a_call(), later(9_000))
    await keyed.finish(a_call(), b"late")
    await keyed.release(a_call())
    await keyed.finish(a_call("second"), b"of the second")

    assert await keyed.begin(a_call("third"), later(61)) == b"of the second"


async def test_of_a_call_that_expired_the_key_is_free_for_anything(stores: Stores) -> None:
    await stores.keyed_calls.begin(a_call(), T0)
    await stores.keyed_calls.finish(a_call(), b"old")

    again = a_call("second", at=1_000, fingerprint="other")

    assert await stores.keyed_calls.begin(again, later(1_000)) is None


async def _begin(stores: Stores, owner: str, key: str) -> str:
    try:
        return "owner" if await stores.keyed_calls.begin(a_call(owner, key=key), T0) is None else "answer"
    except DomainError as error:
        return error.reason


async def test_of_many_who_begin_at_once_one_owns_the_call(opener: Opener, backend: str) -> None:
    async with opener(Committed()) as first:
        if backend == "sqlite":  # one process, one store
            replicas = [first]
            outcomes = await _race(replicas)
        else:
            async with opener(Committed()) as second:
                outcomes = await _race([first, second])

    for found in outcomes:
        assert (found.count("owner"), found.count("IDEMPOTENCY_IN_PROGRESS")) == (1, 19)


async def _race(replicas: list[Stores]) -> list[list[str]]:
    found: list[list[str]] = []
    for key in "abcde":
        racers = (_begin(replicas[number % len(replicas)], str(number), key) for number in range(20))
        found.append(await asyncio.gather(*racers))
    return found


async def test_of_a_sweep_keyed_calls_that_expired_go(stores: Stores) -> None:
    future = datetime.now(UTC) + timedelta(days=1)
    old, young = a_call(key="old"), a_call(key="young", expires_at=future)
    for call in (old, young):
        await stores.keyed_calls.begin(call, T0)
        await stores.keyed_calls.finish(call, b"kept")

    await stores.retention.sweep(ended_before=T0, events_per_task=100, limit=10)

    assert await stores.keyed_calls.begin(old, T0) is None
    assert await stores.keyed_calls.begin(young, T0) == b"kept"
