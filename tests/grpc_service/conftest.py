"""The workbench as a fixture."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.grpc_service.workbench import Workbench, open_workbench

# On a loaded machine the time of one example says nothing.
settings.register_profile("grpc", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("grpc")


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Workbench]:
    """A server with an empty database."""
    async with open_workbench(tmp_path) as workbench:
        yield workbench
