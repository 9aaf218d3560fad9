"""Secrets by what is known of them, by shape and by name; and what is none stays."""

import asyncio
import json
import threading
import time

import pytest

from app.telemetry.known_secrets import (
    MASK,
    bind,
    knowing,
    mask_held,
    mask_held_in_json,
    mask_known,
    unfinished_secret,
)
from app.telemetry.redaction import redact, redact_journal, writable

PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA\nabc+/=\n-----END RSA PRIVATE KEY-----"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abcdefghijklmnopqrst"
SHAPES = [
    "sk-proj-abcdefgh12345678",
    "sk-ant-api03-abcdefgh_-123456",
    "AIzaSyA1234567890abcdefghijklmnopqrstuvw",
    "ghp_0123456789abcdefghijklmnopqrstuvwxyzAB",
    "AKIAIOSFODNN7EXAMPLE",
    "xoxb-123456789012-abcdefGHIJ",
    "glpat-abcdefghij0123456789",
    "agw_0123456789a_0123456789abcdefghijklmnopqrstuvwxyzABCDEF",
    JWT,
    PEM,
]


@pytest.mark.parametrize("secret", SHAPES)
def test_a_key_is_found_by_its_shape_in_logs_and_journals(secret: str) -> None:
    assert redact(f"the key {secret} was refused") == f"the key {MASK} was refused"

    body = json.dumps({"text": f"the key {secret} was refused", "turn": 1}).encode()
    assert json.loads(redact_journal(body, "t")) == {"text": f"the key {MASK} was refused", "turn": 1}


@pytest.mark.parametrize(
    "text",
    [
        "set password: hunter2 in the form",
        "the bearer certificates of task-12345678 are risk-free",
        "import sk-learn-contrib as disk-usage-report",
        "Bearer tokens are explained at https://example.org/eye.key.ghost",
    ],
)
def test_a_journal_keeps_what_only_sounds_like_a_secret(text: str) -> None:
    body = json.dumps({"text": text}).encode()

    assert redact_journal(body, "t") is body


def test_what_is_known_is_found_in_every_form_while_it_is_known() -> None:
    secret = 'p4ss/w+rd"ü\\x'
    url, encoded = "http://u:p4ss%2Fw%2Brd%22%C3%BC%5Cx@h/", json.dumps({"a": secret})
    with knowing(secret), knowing(secret, "short"):
        assert mask_known(f"<{secret}> short") == f"<{MASK}> short"
        assert mask_known(url) == f"http://u:{MASK}@h/"
        assert json.loads(mask_held_in_json(encoded.encode(), "t")) == {"a": MASK}
        assert (
            json.loads(mask_held_in_json(json.dumps({"a": secret}, ensure_ascii=False).encode(), "t"))["a"]
            == MASK
        )
        seen: list[str] = []
        thread = threading.Thread(target=lambda: seen.append(redact(secret)))
        thread.start()
        thread.join()
        assert seen == [MASK]
    assert mask_known(secret) == secret


async def test_what_a_call_came_with_is_known_to_that_call_only() -> None:
    async def call(own: str, other: str) -> tuple[str, str]:
        bind(own, None, "")
        await asyncio.sleep(0)
        return mask_known(own), mask_known(other)

    async with asyncio.TaskGroup() as group:
        calls = [
            group.create_task(call(*pair))
            for pair in (("first-caller", "other-caller"), ("other-caller", "first-caller"))
        ]
    assert [task.result() for task in calls] == [
        (MASK, "other-caller"),
        (MASK, "first-caller"),
    ]
    assert mask_known("first-caller") == "first-caller"


def test_a_secret_that_comes_in_pieces_is_held_back_until_it_is_whole() -> None:
    with knowing("planted-secret-1"):
        assert unfinished_secret("you gave me plant", "t") == len("plant")
        assert unfinished_secret("you gave me planted-secret-1", "t") == 0
        assert unfinished_secret("nothing", "t") == 0
        said, held = "", ""
        for piece in ("the key is plan", "ted-se", "cret-1, and p", "lease"):
            text = mask_known(held + piece)
            keep = unfinished_secret(text, "t")
            said, held = said + text[: len(text) - keep], text[len(text) - keep :]
    assert said + held == f"the key is {MASK}, and please"


@pytest.mark.parametrize("text", ["\ud800 half", "ok \udcff end", "whole \U0001f600"])
def test_what_is_written_can_be_written(text: str) -> None:
    written = writable(text)

    written.encode()
    assert written.replace("?", "") == "".join(char for char in text if not "\ud800" <= char <= "\udfff")


def test_a_tenant_s_secret_is_known_in_its_own_texts_only_and_in_what_the_operator_reads() -> None:
    body = json.dumps({"text": "the key is k3y-of-acme"}).encode()
    with knowing("k3y-of-acme", tenant="acme"):
        assert json.loads(mask_held_in_json(body, "acme")) == {"text": f"the key is {MASK}"}
        assert mask_held_in_json(body, "other") is body
        assert mask_held("k3y-of-acme", "other") == "k3y-of-acme"
        assert mask_known("k3y-of-acme") == MASK
    assert mask_held_in_json(body, "acme") is body


@pytest.mark.parametrize("chosen", ["created_at", "succeeded", "statistics", "nodes and pods", "acme-corp"])
def test_who_chooses_a_word_as_its_key_changes_no_document(chosen: str) -> None:
    body = json.dumps(
        {"created_at": 1, "state": "succeeded", "statistics": {"nodes": "list:\nodes and pods"}}
    )
    with knowing(chosen, tenant="acme"), knowing(chosen):
        assert mask_held_in_json(body.encode(), "acme") == body.encode()


def test_names_stay_and_escapes_stay_whole() -> None:
    secret = "n0des-and-p0ds"
    body = json.dumps({secret: "list:\n0des-and-p0ds", "n": [1, {"x": f"{secret}\n"}]}).encode()
    with knowing(secret):
        assert json.loads(mask_held_in_json(body, "t")) == {
            secret: "list:\n0des-and-p0ds",
            "n": [1, {"x": f"{MASK}\n"}],
        }


@pytest.mark.parametrize("secret", SHAPES)
@pytest.mark.parametrize("before", ["keys:\n", "a\t", "\\", '"'])
def test_a_key_is_found_behind_what_json_escapes(secret: str, before: str) -> None:
    body = json.dumps({"text": f"{before}{secret}"}).encode()

    assert json.loads(redact_journal(body, "t")) == {"text": f"{before}{MASK}"}


@pytest.mark.parametrize(
    "piece", ["sk-", "ey-", "eyJ", "gh", "bearer ", "cookie=", "token ", "://a:", "password"]
)
def test_what_is_made_to_be_slow_is_not(piece: str) -> None:
    """Twice the text takes twice the time, not four times: quadratic, these would take minutes."""
    text = piece * (200_000 // len(piece))
    began = time.process_time()

    redact(text)
    redact_journal(json.dumps({"text": text}).encode(), "t")

    assert time.process_time() - began < 5


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Cookie: a=1; sid=S3CRET", f"Cookie: {MASK}"),
        ('password: "correct horse battery"', f'password: "{MASK}"'),
        ("postgresql://u:p@ss@host/db", f"postgresql://u:{MASK}@host/db"),
    ],
)
def test_a_secret_is_masked_whole(text: str, masked: str) -> None:
    assert redact(text) == masked
