"""What the store of API keys promises; knows no make."""

import asyncio
import secrets
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest

from app.domain.credentials import (
    ApiKey,
    KeyRecord,
    digest_of,
    make_prefix,
    make_secret,
    revoked,
    rotated,
)
from app.domain.errors import (
    AlreadyExistsError,
    IllegalTransitionError,
    InvalidCursorError,
    NotFoundError,
    QuotaExceededError,
)
from app.domain.identity import TenantId
from app.domain.ids import KeyId
from app.storage.base import Stores
from tests.contract.storage.values import ACME, OTHER, T0, later, new_id

MANY = 1_000


def a_record(tenant: TenantId = ACME, *, at_s: float = 0, **fields: object) -> KeyRecord:
    prefix = make_prefix(secrets.token_bytes(8))
    key = ApiKey(
        id=KeyId(new_id("key", later(at_s))),
        prefix=prefix,
        tenant=tenant,
        subject="robot",
        scopes=frozenset({"tasks:*", "tools:read"}),
        name="Grüße \x00 🙂",
        created_at=later(at_s),
        created_by="someone",
    )
    secret = make_secret(prefix, secrets.token_bytes(32))
    return KeyRecord(key=replace(key, **fields), digest=digest_of(secret.reveal()))  # type: ignore[arg-type]


async def test_of_keys_everything_is_read_back(stores: Stores) -> None:
    record = a_record(expires_at=later(60))

    added = await stores.credentials.add(record, max_keys=MANY)

    assert added == record.key
    assert await stores.credentials.get(ACME, record.key.id) == record.key
    assert await stores.credentials.by_prefix(record.key.prefix) == record
    assert await stores.credentials.by_id(record.key.id) == record.key
    with pytest.raises(AlreadyExistsError):
        await stores.credentials.add(record, max_keys=MANY)
    with pytest.raises(AlreadyExistsError):
        await stores.credentials.add(
            replace(record, key=replace(record.key, id=KeyId("key_other"))), max_keys=MANY
        )


async def test_of_keys_nobody_else_s_are_seen(stores: Stores) -> None:
    record = a_record()
    await stores.credentials.add(record, max_keys=MANY)

    assert await stores.credentials.by_prefix("0" * 11) is None
    assert await stores.credentials.by_id(KeyId("key_none")) is None
    with pytest.raises(NotFoundError):
        await stores.credentials.get(OTHER, record.key.id)
    with pytest.raises(NotFoundError):
        await stores.credentials.update(OTHER, record.key.id, partial(revoked, at=T0))
    assert (await stores.credentials.page(OTHER, size=10, cursor=None)).items == []


async def test_of_keys_pages_are_newest_first(stores: Stores) -> None:
    records = [a_record(at_s=number) for number in range(5)]
    for record in records:
        await stores.credentials.add(record, max_keys=MANY)

    first = await stores.credentials.page(ACME, size=2, cursor=None)
    second = await stores.credentials.page(ACME, size=3, cursor=first.next_cursor)

    assert [*first.items, *second.items] == [record.key for record in reversed(records)]
    assert second.next_cursor is None
    with pytest.raises(InvalidCursorError):
        await stores.credentials.page(ACME, size=2, cursor="bm90IG91cnM")


async def test_of_keys_a_rotation_keeps_the_digest_before(stores: Stores) -> None:
    record = a_record()
    await stores.credentials.add(record, max_keys=MANY)
    decide = partial(rotated, digest=digest_of("new"), at=later(5), overlap=timedelta(seconds=60))

    key = await stores.credentials.update(ACME, record.key.id, decide)

    kept = await stores.credentials.by_prefix(record.key.prefix)
    assert kept is not None
    assert kept.key == key
    assert (kept.digest, kept.previous_digest) == (digest_of("new"), record.digest)
    assert (key.rotated_at, key.previous_until) == (later(5), later(65))


async def test_of_keys_a_refused_change_leaves_them_as_they_were(stores: Stores) -> None:
    record = a_record()
    await stores.credentials.add(record, max_keys=MANY)
    gone = await stores.credentials.update(ACME, record.key.id, partial(revoked, at=later(5)))

    again = await stores.credentials.update(ACME, record.key.id, partial(revoked, at=later(9)))
    decide = partial(rotated, digest=digest_of("new"), at=later(9), overlap=timedelta(0))
    with pytest.raises(IllegalTransitionError):
        await stores.credentials.update(ACME, record.key.id, decide)

    assert gone == again
    assert gone.revoked_at == later(5)
    assert (await stores.credentials.by_prefix(record.key.prefix)) == replace(record, key=gone)


async def test_of_keys_changed_at_once_each_change_sees_the_one_before(stores: Stores) -> None:
    record = a_record()
    await stores.credentials.add(record, max_keys=MANY)
    digests = [digest_of(str(number)) for number in range(8)]

    changes = (
        partial(rotated, digest=digest, at=later(1), overlap=timedelta(seconds=60)) for digest in digests
    )
    await asyncio.gather(*(stores.credentials.update(ACME, record.key.id, change) for change in changes))

    kept = await stores.credentials.by_prefix(record.key.prefix)
    assert kept is not None
    assert {kept.digest, kept.previous_digest} < {record.digest, *digests}
    assert kept.digest != kept.previous_digest


async def test_of_keys_uses_are_noted_all_at_once_and_never_backwards(stores: Stores) -> None:
    one, two = a_record(), a_record()
    for record in (one, two):
        await stores.credentials.add(record, max_keys=MANY)

    await stores.credentials.used({})
    await stores.credentials.used({one.key.id: later(9), KeyId("key_none"): later(9)})
    await stores.credentials.used({one.key.id: later(5), two.key.id: later(5)})

    assert (await stores.credentials.get(ACME, one.key.id)).last_used_at == later(9)
    assert (await stores.credentials.get(ACME, two.key.id)).last_used_at == later(5)


async def test_of_keys_a_tenant_has_only_so_many(stores: Stores) -> None:
    for _ in range(3):
        await stores.credentials.add(a_record(), max_keys=3)

    with pytest.raises(QuotaExceededError):
        await stores.credentials.add(a_record(), max_keys=3)
    await stores.credentials.add(a_record(OTHER), max_keys=3)


async def test_of_keys_those_that_ended_long_ago_are_forgotten(stores: Stores) -> None:
    expired, expiring, living = a_record(expires_at=later(5)), a_record(expires_at=later(50)), a_record()
    gone = a_record()
    for record in (expired, expiring, living, gone):
        await stores.credentials.add(record, max_keys=MANY)
    await stores.credentials.update(ACME, gone.key.id, partial(revoked, at=later(5)))

    assert await stores.credentials.forget(ended_before=later(10)) == 2
    assert await stores.credentials.forget(ended_before=later(10)) == 0

    kept = (await stores.credentials.page(ACME, size=10, cursor=None)).items
    assert {key.id for key in kept} == {expiring.key.id, living.key.id}
