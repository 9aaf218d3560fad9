"""Entries of the audit log as rows: for the log's own appends, and for batches of task writes."""

import json
from typing import Any, Final

from app.domain.audit import AuditEntry
from app.domain.identity import TenantId
from app.storage.codec import from_us, to_us
from app.storage.sql.database import Row

AUDIT_COLUMNS: Final = (
    *("at", "id", "tenant", "action", "resource", "outcome", "resource_id", "subject", "body"),
)
_IN_BODY: Final = (
    *("credential", "credential_id", "reason", "request_id", "trace_id", "protocol", "peer", "count"),
)


def text_bytes(text: str) -> bytes:
    """Text of callers, as it is kept and compared."""
    return text.encode("utf-8", "replace")


def audit_row(entry: AuditEntry) -> tuple[Any, ...]:
    """The values of `AUDIT_COLUMNS`."""
    return (
        to_us(entry.at),
        entry.id,
        entry.tenant,
        entry.action,
        entry.resource,
        entry.outcome,
        text_bytes(entry.resource_id),
        text_bytes(entry.subject),
        json.dumps({name: getattr(entry, name) for name in _IN_BODY}).encode(),
    )


def entry_of_row(row: Row) -> AuditEntry:
    """The entry that `audit_row` was given."""
    body = json.loads(row.body)
    return AuditEntry(
        id=row.id,
        at=from_us(row.at),
        tenant=TenantId(row.tenant),
        subject=row.subject.decode(),
        action=row.action,
        resource=row.resource,
        resource_id=row.resource_id.decode(),
        outcome=row.outcome,
        **{name: body[name] for name in _IN_BODY},
    )
