"""The audit log: built over the store, and what is written and forgotten now and then."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Final

from app.domain.errors import StorageUnavailableError
from app.policy.audit import FLUSH_S, AuditTrail
from app.settings import Settings
from app.storage.base import AuditStore

log = logging.getLogger(__name__)

FORGET_EVERY: Final = timedelta(hours=1)
FORGET_AT_ONCE: Final = 10_000


def build_trail(
    settings: Settings, store: AuditStore, *, now: Callable[[], datetime], mint: Callable[[str], str]
) -> AuditTrail | None:
    """None when nothing is to be written. `running_audit` writes what it notes of refusals."""
    if not settings.audit.enabled:
        return None
    return AuditTrail(store, now=now, mint=mint, refusals_per_minute=settings.audit.refusals_per_minute)


async def no_flush() -> None:
    """For a process without a trail."""


@asynccontextmanager
async def running_audit(
    trail: AuditTrail | None, store: AuditStore, settings: Settings, *, now: Callable[[], datetime]
) -> AsyncGenerator[None]:
    """Inside the block what waits is written each second, and once more at its end; what is older than
    `audit.keep` is deleted."""

    async def write() -> None:
        forget_at = now()
        while True:
            await asyncio.sleep(FLUSH_S)
            if trail is not None:
                await trail.flush()
            if now() >= forget_at:
                forget_at = now() + FORGET_EVERY
                await _forget(store, now() - settings.audit.keep)

    try:
        async with asyncio.TaskGroup() as group:
            writing = group.create_task(write(), name="audit-log")
            try:
                yield
            finally:
                writing.cancel()
    finally:
        if trail is not None:
            await trail.flush(last=True)


async def _forget(store: AuditStore, before: datetime) -> None:
    try:
        count = gone = await store.forget(before=before, limit=FORGET_AT_ONCE)
        while gone == FORGET_AT_ONCE:
            gone = await store.forget(before=before, limit=FORGET_AT_ONCE)
            count += gone
    except StorageUnavailableError as error:
        log.warning("old entries of the audit log are not deleted now: %s", error.message)
        return
    if count:
        log.info("deleted %d old entries of the audit log", count)
