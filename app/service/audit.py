"""Use cases of the audit log: reading it. Nobody writes it by a call."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Final

from app.domain.audit import MAX_TEXT_CHARS, AuditEntry, AuditFilter
from app.domain.call import CallContext
from app.domain.paging import Page, page_size
from app.service.inputs import Checks
from app.storage.base import AuditStore

EXPORT_SIZE: Final = 500
"""Entries read at a time for an export: its memory."""


class AuditUseCases:
    """The audit log of the caller's tenant."""

    def __init__(self, store: AuditStore, *, flush: Callable[[], Awaitable[None]]) -> None:
        """`flush` writes what this process has noted and not written yet."""
        self._store = store
        self._flush = flush

    async def page(
        self,
        call: CallContext,
        where: AuditFilter,
        *,
        size: int | None = None,
        cursor: str | None = None,
        oldest_first: bool = False,
    ) -> Page[AuditEntry]:
        """Newest first unless told otherwise. Refusals on other replicas are seconds behind.

        Raises InvalidRequestError, InvalidCursorError.
        """
        _check(where)
        size = page_size(size)
        await self._flush()
        return await self._store.page(
            call.tenant, where, size=size, cursor=cursor or None, oldest_first=oldest_first
        )

    async def export(
        self, call: CallContext, where: AuditFilter, *, cursor: str | None = None, oldest_first: bool = False
    ) -> AsyncGenerator[Sequence[AuditEntry]]:
        """All entries, in parts of bounded size. Raises as `page` does."""
        while True:
            page = await self.page(call, where, size=EXPORT_SIZE, cursor=cursor, oldest_first=oldest_first)
            yield page.items
            if page.next_cursor is None:
                return
            cursor = page.next_cursor


def _check(where: AuditFilter) -> None:
    checks = Checks()
    for name in ("subject", "action", "resource", "resource_id"):
        checks.text(name, getattr(where, name) or "", MAX_TEXT_CHARS)
    if where.since is not None and where.until is not None and where.until < where.since:
        checks.no("until", "must not be before since", "OUT_OF_RANGE")
    checks.done()
