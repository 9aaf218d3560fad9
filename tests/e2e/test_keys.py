"""Keys from the command line, beside a running gateway or before there is one, used on both protocols."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc.aio
import httpx
import pytest
from typer.testing import CliRunner, Result

from app.cli import cli
from tests.e2e.test_cli import run
from tests.parity.drivers import Driver, GrpcDriver, RefusedError, RestDriver
from tests.processes import GatewayProcess, gateway_process

GONE_S = 10.0
UNAVAILABLE = 69


class Operator:
    """Somebody at the command line of a store."""

    def __init__(self, **settings: str) -> None:
        self.settings = settings

    def types(self, *arguments: str) -> Result:
        """What comes of `agent-gateway keys ...`."""
        return CliRunner().invoke(cli, ["keys", *arguments], env=self.settings)

    def told(self, *arguments: str) -> Any:
        """The same as JSON."""
        done = self.types(*arguments, "--json")
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    async def makes(self, *arguments: str) -> Any:
        """The same while a gateway is running, which must not wait."""
        return await asyncio.to_thread(self.told, *arguments)


@asynccontextmanager
async def callers(gateway: GatewayProcess, key: str) -> AsyncGenerator[tuple[Driver, Driver]]:
    """One caller over gRPC and one over REST."""
    async with (
        grpc.aio.insecure_channel(gateway.grpc, options=[("grpc.use_local_subchannel_pool", 1)]) as channel,
        httpx.AsyncClient(base_url=gateway.rest, headers={"x-api-key": key}, trust_env=False) as client,
    ):
        yield GrpcDriver(channel, (("x-api-key", key),)), RestDriver(client)


async def outcomes(gateway: GatewayProcess, key: str, rpc: str = "ToolService/ListTools") -> list[str]:
    """What comes of a call with that key, over gRPC and over REST."""
    found: list[str] = []
    async with callers(gateway, key) as drivers:
        for driver in drivers:
            try:
                await driver.call(rpc)
                found.append("OK")
            except RefusedError as error:
                found.append(error.reason)
    return found


async def refused_soon(gateway: GatewayProcess, key: str) -> None:
    """Both protocols come to refuse the key: the gateway knows it for its cache time."""
    async with asyncio.timeout(GONE_S):
        while await outcomes(gateway, key) != ["UNAUTHENTICATED"] * 2:
            continue


async def test_a_key_from_the_command_line_is_good_on_both_protocols_until_it_ends(tmp_path: Path) -> None:
    data = tmp_path / "data"
    first = await asyncio.to_thread(run, tmp_path, "keys", "create", "--scope", "*", "--name", "first")
    assert first.returncode == 0, first.stderr
    admin = first.stdout.strip()  # nothing else is there: KEY=$(agent-gateway keys create ...)
    assert admin not in first.stderr
    operator = Operator(GATEWAY_STORAGE__DATA_DIR=str(data))

    async with gateway_process(data, GATEWAY_AUTH__MODE="required", GATEWAY_AUTH__KEY_CACHE="0.2") as gateway:
        assert await outcomes(gateway, admin, "KeyService/ListKeys") == ["OK", "OK"]
        reader = await operator.makes("create", "--scope", "tools:read", "--subject", "zoë")
        assert await outcomes(gateway, reader["secret"]) == ["OK", "OK"]
        assert await outcomes(gateway, reader["secret"], "KeyService/ListKeys") == ["PERMISSION_DENIED"] * 2

        renewed = await operator.makes("rotate", reader["key"]["id"], "--overlap", "P1D")
        assert await outcomes(gateway, reader["secret"]) == ["OK", "OK"]
        assert await outcomes(gateway, renewed["secret"]) == ["OK", "OK"]
        last = await operator.makes("rotate", reader["key"]["id"])
        await refused_soon(gateway, renewed["secret"])
        assert await outcomes(gateway, last["secret"]) == ["OK", "OK"]

        ending = await operator.makes("create", "--scope", "tools:read", "--expires-in", "PT3S")
        assert await outcomes(gateway, ending["secret"]) == ["OK", "OK"]
        await operator.makes("revoke", reader["key"]["id"])
        await refused_soon(gateway, last["secret"])
        await refused_soon(gateway, ending["secret"])

        secrets = [admin, *(one["secret"] for one in (reader, renewed, last, ending))]
        assert not [line for line in gateway.log if any(secret in line for secret in secrets)]
        assert gateway.complaints() == []
    stored = b"".join(path.read_bytes() for path in data.glob("gateway.db*"))
    assert not [secret for secret in secrets if secret.encode() in stored]


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def operator(request: pytest.FixtureRequest, tmp_path: Path) -> Operator:
    settings = {"GATEWAY_STORAGE__BACKEND": request.param, "GATEWAY_STORAGE__DATA_DIR": str(tmp_path)}
    if request.param == "postgres":
        settings["GATEWAY_STORAGE__POSTGRES_URL"] = request.getfixturevalue("postgres_url")
    return Operator(**settings)


def test_keys_are_made_listed_rotated_and_revoked(operator: Operator) -> None:
    made = operator.told("create", "--scope", "tasks:*", "--scope", "tools:read", "--tenant", "acme")
    key_id = made["key"]["id"]

    assert made["secret"].startswith(f"agw_{made['key']['prefix']}_")
    assert (made["key"]["scopes"], made["key"]["subject"]) == (["tasks:*", "tools:read"], "operator")
    assert operator.told("list") == []
    assert operator.told("list", "--tenant", "acme") == [made["key"]]
    rotated = operator.told("rotate", key_id, "--overlap", "3600")
    assert rotated["secret"] != made["secret"]
    assert "previous_expire_time" in rotated["key"]
    assert "revoke_time" in operator.told("revoke", key_id)
    listed = operator.types("list", "--tenant", "acme").stdout
    assert key_id in listed
    assert "revoked" in listed
    assert "agw_" not in listed


def test_what_is_wrong_is_named_and_nothing_is_made(tmp_path: Path) -> None:
    operator = Operator(GATEWAY_STORAGE__DATA_DIR=str(tmp_path))
    gone = operator.told("create", "--scope", "*")["key"]["id"]
    operator.told("revoke", gone)
    for code, named, *arguments in (
        (2, "--scope", "create"),
        (2, "scopes.0", "create", "--scope", "tasks:fly"),
        (2, "--tenant", "create", "--scope", "*", "--tenant", ""),
        (2, "--expires-in", "create", "--scope", "*", "--expires-in", "soon"),
        (2, "expire_time", "create", "--scope", "*", "--expires-at", "2001-01-01T00:00:00Z"),
        (2, "--expires-at", "create", "--scope", "*", "--expires-at", "2999-01-01"),
        (2, "both", "create", "--scope", "*", "--expires-at", "2999-01-01T00:00:00Z", "--expires-in", "9"),
        (2, "overlap_s", "rotate", gone, "--overlap", "P31D"),
        (1, "key_none", "revoke", "key_none"),
        (1, gone, "rotate", gone),
    ):
        done = operator.types(*arguments)

        assert (done.exit_code, named in done.output) == (code, True), (arguments, done.output)
    assert [key["id"] for key in operator.told("list")] == [gone]


def test_a_store_that_is_not_there_is_named(free_port: int) -> None:
    url = f"postgresql://u:a-password-of-ours@127.0.0.1:{free_port}/x"
    operator = Operator(GATEWAY_STORAGE__BACKEND="postgres", GATEWAY_STORAGE__POSTGRES_URL=url)

    done = operator.types("list")

    assert done.exit_code == UNAVAILABLE
    assert "PostgreSQL" in done.output
    assert "a-password-of-ours" not in done.output
