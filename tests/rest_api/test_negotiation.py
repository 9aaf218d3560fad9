"""What request headers ask for."""

from datetime import timedelta

import pytest

from app.domain.errors import InvalidRequestError
from app.policy.idempotency_keys import idempotency_key_of
from rest_api.errors import HttpError
from rest_api.negotiation import (
    EVENT_STREAM,
    JSON,
    already_known,
    expected_version,
    is_json,
    preferred,
    timeout_of,
    wait_of,
)


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        (None, JSON),
        ("", JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        ("application/json", JSON),
        ("text/event-stream", EVENT_STREAM),
        ("Text/Event-Stream; charset=utf-8", EVENT_STREAM),
        ("text/*", EVENT_STREAM),
        ("application/json, text/event-stream", JSON),
        ("application/json;q=0.5, text/event-stream", EVENT_STREAM),
        ("text/event-stream;q=0.1, */*;q=0.2", JSON),
        ("text/event-stream;q=0, */*", JSON),
        ("text/html, */*;q=0.8", JSON),
    ],
)
def test_the_best_liked_media_type_is_chosen(accept: str | None, chosen: str) -> None:
    assert preferred(accept, JSON, EVENT_STREAM) == chosen


@pytest.mark.parametrize(
    "accept", ["text/html", "image/*", "application/json;q=0", "*/*;q=0", "nonsense", ";;,,", "a;q=x"]
)
def test_an_impossible_accept_is_refused(accept: str) -> None:
    with pytest.raises(HttpError) as caught:
        preferred(accept, JSON)

    assert caught.value.status == 406


@pytest.mark.parametrize(
    ("header", "key"),
    [
        ('"8e03978e"', "8e03978e"),
        ('"with \\"quotes\\" and \\\\"', 'with "quotes" and \\'),
        ("8e03978e-40d5", "8e03978e-40d5"),
        (' "spaced" ', "spaced"),
        ('"a b"', "a b"),
        (None, None),
    ],
)
def test_an_idempotency_key_may_be_quoted_or_a_word(header: str | None, key: str | None) -> None:
    headers = {} if header is None else {"idempotency-key": header}

    assert idempotency_key_of(headers) == key


@pytest.mark.parametrize(
    "header", ["", '""', '"open', 'a"b', '"a", "b"', "a, b", "ü", '"ü"', '"a";p=1', '"\\x"']
)
def test_a_malformed_idempotency_key_is_refused(header: str) -> None:
    with pytest.raises(InvalidRequestError):
        idempotency_key_of({"idempotency-key": header})


@pytest.mark.parametrize(("header", "seconds"), [("5", 5.0), ("0.25", 0.25), ("0.001", 0.001), (" 7 ", 7.0)])
def test_a_timeout_is_a_number_of_seconds(header: str, seconds: float) -> None:
    assert timeout_of({"request-timeout": header}) == seconds


@pytest.mark.parametrize("header", ["", "-1", "1s", "1e9", "nan", "inf", "0x10", "1_0", "٣"])
def test_a_timeout_that_is_none_is_refused(header: str) -> None:
    with pytest.raises(InvalidRequestError):
        timeout_of({"request-timeout": header})


@pytest.mark.parametrize(
    ("prefer", "seconds"),
    [
        (None, None),
        ("respond-async", None),
        ("wait=10", 10),
        ("WAIT = 3", 3),
        ("respond-async, wait=10", 10),
        ("wait=x", None),
        ("wait=-1", None),
        ('wait="4"; foo', 4),
    ],
)
def test_a_wait_is_preferred(prefer: str | None, seconds: int | None) -> None:
    assert wait_of(prefer) == (None if seconds is None else timedelta(seconds=seconds))


@pytest.mark.parametrize(
    ("if_match", "version"),
    [(None, None), ("*", None), ('"3"', 3), ('W/"3"', -1), ('"abc"', -1), ('"' + "9" * 30 + '"', -1)],
)
def test_if_match_names_a_version(if_match: str | None, version: int | None) -> None:
    assert expected_version(if_match) == version


@pytest.mark.parametrize("if_match", ["", "3 4", '"1", "2"', '"', "abc"])
def test_an_if_match_that_is_no_entity_tag_is_refused(if_match: str) -> None:
    with pytest.raises(InvalidRequestError):
        expected_version(if_match)


@pytest.mark.parametrize(
    ("header", "known"),
    [
        (None, False),
        ("*", True),
        ('"3"', True),
        ('W/"3"', True),
        ('"1", "3"', True),
        ('"1"', False),
        ("x", False),
    ],
)
def test_if_none_match_is_compared_weakly(header: str | None, known: bool) -> None:
    assert already_known(header, '"3"') is known


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        ("application/json", True),
        ("Application/JSON; charset=utf-8", True),
        ("application/merge-patch+json", True),
        (None, False),
        ("", False),
        ("text/plain", False),
        ("application/x-www-form-urlencoded", False),
        ("text/x+json", False),
    ],
)
def test_a_json_body_says_so(content_type: str | None, expected: bool) -> None:
    assert is_json(content_type) is expected
