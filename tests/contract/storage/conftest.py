"""Every make of the stores in turn, empty; and the values that the contract tests are made of."""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from app.domain.events import JournaledEvent
from app.storage.base import QueueEntry, Stores
from app.storage.sqlite.opening import open_sqlite


class Committed:
    """Notes what the stores say was committed, in the order they say it."""

    def __init__(self) -> None:
        self.events: list[JournaledEvent] = []
        self.queue: list[QueueEntry] = []

    def __call__(self, events: Sequence[JournaledEvent], queue: Sequence[QueueEntry]) -> None:
        self.events += events
        self.queue += queue


Opener = Callable[[Committed], AbstractAsyncContextManager[Stores]]
"""Opens the same database again; on PostgreSQL also while it is open."""


@pytest.fixture
def committed() -> Committed:
    return Committed()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def backend(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def opener(backend: str, tmp_path: Path, request: pytest.FixtureRequest) -> Opener:
    if backend == "sqlite":
        return lambda committed: open_sqlite(
            tmp_path / "gateway.db", on_commit=committed, max_artifact_bytes=2_000_000
        )
    from app.storage.postgres.opening import open_postgres

    url = request.getfixturevalue("postgres_url")

    @contextlib.asynccontextmanager
    async def open_it(committed: Committed) -> AsyncGenerator[Stores]:
        async with open_postgres(url, on_commit=committed, max_artifact_bytes=2_000_000) as stores:
            yield stores

    return open_it


@pytest.fixture
async def stores(opener: Opener, committed: Committed) -> AsyncIterator[Stores]:
    async with opener(committed) as stores:
        yield stores
