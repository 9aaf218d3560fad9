"""Callers whom somebody else vouches for: an identity provider's tokens, an authority's certificates."""

import ssl
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import httpx
import pytest

from app.bootstrap.gateway import Gateway, open_gateway
from app.domain.errors import IdentityProviderUnavailableError
from app.settings import Settings
from grpc_service.gen.agentgateway.v1 import access_service_pb2
from grpc_service.gen.agentgateway.v1.access_service_pb2_grpc import AccessServiceStub
from tests.certificates import Authority, Pair
from tests.identity_provider import AUDIENCE, IdentityProvider, open_provider, rsa_key
from tests.parity.drivers import GrpcDriver, RefusedError, RestDriver

KEY = "a-key-beside-the-tokens"


@dataclass
class House:
    """A gateway that believes one identity provider."""

    gateway: Gateway
    provider: IdentityProvider

    async def outcomes(self, rpc: str, token: str) -> list[Any]:
        """What comes of a call with that token: over gRPC, and over REST."""
        found: list[Any] = []
        headers = {"authorization": f"Bearer {token}"}
        options = [("grpc.use_local_subchannel_pool", 1)]
        async with (
            grpc.aio.insecure_channel(f"127.0.0.1:{self.gateway.grpc_port}", options=options) as channel,
            httpx.AsyncClient(
                base_url=f"http://127.0.0.1:{self.gateway.rest_port}", headers=headers, trust_env=False
            ) as client,
        ):
            for driver in (GrpcDriver(channel, tuple(headers.items())), RestDriver(client)):
                try:
                    found.append(await driver.call(rpc))
                except RefusedError as error:
                    found.append(error.reason)
        return found


@asynccontextmanager
async def open_house(path: Path, provider: IdentityProvider, **oidc: Any) -> AsyncGenerator[House]:
    given = {"issuer": provider.issuer, "audiences": [AUDIENCE], "jwks_cooldown": 0.01, **oidc}
    settings = Settings.model_validate(
        {
            "rest": {"port": 0},
            "grpc": {"port": 0},
            "storage": {"data_dir": path},
            "auth": {"oidc": given, "keys": [{"key": KEY, "subject": "ci"}]},
        }
    )
    async with open_gateway(settings) as gateway:
        yield House(gateway, provider)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncGenerator[House]:
    async with open_provider() as provider, open_house(tmp_path, provider) as house:
        yield house


async def test_a_token_lets_in_on_both_protocols_with_its_scopes(house: House) -> None:
    token = house.provider.token()

    over_grpc, over_rest = await house.outcomes("AccessService/GetCaller", token)

    assert over_grpc["expire_time"].rstrip("Z") == over_rest["expire_time"].rstrip("Z")
    assert {name: value for name, value in over_rest.items() if name != "expire_time"} == {
        "subject": "zoe",
        "tenant": "acme",
        "scopes": ["access:read", "tasks:read"],
        "credential": "token",
    }
    assert await house.outcomes("TaskService/ListTasks", token) == [{"tasks": []}] * 2
    assert await house.outcomes("ModelService/ListModels", token) == ["PERMISSION_DENIED"] * 2


BAD: dict[str, Callable[[IdentityProvider], str]] = {
    "expired": lambda p: p.token(exp=int(time.time()) - 60),
    "wrong audience": lambda p: p.token(aud="somebody"),
    "wrong issuer": lambda p: p.token(iss="https://evil.example"),
    "wrong signature": lambda p: p.token(key=rsa_key()),
    "no tenant": lambda p: p.token(tenant=None),
    "truncated": lambda p: p.token()[:-9],
    "half": lambda p: p.token().rpartition(".")[0],
    "garbage": lambda _: "eyJ.eyJ.eyJ",
    "an unknown key": lambda _: "agw_nothing",
}


async def test_every_bad_token_is_answered_alike_on_both_protocols(house: House) -> None:
    for flaw, make in BAD.items():
        token = make(house.provider)
        assert await house.outcomes("AccessService/GetCaller", token) == ["UNAUTHENTICATED"] * 2, flaw
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{house.gateway.rest_port}") as client:
        answers = [
            await client.get("/v1/caller", headers={"authorization": f"Bearer {make(house.provider)}"})
            for make in BAD.values()
        ]
        none = await client.get("/v1/caller")
    assert {str(answer.json() | {"request_id": ""}) for answer in (*answers, none)} == {
        str(none.json() | {"request_id": ""})
    }


async def test_keys_count_beside_tokens_and_rotated_provider_keys_are_found(house: House) -> None:
    first = await house.outcomes("AccessService/GetCaller", KEY)
    house.provider.keys["two"] = rsa_key()
    second = await house.outcomes("AccessService/GetCaller", house.provider.token("two"))

    assert [one["credential"] for one in first] == ["key"] * 2
    assert [one["credential"] for one in second] == ["token"] * 2


async def test_while_the_provider_cannot_be_asked_tokens_wait_and_keys_count(tmp_path: Path) -> None:
    reason = IdentityProviderUnavailableError.reason
    async with open_provider() as provider:
        provider.status = 503
        async with open_house(tmp_path, provider) as house:
            by_token = await house.outcomes("AccessService/GetCaller", provider.token())
            by_key = await house.outcomes("AccessService/GetCaller", KEY)

    assert by_token == [reason] * 2
    assert [one["subject"] for one in by_key] == ["ci"] * 2


RULES = [
    {
        "match": "uri",
        "value": "spiffe://example.org/ci/",
        "prefix": True,
        "subject": "ci",
        "tenant": "acme",
        "scopes": ["access:*", "tasks:read"],
    },
    {"match": "common_name", "value": "desk"},
]


async def both(gateway: Gateway, authority: Authority, client: Pair) -> list[Any]:
    """Who one is with that certificate and nothing else: over gRPC, and over REST."""
    context = ssl.create_default_context(cafile=str(authority.certificate))
    context.load_cert_chain(*client.names)
    credentials = grpc.ssl_channel_credentials(
        authority.certificate.read_bytes(), client.key.read_bytes(), client.certificate.read_bytes()
    )
    aio: Any = grpc.aio
    options = [("grpc.use_local_subchannel_pool", 1)]
    found: list[Any] = []
    async with (
        aio.secure_channel(f"localhost:{gateway.grpc_port}", credentials, options=options) as channel,
        httpx.AsyncClient(
            base_url=f"https://localhost:{gateway.rest_port}", verify=context, trust_env=False
        ) as rest,
    ):
        stub: Any = AccessServiceStub(channel)
        try:
            caller = (await stub.GetCaller(access_service_pb2.GetCallerRequest(), timeout=20)).caller
            found.append((caller.subject, caller.tenant, list(caller.scopes), caller.credential))
        except grpc.aio.AioRpcError as error:
            found.append(error.code().name)
        answer = await rest.get("/v1/caller")
        plain = answer.json()
        if answer.status_code == 200:
            found.append((plain["subject"], plain["tenant"], plain["scopes"], plain["credential"]))
        else:
            found.append(plain["reason"])
    return found


async def test_a_certificate_says_who_calls_on_both_protocols(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "pki")
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
            "auth": {"certificates": RULES},
        }
    )
    robot = authority.client("robot", uris=("spiffe://example.org/ci/7",))

    async with open_gateway(settings) as gateway:
        as_robot = await both(gateway, authority, robot)
        as_desk = await both(gateway, authority, authority.client("desk"))
        as_nobody = await both(gateway, authority, authority.client("nobody"))
        context = ssl.create_default_context(cafile=str(authority.certificate))
        context.load_cert_chain(*robot.names)
        async with httpx.AsyncClient(
            base_url=f"https://localhost:{gateway.rest_port}", verify=context, trust_env=False
        ) as page:
            evil = await page.post(
                "/v1/stream-tickets", json={"path": "/v1/caller"}, headers={"origin": "https://evil.example"}
            )
            opened = await page.post("/v1/browser-sessions")
            wrong_key = await page.get("/v1/caller", headers={"x-api-key": "wrong"})

    assert as_robot == [("ci", "acme", ["access:*", "tasks:read"], "certificate")] * 2
    assert as_desk == [("desk", "default", ["*"], "certificate")] * 2
    assert as_nobody == ["UNAUTHENTICATED"] * 2
    assert (evil.status_code, evil.json()["reason"]) == (403, "PERMISSION_DENIED")
    assert opened.headers["set-cookie"].startswith("__Host-agentgateway=")
    assert wrong_key.status_code == 401


@pytest.mark.parametrize(
    "auth",
    [
        {"oidc": {"issuer": "https://login.example"}},
        {"oidc": {"issuer": "https://login.example", "audiences": [""]}},
        {"oidc": {"issuer": "http://login.example", "audiences": ["a"]}},
        {"oidc": {"issuer": "https://login.example", "audiences": ["a"], "jwks_url": "http://10.0.0.1/"}},
        {"oidc": {"issuer": "https://login.example", "audiences": ["a"], "algorithms": ["HS256"]}},
        {"oidc": {"issuer": "https://login.example", "audiences": ["a"], "algorithms": ["none"]}},
        {"oidc": {"issuer": "https://login.example", "audiences": ["a"], "algorithms": []}},
        {"oidc": {"issuer": "https://login.example", "audiences": ["a"], "clock_skew": 3_600}},
        {"browser": {"ticket_ttl": 31}},
        {"certificates": RULES},
    ],
)
def test_settings_that_would_let_the_wrong_ones_in_stop_the_start(auth: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"auth|oidc"):
        Settings.model_validate({"auth": auth})
