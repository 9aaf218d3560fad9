"""Journals outlive releases: what an earlier one wrote must still read, and mean what it meant."""

import json
from pathlib import Path
from typing import Any

import pytest

from app.domain.events import EVENT_TYPES
from app.storage.codec import decode_event, encode_event

RECORDED: dict[str, list[dict[str, Any]]] = json.loads(
    Path(__file__).with_name("recorded_events.json").read_text()
)
"""Bodies by stored name. Only added to: a body that changes here is a journal that cannot be read."""


def test_every_event_has_a_recorded_body() -> None:
    assert RECORDED.keys() == EVENT_TYPES.keys()


@pytest.mark.parametrize("name", sorted(RECORDED))
def test_a_recorded_body_still_says_what_it_said(name: str) -> None:
    for body in RECORDED[name]:
        again = json.loads(encode_event(decode_event(name, json.dumps(body).encode())))

        assert {field: again[field] for field in body} == body
