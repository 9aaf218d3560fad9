"""A gatehouse for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.policy.gatehouse import Gatehouse, open_gatehouse


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Gatehouse]:
    async with open_gatehouse(tmp_path) as house:
        yield house
