"""The workbench as a fixture."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.rest_api.workbench import Workbench, open_workbench


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Workbench]:
    """A listener with an empty database."""
    async with open_workbench(tmp_path) as workbench:
        yield workbench
