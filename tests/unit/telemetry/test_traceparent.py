"""Which traceparents count, and that rendering undoes parsing."""

import pytest

from app.telemetry.traceparent import extract, inject, parse, render

GOOD = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize("value", [GOOD, GOOD[:-2] + "00"])
def test_what_is_parsed_renders_as_it_came(value: str) -> None:
    context = parse(value)

    assert context is not None
    assert render(context) == value


@pytest.mark.parametrize(
    "value",
    [
        "",
        "garbage",
        GOOD.upper(),
        GOOD + "\n",
        GOOD + "-more",
        "ff" + GOOD[2:],
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
    ],
)
def test_a_malformed_traceparent_counts_as_none(value: str) -> None:
    assert parse(value) is None
    assert extract({"traceparent": value}) is None


def test_a_later_version_may_say_more() -> None:
    context = parse("01" + GOOD[2:] + "-more")

    assert context is not None
    assert render(context) == GOOD


def test_only_a_known_trace_is_injected() -> None:
    headers: dict[str, str] = {}

    inject(None, headers)
    assert headers == {}
    inject(GOOD, headers)
    assert extract(headers) == GOOD
