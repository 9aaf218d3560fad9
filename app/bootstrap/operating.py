"""The store of an operator at the command line: beside a running server, or without one."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from app.bootstrap.storage import DATABASE_FILE
from app.domain.errors import StorageUnavailableError
from app.domain.secrets import Secret
from app.settings import Settings
from app.storage.sql.database import Database
from app.storage.sqlite.beside import open_beside


@asynccontextmanager
async def operators_database(settings: Settings) -> AsyncGenerator[Database]:
    """The database, made and migrated when it is new. Raises StorageUnavailableError."""
    if settings.storage.backend == "sqlite":
        async with open_beside(settings.storage.data_dir / DATABASE_FILE) as beside:
            yield beside
        return
    try:
        from app.storage.postgres.database import Address, open_database
    except ModuleNotFoundError as error:
        raise StorageUnavailableError(
            f"storage.backend=postgres needs {error.name}: pip install 'agent-gateway[postgres]'"
        ) from error
    url = settings.storage.postgres_url
    assert url is not None  # noqa: S101 - checked by the settings
    address = Address(dsn=Secret(url.get_secret_value()).reveal(), schema=settings.storage.postgres_schema)
    async with open_database(address, pool_size=2) as database:
        yield database
