"""One attempt: where it may lead, what it makes of answers, and when it leaves a host alone."""

import asyncio
import runpy
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.breakers.board import CircuitBoard
from app.domain.breaker import BreakerPolicy
from app.domain.errors import InvalidRequestError
from app.domain.webhooks import make_webhook_secret, signed_headers, signing_key
from app.tools.egress import Egress
from app.webhooks.sender import Sender, retry_after
from app.webhooks.targets import Targets
from tests.webhooks.receiver import receiving

EXAMPLE = Path(__file__).parents[2] / "examples" / "webhook_receiver.py"
TIMEOUT = timedelta(seconds=5)


class Names:
    """A name that leads somewhere else each time it is asked for."""

    def __init__(self, *addresses: str) -> None:
        self._addresses = list(addresses)

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        del host, port
        return [self._addresses.pop(0)]


async def test_a_name_that_leads_inwards_later_is_refused_then_too() -> None:
    async with receiving() as receiver:
        targets = Targets(Egress(resolver=Names("93.184.216.34", "127.0.0.1")))
        await targets.check(f"https://rebinding.example:{receiver.port}/")

        result = await Sender(targets, timeout=TIMEOUT).send(
            f"https://rebinding.example:{receiver.port}/", {}, b"{}"
        )

        assert (result.outcome, result.status) == ("failed", None)
        assert "not on the public internet" in result.error
        assert receiver.got == []


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("https://127.0.0.1/", "PRIVATE_ADDRESS"),
        ("https://2130706433/", "PRIVATE_ADDRESS"),
        ("https://[::ffff:10.0.0.1]/", "PRIVATE_ADDRESS"),
        ("http://93.184.216.34/", "NOT_SECURE"),
        ("https://nobody.example/", "UNKNOWN_HOST"),
    ],
)
async def test_where_a_webhook_must_not_lead(url: str, reason: str) -> None:
    async def unknown(host: str, port: int) -> Sequence[str]:
        raise OSError(host, port)

    with pytest.raises(InvalidRequestError) as refused:
        await Targets(Egress(resolver=unknown)).check(url)

    assert [(one.field, one.reason) for one in refused.value.violations] == [("url", reason)]


async def test_a_host_that_fails_is_left_alone_for_a_while() -> None:
    board = CircuitBoard(BreakerPolicy(min_calls=3, open_s=7))
    async with receiving(*["500 No"] * 3) as receiver:
        sender = Sender(Targets(Egress(allowed_hosts=["127.0.0.1"])), timeout=TIMEOUT, board=board)
        results = [await sender.send(receiver.url(f"/{number}"), {}, b"{}") for number in range(5)]

    assert [one.outcome for one in results] == ["failed"] * 3 + ["postponed"] * 2
    assert results[3].retry_after is not None
    assert timedelta(0) < results[3].retry_after <= timedelta(seconds=7)
    assert len(receiver.got) == 3


async def test_a_receiver_that_says_no_is_alive_and_one_that_is_slow_is_not() -> None:
    board = CircuitBoard(BreakerPolicy(min_calls=2))
    async with receiving("400 No", "404 No", "429 Wait\r\nretry-after: 3", None, None) as receiver:
        targets = Targets(Egress(allowed_hosts=["127.0.0.1"]))
        sender = Sender(targets, timeout=TIMEOUT, board=board)
        hasty = Sender(
            targets, timeout=timedelta(seconds=0.2), board=CircuitBoard(BreakerPolicy(min_calls=2))
        )
        said = [await sender.send(receiver.url(), {}, b"{}") for _ in range(3)]
        slow = [await hasty.send(receiver.url(), {}, b"{}") for _ in range(3)]

    assert [one.status for one in said] == [400, 404, 429]
    assert said[2].retry_after == timedelta(seconds=3)
    assert [one.outcome for one in slow] == ["failed", "failed", "postponed"]


async def test_an_endless_answer_is_cut_off() -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"{}")
            writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")
            while True:
                writer.write(b"x" * 65_536)
                await writer.drain()
        except ConnectionError:
            writer.close()

    async with await asyncio.start_server(endless, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        sender = Sender(Targets(Egress(allowed_hosts=["127.0.0.1"])), timeout=TIMEOUT)
        async with asyncio.timeout(2):
            result = await sender.send(f"http://127.0.0.1:{port}/", {}, b"{}")

    assert (result.outcome, result.status) == ("succeeded", 200)


def test_the_example_takes_what_is_ours_and_nothing_else() -> None:
    genuine = runpy.run_path(str(EXAMPLE))["is_genuine"]
    secret, at = make_webhook_secret(b"k" * 32), datetime(2026, 1, 1, tzinfo=UTC)
    headers = signed_headers("delivery_1", b"{}", at, [b"another key of many bytes", signing_key(secret)])

    assert genuine(secret.reveal(), headers, b"{}", at.timestamp() + 200)
    assert not genuine(secret.reveal(), headers, b"{} ", at.timestamp())
    assert not genuine(secret.reveal(), headers, b"{}", at.timestamp() + 400)
    assert not genuine("whsec_" + "QUJD" * 10, headers, b"{}", at.timestamp())


def test_retry_after_is_read_in_both_forms() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)

    assert retry_after("120", at) == timedelta(seconds=120)
    assert retry_after("99999999", at) == timedelta(days=1)
    assert retry_after("Thu, 01 Jan 2026 00:01:00 GMT", at) == timedelta(minutes=1)
    assert retry_after("Thu, 01 Jan 1970 00:00:00 GMT", at) == timedelta(0)
    for text in (None, "", "-1", "soon", "9" * 100):
        assert retry_after(text, at) is None
