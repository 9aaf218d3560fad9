"""A gateway on each storage, and a caller on each protocol."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, ExitStack
from typing import Any

import grpc.aio
import httpx
import pytest
from cryptography.fernet import Fernet

from app.bootstrap.gateway import Gateway, open_gateway
from app.settings import Settings
from tests.conftest import postgres_database
from tests.parity.drivers import Driver, GrpcDriver, RestDriver


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def storage(request: pytest.FixtureRequest) -> str:
    """The backend under the gateway."""
    return request.param


@pytest.fixture(scope="module")
async def gateway(storage: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Gateway]:
    """One for all tests of a module: they name what they make after their protocol."""
    with ExitStack() as stack:
        where: dict[str, Any] = {"backend": storage, "data_dir": tmp_path_factory.mktemp("parity")}
        if storage == "postgres":
            where["postgres_url"] = stack.enter_context(postgres_database())
        settings = Settings.model_validate(
            {
                "rest": {"port": 0},
                "grpc": {"port": 0},
                "storage": where,
                "webhooks": {"deliver": False, "allowed_hosts": ["127.0.0.1"]},
                "secrets": {"keys": [Fernet.generate_key().decode()]},
            }
        )
        async with open_gateway(settings) as gateway:
            yield gateway


@pytest.fixture
async def drivers(gateway: Gateway) -> AsyncGenerator[tuple[Driver, Driver]]:
    """A caller over gRPC and one over REST."""
    async with AsyncExitStack() as stack:
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(f"127.0.0.1:{gateway.grpc_port}"))
        client = await stack.enter_async_context(
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{gateway.rest_port}")
        )
        yield GrpcDriver(channel), RestDriver(client)
