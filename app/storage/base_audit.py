"""What the store of the audit log promises: it only grows, and forgets by age alone."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from app.domain.audit import AuditEntry, AuditFilter
from app.domain.identity import TenantId
from app.domain.paging import Page


class AuditStore(Protocol):
    """Append and read. Nothing here changes an entry, and the database refuses to."""

    async def append(self, entries: Sequence[AuditEntry]) -> None:
        """Keep them, durably when this returns; who appends at once shares a transaction.

        An entry that is there already (the same time and id) is left as it is.
        """
        ...

    async def page(
        self,
        tenant: TenantId | None,
        where: AuditFilter,
        *,
        size: int,
        cursor: str | None,
        oldest_first: bool = False,
    ) -> Page[AuditEntry]:
        """Newest first unless told otherwise; None is every tenant, for the operator only.

        Entries written meanwhile do not move the pages. Raises InvalidCursorError.
        """
        ...

    async def forget(self, *, before: datetime, limit: int) -> int:
        """Delete at most `limit` entries older than that, the oldest first; returns how many."""
        ...
