"""Tokens of an identity provider: which hold, whom they name, and that a refusal never says why."""

import hashlib
import hmac
import json
import logging
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from app.domain.errors import RateLimitedError, UnauthenticatedError
from app.domain.identity import Principal, TenantId
from app.policy.admission import CallHead, UnknownPeer
from app.policy.authentication.brake import FailureBrake
from app.policy.authentication.chain import AuthenticatorChain
from app.policy.authentication.jwks import JwksKeys, JwksRules
from app.policy.authentication.presented import refused, token_digest
from app.policy.authentication.tokens import TokenAuthenticator, TokenRules
from tests.identity_provider import (
    AUDIENCE,
    IdentityProvider,
    base64url,
    jwk_of,
    open_provider,
    public_pem,
    rsa_key,
)
from tests.unit.policy.gatehouse import Clock


@dataclass
class Checkpoint:
    """The authenticator of tokens, over a provider that really serves its keys."""

    provider: IdentityProvider
    tokens: TokenAuthenticator
    keys: JwksKeys
    monotonic: Clock
    wall: Clock

    async def enter(self, token: str) -> Principal:
        head = CallHead(
            protocol="grpc", method="m", metadata={"authorization": f"Bearer {token}"}, peer=UnknownPeer("h")
        )
        return await AuthenticatorChain([self.tokens]).authenticate(head)

    async def refuses(self, token: str) -> None:
        with pytest.raises(UnauthenticatedError) as error:
            await self.enter(token)
        assert (error.value.message, error.value.facts) == (refused().message, {})


@asynccontextmanager
async def open_checkpoint(brake: FailureBrake | None = None, **rules: Any) -> AsyncGenerator[Checkpoint]:
    monotonic, wall = Clock(), Clock()
    wall.s = time.time()
    async with open_provider() as provider:
        keys = JwksKeys(JwksRules(issuer=provider.issuer), clock=monotonic)
        given = TokenRules(issuer=provider.issuer, audiences=(AUDIENCE, "other"), **rules)
        async with keys.running():
            tokens = TokenAuthenticator(given, keys, clock=wall, brake=brake)
            yield Checkpoint(provider, tokens, keys, monotonic, wall)


@pytest.fixture
async def point() -> AsyncGenerator[Checkpoint]:
    async with open_checkpoint() as point:
        yield point


async def test_a_good_token_says_who_calls(point: Checkpoint) -> None:
    token = point.provider.token(jti="t-1")

    principal = await point.enter(token)

    assert principal.expires_at is not None
    assert principal == Principal(
        subject="zoe",
        tenant=TenantId("acme"),
        scopes=frozenset({"tasks:read", "access:read"}),
        credential="token",
        credential_id="t-1",
        expires_at=principal.expires_at,
    )
    left = principal.expires_at - point.wall.now()
    assert timedelta(seconds=620) < left < timedelta(seconds=632)


def now(after_s: int = 0) -> int:
    """Seconds since 1970, when the test runs: the files may have been read minutes before."""
    return int(time.time()) + after_s


BAD: dict[str, Callable[[IdentityProvider], str]] = {
    "expired": lambda p: p.token(exp=now(-60)),
    "not yet valid": lambda p: p.token(nbf=now(120)),
    "issued in the future": lambda p: p.token(iat=now(120)),
    "without an end": lambda p: p.token(exp=None),
    "an end that is no number": lambda p: p.token(exp="soon"),
    "an end beyond all calendars": lambda p: p.token(exp=10**18),
    "wrong audience": lambda p: p.token(aud="https://someone.else"),
    "no audience": lambda p: p.token(aud=None),
    "wrong issuer": lambda p: p.token(iss="https://evil.example"),
    "issuer with a slash more": lambda p: p.token(iss=p.issuer + "/"),
    "no subject": lambda p: p.token(sub=None),
    "an empty subject": lambda p: p.token(sub=""),
    "a subject that is no text": lambda p: p.token(sub=7),
    "a subject with control characters": lambda p: p.token(sub="a\nb"),
    "no tenant": lambda p: p.token(tenant=None),
    "a tenant too long": lambda p: p.token(tenant="x" * 65),
    "scopes that are no text": lambda p: p.token(scope=[1, 2]),
    "wrong algorithm": lambda p: p.token(alg="RS512"),
    "unknown kid": lambda p: p.token("two", key=p.keys["one"]),
    "wrong signature": lambda p: p.token(key=rsa_key()),
    "another's signature": lambda p: p.token().rpartition(".")[0] + "." + p.token(sub="x").rpartition(".")[2],
    "no signature": lambda p: p.token().rpartition(".")[0] + ".",
    "truncated": lambda p: p.token()[:-20],
    "two parts": lambda p: p.token().rpartition(".")[0],
    "garbage": lambda p: "eyJ%%%.eyJ%%%.%%%",
    "a JSON list as head": lambda p: with_head(b"[]"),
    "a head nested deep": lambda p: with_head(b'{"alg":"RS256","x":' + b"[" * 6_000),
    "a kid that is no text": lambda p: with_head(b'{"alg":"RS256","kid":{}}'),
    "an alg that is no text": lambda p: with_head(b'{"alg":["RS256"],"kid":"one"}'),
    "a critical extension": lambda p: head_of(p, crit=["exp"], exp=1),
    "huge": lambda p: p.token(padding="x" * 20_000),
}


def with_head(head: bytes) -> str:
    return f"{base64url(head)}.{base64url(b'{}')}.eA"


def head_of(provider: IdentityProvider, **head: Any) -> str:
    """A token with more in its head, signed as it should be."""
    now = int(time.time())
    claims = {"iss": provider.issuer, "aud": AUDIENCE, "sub": "zoe", "tenant": "acme", "exp": now + 60}
    return jwt.encode(claims, provider.keys["one"], algorithm="RS256", headers={"kid": "one", **head})  # type: ignore[arg-type]


def unsigned(provider: IdentityProvider, alg: str) -> str:
    claims = {"iss": provider.issuer, "aud": AUDIENCE, "sub": "zoe", "tenant": "acme", "exp": now(600)}
    head = {"alg": alg, "kid": "one", "typ": "JWT"}
    return f"{base64url(json.dumps(head).encode())}.{base64url(json.dumps(claims).encode())}."


def confused(provider: IdentityProvider) -> str:
    """The public key, which everybody has, as the secret of HS256 (RFC 8725, section 2.1)."""
    key: Any = provider.keys["one"]
    signed = unsigned(provider, "HS256").removesuffix(".")
    return f"{signed}.{base64url(hmac.digest(public_pem(key), signed.encode(), hashlib.sha256))}"


BAD |= {
    "alg none": lambda p: unsigned(p, "none"),
    "alg None": lambda p: unsigned(p, "None"),
    "RS256 key as HS256 secret": confused,
}


@pytest.mark.parametrize("flaw", BAD)
async def test_a_bad_token_is_refused_in_the_same_words_and_the_log_says_why(
    point: Checkpoint, flaw: str, caplog: pytest.LogCaptureFixture
) -> None:
    token = BAD[flaw](point.provider)
    with caplog.at_level(logging.INFO):
        await point.refuses(token)
        await point.refuses(token)

    if token.startswith("eyJ") and token.count(".") == 2:
        assert "a token was refused" in caplog.text
    assert token not in caplog.text
    for part in token.split("."):
        assert len(part) < 8 or part not in caplog.text


async def test_a_little_skew_of_the_clocks_is_forgiven(point: Checkpoint) -> None:
    now = int(time.time())

    assert await point.enter(point.provider.token(exp=now - 10))
    assert await point.enter(point.provider.token(nbf=now + 10, iat=now + 10))


async def test_a_token_that_was_good_is_refused_once_it_has_expired(point: Checkpoint) -> None:
    token = point.provider.token(exp=int(time.time()) - 25)  # good for five seconds, by the leeway
    await point.enter(token)

    point.wall.s += 20
    verified = point.tokens._verified  # pyright: ignore[reportPrivateUsage]
    assert verified.known(token_digest(token)) is None


async def test_one_of_several_audiences_is_enough(point: Checkpoint) -> None:
    assert await point.enter(point.provider.token(aud=["a", "other"]))


async def test_a_token_without_tenant_is_of_the_default_one_where_there_is_one() -> None:
    async with open_checkpoint(default_tenant=TenantId("home")) as point:
        absent = await point.enter(point.provider.token(tenant=None))
        named = await point.enter(point.provider.token())
        await point.refuses(point.provider.token(tenant=""))

    assert (absent.tenant, named.tenant) == ("home", "acme")


async def test_claims_are_found_by_name_or_path() -> None:
    rules: dict[str, Any] = {
        "subject_claim": "user.name",
        "tenant_claim": "https://x.org/t",
        "scopes_claim": "a.roles",
    }
    async with open_checkpoint(**rules, required_claims=("azp",)) as point:
        claims: dict[str, Any] = {
            "user": {"name": "Zoë"},
            "https://x.org/t": "t",
            "a": {"roles": ["tasks:read", "offline"]},
        }
        principal = await point.enter(point.provider.token(**claims, azp="app"))
        await point.refuses(point.provider.token(**claims))
        await point.refuses(point.provider.token(azp="app"))

    assert (principal.subject, principal.tenant) == ("Zoë", "t")
    assert principal.scopes == {"tasks:read", "offline"}


async def test_without_scopes_a_token_may_nothing(point: Checkpoint) -> None:
    principal = await point.enter(point.provider.token(scope=None))

    assert principal.scopes == frozenset()
    assert not principal.may("tasks:read")


@pytest.mark.parametrize("alg", ["PS256", "ES256", "EdDSA"])
async def test_each_allowed_algorithm_holds(point: Checkpoint, alg: str) -> None:
    keys = {"PS256": rsa_key, "ES256": lambda: ec.generate_private_key(ec.SECP256R1())}
    point.provider.keys["k"] = keys.get(alg, ed25519.Ed25519PrivateKey.generate)()

    assert await point.enter(point.provider.token("k", alg=alg))
    await point.refuses(point.provider.token("k", alg=alg, key=point.provider.keys["k"], sub=None))


async def test_a_key_is_used_for_the_algorithm_that_it_names_only(point: Checkpoint) -> None:
    key = point.provider.keys["one"]
    point.provider.document = json.dumps({"keys": [jwk_of(key, "one", "PS256")]}).encode()

    await point.refuses(point.provider.token())
    assert await point.enter(point.provider.token(alg="PS256"))


async def test_a_weak_key_and_a_symmetric_one_are_no_keys(point: Checkpoint) -> None:
    weak = rsa_key(1024)
    secret = b"a secret that everybody can read"
    keys = [jwk_of(weak, "weak"), {"kty": "oct", "kid": "oct", "k": base64url(secret)}]
    point.provider.document = json.dumps({"keys": [*keys, jwk_of(rsa_key(), "x")]}).encode()

    with pytest.warns():
        token = point.provider.token("weak", key=weak)
    await point.refuses(token)
    await point.refuses(point.provider.token("oct", alg="HS256", key=secret))


async def test_a_token_without_kid_is_looked_at_where_there_is_a_single_key(point: Checkpoint) -> None:
    assert await point.enter(point.provider.token(None))

    point.provider.keys["two"] = rsa_key()
    point.monotonic.s += 20
    assert await point.enter(point.provider.token("two"))
    await point.refuses(point.provider.token(None))


async def test_a_verified_token_is_not_verified_again_and_one_of_a_removed_key_is(point: Checkpoint) -> None:
    token = point.provider.token()
    first = await point.enter(token)
    assert await point.enter(token) is first

    point.provider.keys = {"two": rsa_key()}
    point.monotonic.s += 20
    assert await point.enter(point.provider.token("two"))  # an unknown key: the set is fetched anew

    await point.refuses(token)


async def test_what_reads_like_a_key_is_left_to_the_keys(point: Checkpoint) -> None:
    for token in ("", "agw_key", "a.b.c", "eyJhbGciOiJub25lIn0"):
        head = CallHead(protocol="rest", method="m", metadata={"authorization": f"Bearer {token}"})
        assert await point.tokens.recognise(head) is None


async def test_who_guesses_is_braked_and_who_is_known_is_not() -> None:
    async with open_checkpoint(FailureBrake(3, clock=Clock())) as point:
        good = point.provider.token()
        await point.enter(good)
        for number in range(3):
            await point.refuses(point.provider.token(sub=None, n=number))

        with pytest.raises(RateLimitedError):
            await point.enter(point.provider.token(n=9))
        assert await point.enter(good)
