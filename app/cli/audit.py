"""`agent-gateway audit`: the operator exports the audit log of all tenants, or of one.

Works on the store itself, beside a running server or without one.
"""

import asyncio
import json
import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from datetime import datetime

    from app.domain.audit import AuditFilter

audit = typer.Typer(help="Export the audit log.", no_args_is_help=True)

SIZE = 500
"""Entries read at a time."""


@audit.callback()
def _group() -> None:
    """Keeps `export` a command of its own, however few there are."""


@audit.command("export")
def export(
    tenant: Annotated[str | None, typer.Option(help="Of this tenant. Without: of all.")] = None,
    since: Annotated[str | None, typer.Option(help="From that time on: `2026-11-01T00:00:00Z`.")] = None,
    until: Annotated[str | None, typer.Option(help="Before that time.")] = None,
    subject: Annotated[str | None, typer.Option(help="By whom.")] = None,
    action: Annotated[str | None, typer.Option(help="A use case: `TaskService/CancelTask`.")] = None,
    resource_id: Annotated[str | None, typer.Option(help="To what.")] = None,
    format_: Annotated[Literal["jsonl"], typer.Option("--format", help="One document a line.")] = "jsonl",
) -> None:
    """Print the entries, the oldest first."""
    from app.domain.audit import AuditFilter

    del format_  # one so far
    where = AuditFilter(
        since=_time("--since", since),
        until=_time("--until", until),
        subject=subject,
        action=action,
        resource_id=resource_id,
    )
    _export(tenant, where)


def _export(tenant: str | None, where: "AuditFilter") -> None:
    from app.bootstrap.operating import operators_log
    from app.cli import EXIT_UNAVAILABLE, fail, load_settings
    from app.domain.errors import DomainError
    from app.domain.identity import TenantId
    from rest_api.schemas.audit import AuditEntryOut

    settings = load_settings()

    async def run() -> None:
        async with operators_log(settings) as store:
            cursor, of = None, None if tenant is None else TenantId(tenant)
            while True:
                page = await store.page(of, where, size=SIZE, cursor=cursor, oldest_first=True)
                lines: list[str] = []
                for entry in page.items:
                    shown = AuditEntryOut.from_domain(entry).model_dump(mode="json", exclude_none=True)
                    lines.append(json.dumps({"tenant": entry.tenant, **shown}, ensure_ascii=False))
                if not _printed(lines) or (cursor := page.next_cursor) is None:
                    break

    try:
        asyncio.run(run())
    except (DomainError, OSError) as error:
        fail(str(error), EXIT_UNAVAILABLE)


def _printed(lines: Iterable[str]) -> bool:
    """Whether the reader takes more: `head` leaves when it has enough, which is no error."""
    try:
        for line in lines:
            print(line)
        sys.stdout.flush()
    except BrokenPipeError:
        # What is still buffered is flushed at the exit, and would fail again
        # (https://docs.python.org/3/library/signal.html#note-on-sigpipe).
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
        return False
    return True


def _time(option: str, text: str | None) -> "datetime | None":
    from pydantic import AwareDatetime, TypeAdapter, ValidationError

    if text is None:
        return None
    try:
        return TypeAdapter(AwareDatetime).validate_python(text)
    except ValidationError:
        raise typer.BadParameter(f"{option} must be a time with its zone: 2026-11-01T00:00:00Z") from None
