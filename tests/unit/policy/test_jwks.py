"""The keys of an identity provider: when they are fetched, and what is kept when that fails."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import pytest

from app.domain.errors import IdentityProviderUnavailableError
from app.domain.loopback import is_trustworthy_url
from app.policy.authentication.jwks import MAX_BYTES, JwksKeys, JwksRules
from tests.identity_provider import IdentityProvider, jwk_of, open_provider, rsa_key
from tests.unit.policy.gatehouse import Clock

METADATA = "/.well-known/openid-configuration"
JWKS = "/jwks"


@dataclass
class Ring:
    """The keys, their provider and their clock."""

    provider: IdentityProvider
    keys: JwksKeys
    clock: Clock

    async def knows(self, kid: str | None) -> bool:
        return await self.keys.find(kid, "RS256") is not None

    async def until(self, condition: Callable[[], bool]) -> None:
        """Let the loop turn until the fetch is through; fails after five seconds."""
        async with asyncio.timeout(5):
            while not condition():
                await asyncio.sleep(0)


@asynccontextmanager
async def open_ring(**rules: object) -> AsyncGenerator[Ring]:
    clock = Clock()
    async with open_provider() as provider:
        given = replace(
            JwksRules(issuer=provider.issuer, ttl_s=100, cooldown_s=10, timeout_s=5),
            **rules,  # type: ignore[arg-type]
        )
        keys = JwksKeys(given, clock=clock)
        async with keys.running():
            yield Ring(provider, keys, clock)


@pytest.fixture
async def ring() -> AsyncGenerator[Ring]:
    async with open_ring() as ring:
        yield ring


async def test_the_metadata_says_where_the_keys_are(ring: Ring) -> None:
    assert await ring.knows("one")
    assert await ring.knows("one")

    assert ring.provider.asked == [METADATA, JWKS]


async def test_with_a_url_of_the_keys_nothing_else_is_asked() -> None:
    async with open_provider() as provider:
        keys = JwksKeys(
            JwksRules(issuer="https://nowhere.invalid", jwks_url=f"{provider.issuer}/jwks"), clock=Clock()
        )
        async with keys.running():
            assert await keys.find("one", "RS256") is not None

    assert provider.asked == [JWKS]


async def test_calls_that_come_at_once_share_one_fetch(ring: Ring) -> None:
    ring.provider.open.clear()
    async with asyncio.TaskGroup() as group:
        asking = [group.create_task(ring.knows("one")) for _ in range(100)]
        await ring.until(lambda: len(ring.provider.asked) == 1)
        ring.provider.open.set()

    assert all(task.result() for task in asking)
    assert ring.provider.asked == [METADATA, JWKS]


async def test_made_up_key_ids_cause_no_storm(ring: Ring) -> None:
    await ring.knows("one")
    ring.clock.s += 10

    found = await asyncio.gather(*(ring.knows(f"made up {number}") for number in range(1_000)))
    found += [await ring.knows(f"again {number}") for number in range(100)]

    assert not any(found)
    assert ring.provider.asked == [METADATA, JWKS] * 2


async def test_a_key_that_is_new_is_found_after_the_cooldown(ring: Ring) -> None:
    assert not await ring.knows("two")
    ring.provider.keys["two"] = rsa_key()

    assert not await ring.knows("two")
    ring.clock.s += 10

    assert await ring.knows("two")
    assert ring.keys.generation == 2


async def test_keys_that_are_old_are_used_while_new_ones_are_fetched(ring: Ring) -> None:
    await ring.knows("one")
    ring.provider.keys = {"one": rsa_key(), "two": rsa_key()}
    ring.provider.open.clear()
    ring.clock.s += 100

    assert await ring.knows("one")  # does not wait
    assert ring.keys.generation == 1
    ring.provider.open.set()
    await ring.until(lambda: ring.keys.generation == 2)

    assert await ring.knows("two")


async def test_the_same_keys_again_are_no_change(ring: Ring) -> None:
    await ring.knows("one")
    ring.clock.s += 100
    ring.keys.keep_fresh()
    await ring.until(lambda: len(ring.provider.asked) == 4)
    await ring.knows("another")

    assert ring.keys.generation == 1


BROKEN: dict[str, Callable[[IdentityProvider], None]] = {
    "an error": lambda p: setattr(p, "status", 503),
    "a redirect": lambda p: setattr(p, "status", 302),
    "no JSON": lambda p: setattr(p, "document", b"<html>"),
    "no object": lambda p: setattr(p, "document", b"[]"),
    "no keys": lambda p: setattr(p, "document", b'{"keys": []}'),
    "keys that are none": lambda p: setattr(p, "document", b'{"keys": [1, {}, {"kty": "oct", "k": "eA"}]}'),
    "keys for encryption": lambda p: setattr(
        p, "document", json.dumps({"keys": [jwk_of(rsa_key(), "one") | {"use": "enc"}]}).encode()
    ),
    "too much": lambda p: setattr(p, "document", b" " * (MAX_BYTES + 1)),
    "another issuer": lambda p: p.metadata.update(issuer="https://evil.example"),
    "keys in the clear elsewhere": lambda p: p.metadata.update(jwks_uri="http://192.0.2.1/jwks"),
    "keys nowhere": lambda p: p.metadata.update(jwks_uri=None),
}


@pytest.mark.parametrize("how", BROKEN)
async def test_while_fetches_fail_the_last_good_keys_stay(
    ring: Ring, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    await ring.knows("one")
    BROKEN[how](ring.provider)
    ring.clock.s += 100

    assert not await ring.knows("two")

    assert "could not be fetched" in caplog.text
    assert "Traceback" not in caplog.text
    assert await ring.knows("one")
    assert "/elsewhere" not in ring.provider.asked


@pytest.mark.parametrize("how", BROKEN)
async def test_without_any_keys_the_caller_may_come_back(ring: Ring, how: str) -> None:
    BROKEN[how](ring.provider)

    with pytest.raises(IdentityProviderUnavailableError) as error:
        await ring.knows("one")
    assert error.value.retry_after is not None
    asked = len(ring.provider.asked)
    with pytest.raises(IdentityProviderUnavailableError):
        await ring.knows("one")
    assert len(ring.provider.asked) == asked

    ring.provider.status, ring.provider.document, ring.provider.metadata = 200, None, {}
    ring.clock.s += 10
    assert await ring.knows("one")


async def test_a_provider_that_hangs_is_not_waited_for_long() -> None:
    async with open_ring(timeout_s=0.05) as ring:
        ring.provider.open.clear()

        with pytest.raises(IdentityProviderUnavailableError):
            await ring.knows("one")


async def test_a_caller_that_leaves_does_not_stop_the_fetch(ring: Ring) -> None:
    ring.provider.open.clear()
    async with asyncio.TaskGroup() as group:
        asking = group.create_task(ring.knows("one"))
        await ring.until(lambda: len(ring.provider.asked) == 1)
        asking.cancel()
    assert asking.cancelled()
    ring.provider.open.set()
    await ring.until(lambda: ring.keys.generation == 1)

    assert await ring.knows("one")


@pytest.mark.parametrize(
    ("url", "fine"),
    [
        ("https://login.example/jwks", True),
        ("http://127.0.0.1:8080/jwks", True),
        ("http://localhost/jwks", True),
        ("http://[::1]:80/jwks", True),
        ("http://login.example/jwks", False),
        ("http://127.0.0.1.evil.example/jwks", False),
        ("http://10.0.0.1/jwks", False),
        ("ftp://localhost/jwks", False),
        ("file:///etc/passwd", False),
        ("https://", False),
        ("https://host:port/", False),
        ("https://[::1", False),
        ("None", False),
        ("", False),
    ],
)
def test_keys_come_over_https_or_from_this_machine(url: str, fine: bool) -> None:
    assert is_trustworthy_url(url) is fine
