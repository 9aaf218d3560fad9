"""What the tests of the loop share."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.agents.world import World, open_world
from tests.models.conftest import REFERENCES


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as world:
        yield world


@pytest.fixture(params=list(REFERENCES))
def protocol(request: pytest.FixtureRequest) -> str:
    """Each provider protocol in turn."""
    return request.param
