"""Every kind of credential, good and spoilt in every way: who is let in, and what all others hear."""

import json
import sqlite3
import ssl
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import httpx
import jwt
import pytest

from app.bootstrap.gateway import Gateway, open_gateway
from app.domain.credentials import ApiKey, KeyRecord, digest_of, make_prefix, make_secret
from app.domain.identity import DEFAULT_TENANT
from app.domain.ids import KeyId
from app.settings import Settings
from grpc_service.gen.agentgateway.v1 import access_service_pb2
from grpc_service.gen.agentgateway.v1.access_service_pb2_grpc import AccessServiceStub
from tests.certificates import Authority
from tests.identity_provider import AUDIENCE, IdentityProvider, base64url, open_provider, rsa_key

STATIC = "key-of-the-settings-0001"
PATH = "/v1/caller"
SAME = {"x-request-id": "the-same"}


@dataclass(frozen=True)
class Shown:
    """What a caller shows: over gRPC the headers are metadata; nothing but HTTP has cookies and tickets."""

    headers: dict[str, str] = field(default_factory=dict[str, str])
    ticket: str = ""
    http_only: bool = False


@dataclass
class House:
    """A gateway with every kind of credential but certificates."""

    gateway: Gateway
    provider: IdentityProvider
    data: Path
    client: httpx.AsyncClient
    channel: Any

    async def rest(self, shown: Shown) -> tuple[str, object]:
        """The reason (or OK), and everything that was said."""
        answer = await self.client.get(
            PATH, params={"ticket": shown.ticket} if shown.ticket else None, headers=shown.headers | SAME
        )
        heads = {name: value for name, value in answer.headers.items() if name != "date"}
        reason = "OK" if answer.status_code == 200 else answer.json()["reason"]
        return reason, (answer.status_code, answer.content, heads)

    async def grpc(self, shown: Shown) -> tuple[str, object]:
        """The same over gRPC."""
        stub: Any = AccessServiceStub(self.channel)
        metadata = tuple((shown.headers | SAME).items())
        try:
            await stub.GetCaller(access_service_pb2.GetCallerRequest(), metadata=metadata, timeout=20)
        except grpc.aio.AioRpcError as error:
            trailing: Any = error.trailing_metadata()
            return error.code().name, (error.code(), error.details(), tuple(trailing))
        return "OK", None

    async def key(self, **fields: object) -> dict[str, Any]:
        """A stored key, with its text."""
        body = {"scopes": ["access:*", "keys:*"]} | fields
        answer = await self.client.post("/v1/keys", json=body, headers={"x-api-key": STATIC})
        assert answer.status_code == 201, answer.text
        return answer.json()

    async def change_key(self, made: dict[str, Any], what: str, **body: object) -> Any:
        path = f"/v1/keys/{made['key']['id']}"
        if what == "revoke":
            return await self.client.delete(path, headers={"x-api-key": STATIC})
        return (await self.client.post(f"{path}:{what}", json=body, headers={"x-api-key": STATIC})).json()

    async def cookie(self, key: str = STATIC) -> str:
        answer = await self.client.post("/v1/browser-sessions", headers={"x-api-key": key})
        assert answer.status_code == 201, answer.text
        self.client.cookies.clear()
        return answer.headers["set-cookie"].partition(";")[0]

    async def ticket(self, key: str = STATIC, path: str = PATH) -> str:
        answer = await self.client.post("/v1/stream-tickets", json={"path": path}, headers={"x-api-key": key})
        return answer.json()["ticket"]

    def expire(self, table: str) -> None:
        """Let what is in the table be over."""
        [file] = self.data.glob("*.db")
        database = sqlite3.connect(file, timeout=10)
        with database:
            database.execute(f"UPDATE {table} SET expires_at = 1")  # noqa: S608 - a table of ours
        database.close()


@pytest.fixture(scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[House]:
    data = tmp_path_factory.mktemp("credentials")
    async with open_provider() as provider, AsyncExitStack() as stack:
        settings = Settings.model_validate(
            {
                "rest": {"port": 0},
                "grpc": {"port": 0},
                "storage": {"data_dir": data},
                "auth": {
                    "keys": [{"key": STATIC, "subject": "zoe"}],
                    "oidc": {"issuer": provider.issuer, "audiences": [AUDIENCE]},
                    "max_failures_per_minute": 0,
                },
            }
        )
        gateway = await stack.enter_async_context(open_gateway(settings))
        client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{gateway.rest_port}", trust_env=False)
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{gateway.grpc_port}")
        yield House(
            gateway,
            provider,
            data,
            await stack.enter_async_context(client),
            await stack.enter_async_context(channel),
        )


def _key(text: str) -> Shown:
    return Shown({"x-api-key": text})


def _bearer(text: str) -> Shown:
    return Shown({"authorization": f"Bearer {text}"})


def _spoilt(text: str) -> str:
    """With another character in its middle."""
    middle = len(text) // 2
    return text[:middle] + ("x" if text[middle] != "x" else "y") + text[middle + 1 :]


async def _expired_key(house: House) -> Shown:
    now = datetime.now(UTC)
    secret = make_secret(prefix := make_prefix(b"expired!"), b"e" * 32)
    key = ApiKey(
        id=KeyId("key_expired"),
        prefix=prefix,
        tenant=DEFAULT_TENANT,
        subject="zoe",
        scopes=frozenset({"*"}),
        created_at=now - timedelta(days=2),
        created_by="zoe",
        expires_at=now - timedelta(seconds=1),
    )
    store = house.gateway.service.keys._store  # pyright: ignore[reportPrivateUsage]
    await store.add(KeyRecord(key=key, digest=digest_of(secret.reveal())), max_keys=100)
    return _key(secret.reveal())


async def _changed_key(house: House, what: str, **body: object) -> Shown:
    made = await house.key()
    assert (await house.rest(_key(made["secret"])))[0] == "OK"  # it is known by heart when it is changed
    await house.change_key(made, what, **body)
    return _key(made["secret"])


async def _of_unknown_prefix(house: House) -> Shown:
    del house
    return _key(make_secret(make_prefix(b"nobody's"), b"n" * 32).reveal())


async def _of_another_secret(house: House) -> Shown:
    prefix = (await house.key())["key"]["prefix"]
    return _key(make_secret(prefix, b"another!" * 4).reveal())


async def _cookie_of_revoked_key(house: House) -> Shown:
    made = await house.key()
    cookie = await house.cookie(made["secret"])
    await house.change_key(made, "revoke")
    return Shown({"cookie": cookie}, http_only=True)


async def _ended_cookie(house: House) -> Shown:
    cookie = await house.cookie()
    own = {"origin": str(house.client.base_url).rstrip("/"), "x-requested-with": "fetch", "cookie": cookie}
    assert (await house.client.delete("/v1/browser-sessions/current", headers=own)).status_code == 204
    return Shown({"cookie": cookie}, http_only=True)


async def _expired(house: House, table: str) -> Shown:
    if table == "browser_sessions":
        shown = Shown({"cookie": await house.cookie()}, http_only=True)
    else:
        shown = Shown(ticket=await house.ticket(), http_only=True)
    house.expire(table)
    return shown


async def _ticket_of_revoked_key(house: House) -> Shown:
    made = await house.key()
    ticket = await house.ticket(made["secret"])
    await house.change_key(made, "revoke")
    return Shown(ticket=ticket, http_only=True)


async def _replayed_ticket(house: House) -> Shown:
    shown = Shown(ticket=await house.ticket(), http_only=True)
    assert (await house.rest(shown))[0] == "OK"
    return shown


def _forged(house: House, alg: str) -> Shown:
    """Claims that are all right under a signature that is none, or made with what everybody knows."""
    claims = jwt.decode(house.provider.token(), options={"verify_signature": False})
    header = base64url(json.dumps({"alg": alg, "typ": "JWT", "kid": "one"}).encode())
    body = base64url(json.dumps(claims).encode())
    return _bearer(f"{header}.{body}.{'' if alg == 'none' else base64url(b'x' * 32)}")


def _with_other_claims(token: str) -> str:
    head, body, signature = token.split(".")
    return ".".join((head, body[:-4] + ("AAAA" if not body.endswith("AAAA") else "BBBB"), signature))


def _same(text: str) -> str:
    return text


async def _made(house: House, change: Callable[[str], str] = _same) -> Shown:
    return _key(change((await house.key())["secret"]))


async def _cookie(house: House, change: Callable[[str], str] = _same) -> Shown:
    name, _, value = (await house.cookie()).partition("=")
    return Shown({"cookie": f"{name}={change(value)}"}, http_only=True)


async def _ticket(house: House, change: Callable[[str], str] = _same, path: str = PATH) -> Shown:
    return Shown(ticket=change(await house.ticket(path=path)), http_only=True)


async def _now(shown: Shown) -> Shown:
    return shown


Make = Callable[[House], Awaitable[Shown]]
GOOD: dict[str, Make] = {
    "static key": lambda _: _now(_key(STATIC)),
    "static key as bearer": lambda _: _now(_bearer(STATIC)),
    "stored key": _made,
    "stored key in its overlap": lambda h: _changed_key(h, "rotate", overlap_s=60),
    "token": lambda h: _now(_bearer(h.provider.token())),
    "cookie": _cookie,
    "ticket": _ticket,
}
BAD: dict[str, Make] = {
    "nothing": lambda _: _now(Shown()),
    "static key, tampered": lambda _: _now(_key(_spoilt(STATIC))),
    "static key, longer": lambda _: _now(_key(STATIC + "0")),
    "stored key, unknown": _of_unknown_prefix,
    "stored key, wrong": _of_another_secret,
    "stored key, tampered": lambda h: _made(h, _spoilt),
    "stored key, expired": _expired_key,
    "stored key, revoked": lambda h: _changed_key(h, "revoke"),
    "stored key, rotated": lambda h: _changed_key(h, "rotate"),
    "token, expired": lambda h: _now(_bearer(h.provider.token(exp=int(time.time()) - 60))),
    "token, not yet": lambda h: _now(_bearer(h.provider.token(nbf=int(time.time()) + 3_600))),
    "token, wrong audience": lambda h: _now(_bearer(h.provider.token(aud="https://somebody.example"))),
    "token, wrong issuer": lambda h: _now(_bearer(h.provider.token(iss="https://evil.example"))),
    "token, another's signature": lambda h: _now(_bearer(h.provider.token(key=rsa_key()))),
    "token, tampered": lambda h: _now(_bearer(_with_other_claims(h.provider.token()))),
    "token, unsigned": lambda h: _now(_forged(h, "none")),
    "token, symmetric": lambda h: _now(_forged(h, "HS256")),
    "cookie, tampered": lambda h: _cookie(h, _spoilt),
    "cookie, ended": _ended_cookie,
    "cookie, of a revoked key": _cookie_of_revoked_key,
    "cookie, expired": lambda h: _expired(h, "browser_sessions"),
    "ticket, tampered": lambda h: _ticket(h, _spoilt),
    "ticket, of another path": lambda h: _ticket(h, path="/v1/server"),
    "ticket, replayed": _replayed_ticket,
    "ticket, of a revoked key": _ticket_of_revoked_key,
    "ticket, expired": lambda h: _expired(h, "stream_tickets"),
}


@pytest.mark.parametrize("name", GOOD)
async def test_a_good_credential_lets_in(house: House, name: str) -> None:
    shown = await GOOD[name](house)

    assert (await house.rest(shown))[0] == "OK"
    # gRPC knows neither cookies nor tickets.
    assert (await house.grpc(shown))[0] == ("UNAUTHENTICATED" if shown.http_only else "OK")


async def test_every_bad_credential_is_refused_in_the_very_same_words(house: House) -> None:
    """So nobody learns whether a key is unknown, wrong, expired or revoked."""
    rest, rpc = await house.rest(Shown()), await house.grpc(Shown())
    assert (rest[0], rpc[0]) == ("UNAUTHENTICATED", "UNAUTHENTICATED")

    for name, make in BAD.items():
        shown = await make(house)
        for _ in range(2):  # what is remembered of the first try changes nothing
            assert await house.rest(shown) == rest, name
            assert await house.grpc(shown) == rpc, name


async def _with_certificate(gateway: Gateway, authority: Authority, pair: Any) -> tuple[str, str]:
    """What comes of a call on each protocol; HANDSHAKE when the connection was refused."""
    context = ssl.create_default_context(cafile=str(authority.certificate))
    key = chain = None
    if pair is not None:
        context.load_cert_chain(*pair.names)
        key, chain = pair.key.read_bytes(), pair.certificate.read_bytes()
    credentials = grpc.ssl_channel_credentials(authority.certificate.read_bytes(), key, chain)
    aio: Any = grpc.aio
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with (
        aio.secure_channel(f"localhost:{gateway.grpc_port}", credentials, options=options) as channel,
        httpx.AsyncClient(
            base_url=f"https://localhost:{gateway.rest_port}", verify=context, trust_env=False
        ) as client,
    ):
        stub: Any = AccessServiceStub(channel)
        try:
            await stub.GetCaller(access_service_pb2.GetCallerRequest(), timeout=20)
            rpc = "OK"
        except grpc.aio.AioRpcError as error:
            rpc = "HANDSHAKE" if error.code() is grpc.StatusCode.UNAVAILABLE else error.code().name
        try:
            answer = await client.get(PATH)
            rest = "OK" if answer.status_code == 200 else answer.json()["reason"]
        except httpx.TransportError:
            rest = "HANDSHAKE"
    return rpc, rest


async def test_a_certificate_counts_as_long_as_it_and_its_authority_are_good(tmp_path: Path) -> None:
    authority, stranger = Authority(tmp_path / "pki"), Authority(tmp_path / "strangers")
    server = authority.server()
    settings = Settings.model_validate(
        {
            "rest": {"port": 0},
            "grpc": {"port": 0},
            "storage": {"data_dir": tmp_path / "data"},
            "tls": {
                "certificate": server.certificate,
                "key": server.key,
                "client_ca": authority.certificate,
                "client_certificates": "required",
            },
            "auth": {"certificates": [{"match": "common_name", "value": name} for name in ("desk", "late")]},
        }
    )
    shown = {
        "good": authority.client("desk"),
        "of nobody": authority.client("nobody"),
        "expired": authority.client("late", lasts=timedelta(days=-1)),
        "of a stranger": stranger.client("desk"),
        "none": None,
    }
    found: dict[str, tuple[str, str]] = {}
    async with open_gateway(settings) as gateway:
        for name, pair in shown.items():
            found[name] = await _with_certificate(gateway, authority, pair)

    assert found == {
        "good": ("OK", "OK"),
        "of nobody": ("UNAUTHENTICATED", "UNAUTHENTICATED"),
        "expired": ("HANDSHAKE", "HANDSHAKE"),
        "of a stranger": ("HANDSHAKE", "HANDSHAKE"),
        "none": ("HANDSHAKE", "HANDSHAKE"),
    }
