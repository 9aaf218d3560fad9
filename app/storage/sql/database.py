"""The one thing the stores that are not hot ask of a database: run this against a connection.

The text is SQLAlchemy core, the same for both makes; the function is synchronous, and each make
runs it where it does not block the loop.
"""

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import sqlalchemy as sa

T = TypeVar("T")

Row = sa.Row[*tuple[Any, ...]]
Select = sa.Select[*tuple[Any, ...]]


class Database(Protocol):
    """Runs functions inside transactions, off the event loop."""

    async def read(self, query: Callable[[sa.Connection], T]) -> T:
        """What `query` returns. Raises StorageUnavailableError."""
        ...

    async def write(self, work: Callable[[sa.Connection], T]) -> T:
        """Run `work` in one transaction and commit; what it raises rolls back.

        `work` may run twice (retry). Raises StorageUnavailableError.
        """
        ...
