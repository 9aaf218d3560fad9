"""Brings a database to `HEAD`, inside the process that opens it.

The caller holds the transaction and the lock (`BEGIN IMMEDIATE`, an advisory lock), so of several
replicas that start at once one migrates and the others then find nothing to do.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "0002"
"""The newest revision (a test compares it with the scripts)."""

_VERSION = sa.text("SELECT version_num FROM alembic_version")


def up_to_date(connection: sa.Connection) -> bool:
    """Whether the database is at `HEAD`; cheap, and does not import alembic."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return False
    return connection.execute(_VERSION).scalar_one_or_none() == HEAD


def upgrade(connection: sa.Connection) -> None:
    """Apply what is missing, in the caller's transaction; who is up to date pays no alembic."""
    from alembic import command

    command.upgrade(configuration(connection), "head")


def configuration(connection: sa.Connection) -> "Config":
    """Alembic's configuration, for that connection."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
