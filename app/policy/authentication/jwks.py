"""The keys an identity provider signs its tokens with: fetched, kept, and fetched again when they change.

A JSON Web Key Set (RFC 7517) from a URL of its own, or from the issuer's metadata (OpenID Connect
Discovery 1.0, section 4).
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import httpx
import orjson
from jwt import PyJWK
from jwt.exceptions import PyJWTError

from app.domain.errors import IdentityProviderUnavailableError
from app.domain.loopback import is_trustworthy_url

log = logging.getLogger(__name__)

DISCOVERY: Final = "/.well-known/openid-configuration"
MAX_BYTES: Final = 512 * 1024
"""Of a document; the sets of large providers have some 20 KiB."""
MAX_KEYS: Final = 200
_KEY_TYPES: Final = frozenset({"RSA", "EC", "OKP"})
"""Asymmetric ones. A set is public: a symmetric key in it is no secret (RFC 8725, section 2.1)."""


class _FetchError(Exception):
    """The set could not be had; says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JwksRules:
    """Where the keys are and how often to look. `jwks_url` empty: the issuer's metadata says it."""

    issuer: str
    jwks_url: str = ""
    ttl_s: float = 3_600.0
    """After this the next call has the set fetched again, and does not wait for it."""
    cooldown_s: float = 10.0
    """From one fetch to the next, at least: made-up key ids cause no storm."""
    timeout_s: float = 5.0
    """Of one fetch, discovery included."""


class JwksKeys:
    """One task fetches, inside `running`; callers ask it and may wait for its next answer.

    So there is never more than one fetch at a time. While fetches fail, the last good set stays.
    """

    def __init__(self, rules: JwksRules, *, clock: Callable[[], float]) -> None:
        """`clock`: monotonic seconds."""
        self._rules = rules
        self._clock = clock
        self._set: Mapping[str, Mapping[str, Any]] | None = None
        self._made: dict[tuple[str, str], PyJWK | None] = {}
        self._tried_at: float | None = None
        self._stale_at = 0.0
        self._wanted = asyncio.Event()
        self._answered = asyncio.Event()
        self.generation = 0
        """Rises when the set is another than before: what was verified with an old key counts no more."""

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Fetch what is asked for, until the block is left."""
        # Proxies and certificates of the environment (SSL_CERT_FILE) are for the world, not for this machine.
        world = (self._rules.jwks_url or self._rules.issuer).startswith("https:")
        async with (
            httpx.AsyncClient(follow_redirects=False, trust_env=world, verify=world) as client,
            asyncio.TaskGroup() as group,
        ):
            serving = group.create_task(self._serve(client), name="jwks")
            self._ask()  # so that the first token need not wait, and the log tells early what is wrong
            try:
                yield
            finally:
                serving.cancel()

    def keep_fresh(self) -> None:
        """Have the set fetched when it is due; never waits. Costs a comparison."""
        if self._clock() >= self._stale_at and self._may_fetch():
            self._ask()

    async def find(self, kid: str | None, algorithm: str) -> PyJWK | None:
        """The key of that id for that algorithm, None when the provider has no such one.

        Without an id there is one only where the set has a single key. An unknown id has the set fetched
        again, once in `cooldown_s`, and waits for it, at most `timeout_s`.

        Raises IdentityProviderUnavailableError when there has never been a set.
        """
        self.keep_fresh()
        if self._set is None or not self._knows(kid):
            await self._fetched()
        if self._set is None:
            wait = timedelta(seconds=self._rules.cooldown_s)
            raise IdentityProviderUnavailableError(
                "the keys of the identity provider cannot be fetched now", retry_after=wait
            )
        if kid is None:
            kid = next(iter(self._set)) if len(self._set) == 1 else ""
        return self._key(kid, algorithm)

    def _knows(self, kid: str | None) -> bool:
        return self._set is not None and (kid is None or kid in self._set)

    def _key(self, kid: str, algorithm: str) -> PyJWK | None:
        assert self._set is not None  # noqa: S101 - looked at by `find`
        found = self._set.get(kid)
        if found is None:
            return None
        if (kid, algorithm) not in self._made:  # as many as keys times allowed algorithms
            self._made[kid, algorithm] = _key_of(found, algorithm)
        return self._made[kid, algorithm]

    def _may_fetch(self) -> bool:
        return self._tried_at is None or self._clock() - self._tried_at >= self._rules.cooldown_s

    async def _fetched(self) -> None:
        """Wait for the fetch that is on its way, or for a new one when it may be."""
        if not self._wanted.is_set():
            if not self._may_fetch():
                return
            self._ask()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._rules.timeout_s + 1.0):
                await self._answered.wait()

    def _ask(self) -> None:
        if not self._wanted.is_set():
            self._wanted.set()
            self._answered.clear()

    async def _serve(self, client: httpx.AsyncClient) -> None:
        while True:
            await self._wanted.wait()
            try:
                async with asyncio.timeout(self._rules.timeout_s):
                    self._take(await self._fetch(client))
            except (_FetchError, httpx.HTTPError, httpx.InvalidURL, TimeoutError, OSError) as error:
                reason = str(error) if isinstance(error, _FetchError) else type(error).__name__
                log.warning("the keys of the identity provider could not be fetched: %s", reason)
            finally:
                self._tried_at = self._clock()
                self._wanted.clear()
                self._answered.set()

    def _take(self, found: Mapping[str, Mapping[str, Any]]) -> None:
        self._stale_at = self._clock() + self._rules.ttl_s
        if found != self._set:
            self._set, self._made = found, {}
            self.generation += 1
            log.info("the identity provider has %d keys", len(found))

    async def _fetch(self, client: httpx.AsyncClient) -> Mapping[str, Mapping[str, Any]]:
        url = self._rules.jwks_url
        if not url:
            metadata = await _get(client, self._rules.issuer.rstrip("/") + DISCOVERY)
            if metadata.get("issuer") != self._rules.issuer:  # Discovery 1.0, section 4.3
                raise _FetchError("the metadata is of another issuer")
            url = str(metadata.get("jwks_uri", ""))
            if not is_trustworthy_url(url):
                raise _FetchError("jwks_uri of the metadata is neither https nor on this machine")
        return _usable(await _get(client, url))


async def _get(client: httpx.AsyncClient, url: str) -> dict[str, Any]:
    body = bytearray()
    headers = {"accept": "application/json", "accept-encoding": "identity"}
    async with client.stream("GET", url, headers=headers) as answer:
        if answer.status_code != 200:
            raise _FetchError(f"status {answer.status_code}")
        async for chunk in answer.aiter_raw():  # what is packed nevertheless is not unpacked
            body += chunk
            if len(body) > MAX_BYTES:
                raise _FetchError(f"more than {MAX_BYTES} bytes")
    try:
        document = orjson.loads(bytes(body))
    except orjson.JSONDecodeError:
        raise _FetchError("not JSON") from None
    if not isinstance(document, dict):
        raise _FetchError("not a JSON object")
    return document  # pyright: ignore[reportUnknownVariableType]


def _usable(document: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The signing keys by id. Raises _FetchError when there is none: a set is never emptied by a mistake."""
    listed = document.get("keys")
    keys: dict[str, Mapping[str, Any]] = {}
    for key in listed[:MAX_KEYS] if isinstance(listed, list) else ():  # pyright: ignore[reportUnknownVariableType]
        if not isinstance(key, dict) or key.get("kty") not in _KEY_TYPES:  # pyright: ignore[reportUnknownMemberType]
            continue
        if key.get("use", "sig") != "sig" or "verify" not in (key.get("key_ops") or ["verify"]):  # pyright: ignore
            continue
        kid: Any = key.get("kid", "")  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        if isinstance(kid, str):
            keys.setdefault(kid, key)  # pyright: ignore[reportUnknownArgumentType]
    if not keys:
        raise _FetchError("no key that signs")
    return keys


def _key_of(found: Mapping[str, Any], algorithm: str) -> PyJWK | None:
    """The key, bound to the algorithm: only where it names that one, or none, and is of its type."""
    if found.get("alg", algorithm) != algorithm:
        return None
    try:
        key = PyJWK(dict(found), algorithm)
        too_weak = key.Algorithm.check_key_length(key.key)
    except (PyJWTError, ValueError, TypeError, AttributeError):
        return None
    return None if too_weak else key
