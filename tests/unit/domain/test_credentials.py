"""The text of a key, and until when it opens anything."""

import secrets
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from app.domain.credentials import (
    ApiKey,
    KeyRecord,
    digest_of,
    good_until,
    make_prefix,
    make_secret,
    prefix_of,
    revoked,
    rotated,
)
from app.domain.errors import IllegalTransitionError
from app.domain.identity import TenantId
from app.domain.ids import KeyId

T0 = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
OLD, NEW, NEWER = (digest_of(text) for text in ("old", "new", "newer"))


def a_record(**fields: object) -> KeyRecord:
    key = ApiKey(
        id=KeyId("key_1"),
        prefix="p",
        tenant=TenantId("t"),
        subject="s",
        scopes=frozenset({"*"}),
        created_at=T0,
        created_by="s",
    )
    return KeyRecord(key=replace(key, **fields), digest=OLD)  # type: ignore[arg-type]


def test_a_key_tells_its_prefix_and_nothing_prints_the_rest() -> None:
    prefix = make_prefix(secrets.token_bytes(8))
    secret = make_secret(prefix, secrets.token_bytes(32))

    text = secret.reveal()

    assert prefix_of(text) == prefix
    assert text.startswith(f"agw_{prefix}_")
    assert text not in f"{secret} {secret!r}"


@pytest.mark.parametrize("entropy", [bytes(32), b"\xff" * 32], ids=["zeros", "ones"])
def test_a_key_has_one_length_whatever_the_dice_say(entropy: bytes) -> None:
    prefix = make_prefix(entropy[:8])
    text = make_secret(prefix, entropy).reveal()

    assert (len(prefix), len(text)) == (11, 65)
    assert prefix_of(text) == prefix


def test_what_is_no_key_of_ours_has_no_prefix() -> None:
    prefix = make_prefix(secrets.token_bytes(8))
    text = make_secret(prefix, secrets.token_bytes(32)).reveal()
    other = "a" if text[-1] != "a" else "b"
    wrong = [
        "",
        "agw",
        "agw__",
        "sk-abc",
        text[:-1],
        text + "0",
        text[:-1] + other,
        text.upper(),
        text + "\n",
    ]
    wrong += [text.replace(prefix, prefix[::-1] + "x"), f" {text}", "agw_" + "é" * 61, text.replace("_", "-")]

    assert [prefix_of(one) for one in wrong] == [None] * len(wrong)


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        pytest.param(a_record(), (True, None), id="endless"),
        pytest.param(a_record(expires_at=T0 + HOUR), (True, T0 + HOUR), id="expiring"),
        pytest.param(a_record(expires_at=T0), (False, None), id="expired at this moment"),
        pytest.param(a_record(revoked_at=T0 - HOUR), (False, None), id="revoked"),
        pytest.param(replace(a_record(), digest=NEW), (False, None), id="wrong"),
        pytest.param(None, (False, None), id="unknown"),
    ],
)
def test_a_secret_is_good_while_its_key_stands(
    record: KeyRecord | None, expected: tuple[bool, datetime | None]
) -> None:
    assert good_until(record, OLD, T0) == expected


def test_of_a_rotated_key_both_secrets_are_good_until_the_overlap_ends() -> None:
    record = rotated(a_record(), NEW, T0, HOUR)

    assert good_until(record, NEW, T0) == (True, None)
    assert good_until(record, OLD, T0 + HOUR - timedelta(microseconds=1)) == (True, T0 + HOUR)
    assert good_until(record, OLD, T0 + HOUR) == (False, None)
    assert good_until(record, NEW, T0 + HOUR) == (True, None)


def test_without_overlap_the_old_secret_ends_at_once() -> None:
    record = rotated(a_record(), NEW, T0, timedelta(0))

    assert good_until(record, OLD, T0) == (False, None)
    assert record.previous_digest is None


def test_a_second_rotation_ends_the_oldest_secret() -> None:
    record = rotated(rotated(a_record(), NEW, T0, HOUR), NEWER, T0, HOUR)

    assert [good_until(record, digest, T0)[0] for digest in (OLD, NEW, NEWER)] == [False, True, True]


def test_an_overlap_does_not_outlive_its_key() -> None:
    record = rotated(a_record(expires_at=T0 + HOUR / 2), NEW, T0, HOUR)

    assert good_until(record, OLD, T0) == (True, T0 + HOUR / 2)


def test_revoking_ends_both_secrets_and_is_done_once() -> None:
    record = revoked(rotated(a_record(), NEW, T0, HOUR), T0)

    assert [good_until(record, digest, T0)[0] for digest in (OLD, NEW)] == [False, False]
    assert revoked(record, T0 + HOUR) is record


@pytest.mark.parametrize("ended", [{"revoked_at": T0}, {"expires_at": T0}], ids=str)
def test_what_has_ended_is_not_rotated(ended: dict[str, datetime]) -> None:
    with pytest.raises(IllegalTransitionError):
        rotated(a_record(**ended), NEW, T0, HOUR)
