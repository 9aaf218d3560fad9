"""The schema's history: complete, equal to the tables we speak of, and free when up to date."""

import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from app.domain.errors import StorageUnavailableError
from app.storage.migrations import runner
from app.storage.schema import metadata
from app.storage.sqlite.opening import open_sqlite
from tests.contract.storage.conftest import Committed, Opener


def differences(connection: sa.Connection) -> list[object]:
    return compare_metadata(MigrationContext.configure(connection), metadata)


def test_of_the_scripts_head_is_the_last() -> None:
    with sa.create_engine("sqlite://").connect() as connection:
        scripts = ScriptDirectory.from_config(runner.configuration(connection))

    assert scripts.get_current_head() == runner.HEAD


def test_of_a_migrated_sqlite_database_the_tables_are_ours() -> None:
    with sa.create_engine("sqlite://").connect() as connection:
        assert not runner.up_to_date(connection)
        runner.upgrade(connection)

        assert runner.up_to_date(connection)
        assert differences(connection) == []


@pytest.mark.postgres
async def test_of_a_migrated_postgres_schema_the_tables_are_ours(postgres_url: str) -> None:
    from sqlalchemy.ext.asyncio import create_async_engine

    from app.storage.postgres.opening import open_postgres

    async with open_postgres(postgres_url, on_commit=Committed()):
        pass
    engine = create_async_engine(postgres_url.replace("postgresql://", "postgresql+asyncpg://"))
    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []
    await engine.dispose()


@pytest.mark.postgres
async def test_of_several_schemas_and_starts_at_once_each_is_migrated_once(postgres_url: str) -> None:
    import asyncio

    from app.storage.postgres.opening import open_postgres

    async def start(schema: str) -> None:
        async with open_postgres(postgres_url, schema=schema, on_commit=Committed()) as stores:
            assert await stores.tasks.unfinished() == []

    await asyncio.gather(*(start(schema) for schema in ("one", "one", "one", "Two-Schemas", "Two-Schemas")))


async def test_of_an_up_to_date_database_opening_needs_no_alembic(
    opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opener(Committed()):
        pass
    for name in [name for name in sys.modules if name.split(".")[0] == "alembic"]:
        monkeypatch.setitem(sys.modules, name, None)  # importing it now raises

    async with opener(Committed()) as stores:
        assert await stores.tasks.unfinished() == []


async def test_of_a_database_in_use_a_second_process_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    async with open_sqlite(path, on_commit=Committed()):
        with pytest.raises(StorageUnavailableError, match="in use"):
            async with open_sqlite(path, on_commit=Committed()):
                pass
    async with open_sqlite(path, on_commit=Committed()):
        pass


async def test_of_a_file_that_is_no_database_opening_says_so(tmp_path: Path) -> None:
    (tmp_path / "gateway.db").write_bytes(b"not a database" * 100)

    with pytest.raises(StorageUnavailableError):
        async with open_sqlite(tmp_path / "gateway.db", on_commit=Committed()):
            pass
