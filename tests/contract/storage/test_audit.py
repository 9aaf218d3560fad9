"""What the store of the audit log promises; knows no make."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from app.domain.audit import NOBODYS, AuditEntry, AuditFilter
from app.domain.errors import InvalidCursorError
from app.domain.identity import TenantId
from app.storage.base import Stores
from tests.contract.storage.conftest import Committed, Opener
from tests.contract.storage.values import ACME, OTHER, later, new_id

ANY = AuditFilter()


def an_entry(tenant: TenantId = ACME, *, at_s: float = 0, **fields: Any) -> AuditEntry:
    entry = AuditEntry(
        id=new_id("audit", later(at_s)),
        at=later(at_s),
        tenant=tenant,
        subject="Zoë \x00 🙂",
        credential="key",
        credential_id="key_1",
        action="TaskService/CancelTask",
        resource="task",
        resource_id="task_1",
        outcome="ok",
        request_id="r-1",
        trace_id="0" * 32,
        protocol="grpc",
        peer="::1",
    )
    return replace(entry, **fields)


async def read(stores: Stores, tenant: TenantId | None = ACME, where: AuditFilter = ANY) -> list[AuditEntry]:
    return list((await stores.audit.page(tenant, where, size=100, cursor=None)).items)


async def test_of_entries_everything_is_read_back_once(stores: Stores) -> None:
    entry = an_entry(outcome="refused", reason="NOT_FOUND", count=7)

    await stores.audit.append([entry])
    await stores.audit.append([entry, an_entry(OTHER)])
    await stores.audit.append([])

    assert await read(stores) == [entry]


async def test_of_entries_appended_at_once_all_are_kept(stores: Stores) -> None:
    entries = [an_entry(at_s=number) for number in range(200)]

    await asyncio.gather(*(stores.audit.append([entry]) for entry in entries))

    page = await stores.audit.page(ACME, ANY, size=1000, cursor=None, oldest_first=True)
    assert page.items == entries


async def test_of_entries_each_tenant_reads_its_own_and_the_operator_all(stores: Stores) -> None:
    mine, theirs, nobodys = an_entry(), an_entry(OTHER, at_s=1), an_entry(NOBODYS, at_s=2)
    await stores.audit.append([mine, theirs, nobodys])

    assert await read(stores, ACME) == [mine]
    assert await read(stores, OTHER) == [theirs]
    assert await read(stores, None) == [nobodys, theirs, mine]


@pytest.mark.parametrize("oldest_first", [False, True])
async def test_of_entries_pages_are_whole_in_either_order(stores: Stores, oldest_first: bool) -> None:
    entries = [an_entry(at_s=number // 3) for number in range(8)]  # several of one moment
    await stores.audit.append(entries)

    found: list[AuditEntry] = []
    cursor: str | None = None
    for _ in range(3):
        page = await stores.audit.page(ACME, ANY, size=3, cursor=cursor, oldest_first=oldest_first)
        found += page.items
        cursor = page.next_cursor

    assert cursor is None
    assert found == sorted(entries, key=lambda one: (one.at, one.id), reverse=not oldest_first)
    with pytest.raises(InvalidCursorError):
        await stores.audit.page(ACME, ANY, size=3, cursor="bm90IG91cnM")


@pytest.mark.parametrize(
    "where",
    [
        AuditFilter(since=later(1), until=later(2)),
        AuditFilter(subject="Zoë \x00 2"),
        AuditFilter(action="KeyService/RevokeKey"),
        AuditFilter(resource="key"),
        AuditFilter(resource_id="key_\x002"),
        AuditFilter(outcome="failed"),
    ],
    ids=lambda where: next(name for name in AuditFilter.__slots__ if getattr(where, name) is not None),
)
async def test_of_entries_each_condition_finds_what_fits(stores: Stores, where: AuditFilter) -> None:
    sought = an_entry(
        at_s=1.5,
        subject="Zoë \x00 2",
        action="KeyService/RevokeKey",
        resource="key",
        resource_id="key_\x002",
        outcome="failed",
    )
    await stores.audit.append([an_entry(at_s=0), sought, an_entry(at_s=2)])

    assert await read(stores, where=where) == [sought]


async def test_of_entries_the_old_ones_are_forgotten_and_no_others(stores: Stores) -> None:
    entries = [an_entry(at_s=number) for number in range(5)]
    await stores.audit.append(entries)

    assert await stores.audit.forget(before=later(3), limit=2) == 2
    assert await stores.audit.forget(before=later(3), limit=2) == 1
    assert await stores.audit.forget(before=later(1), limit=2) == 0

    assert await read(stores) == entries[:2:-1]


@pytest.mark.parametrize("statement", ["DELETE FROM audit_log", "UPDATE audit_log SET outcome = 'refused'"])
async def test_of_entries_none_is_changed_or_deleted_by_hand(
    opener: Opener, backend: str, statement: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    young, old = an_entry(at_s=10), an_entry(at_s=0)
    async with opener(Committed()) as stores:
        await stores.audit.append([old])
        await stores.audit.forget(before=later(5), limit=10)
        await stores.audit.append([young])

        with pytest.raises(DBAPIError, match="append-only"):
            await _by_hand(backend, statement, tmp_path, request)

        assert await read(stores) == [young]


async def _by_hand(backend: str, statement: str, path: Path, request: pytest.FixtureRequest) -> None:
    if backend == "sqlite":
        with sa.create_engine(f"sqlite:///{path / 'gateway.db'}").begin() as db:
            db.execute(sa.text(statement))
        return
    from sqlalchemy.ext.asyncio import create_async_engine

    url: str = request.getfixturevalue("postgres_url")
    engine = create_async_engine(url.replace("postgresql://", "postgresql+asyncpg://"))
    try:
        async with engine.begin() as connection:
            await connection.execute(sa.text(statement))
    finally:
        await engine.dispose()


async def test_of_entries_those_of_task_writes_come_with_the_write_or_not_at_all(stores: Stores) -> None:
    from app.domain import lifecycle
    from app.domain.audit import AuditDraft
    from app.domain.errors import TaskEndedError
    from tests.contract.storage.values import a_submission

    drafts = [AuditDraft(an_entry(at_s=number, resource_id="")) for number in range(3)]
    task = (await stores.tasks.create(a_submission(), audit=drafts[0])).task
    cancelled = lifecycle.cancelled("enough", "zoë", later(1))
    await stores.tasks.update(task.id, cancelled, tenant=ACME, audit=drafts[1])
    with pytest.raises(TaskEndedError):
        await stores.tasks.update(task.id, lifecycle.resumed(later(2)), tenant=ACME, audit=drafts[2])

    entries = await read(stores)
    assert [draft.written for draft in drafts] == [True, True, False]
    assert entries == [replace(draft.entry, resource_id=task.id) for draft in (drafts[1], drafts[0])]
    await stores.audit.append([replace(drafts[1].entry, outcome="unknown")])
    assert await read(stores) == entries
