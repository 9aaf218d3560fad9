"""Entries of the audit log, and the conditions for them."""

from datetime import datetime

from app.domain.audit import AuditEntry, AuditFilter, AuditOutcome
from app.domain.call import Protocol
from app.domain.identity import CredentialKind
from rest_api.schemas.base import Out, PageQuery, Time


class AuditQuery(PageQuery):
    """Which entries; all conditions must hold."""

    since: Time | None = None
    """Included."""
    until: Time | None = None
    """Not included."""
    subject: str | None = None
    action: str | None = None
    """The use case: `TaskService/CancelTask`."""
    resource: str | None = None
    """A kind of thing: `task`."""
    resource_id: str | None = None
    outcome: AuditOutcome | None = None
    oldest_first: bool = False
    """Instead of newest first."""

    def to_filter(self) -> AuditFilter:
        """The conditions as the domain knows them."""
        return AuditFilter(
            since=self.since,
            until=self.until,
            subject=self.subject or None,
            action=self.action or None,
            resource=self.resource or None,
            resource_id=self.resource_id or None,
            outcome=self.outcome,
        )


class AuditEntryOut(Out):
    """Who did what, and what came of it. Nothing that was said in the call is in it."""

    id: str
    time: datetime
    subject: str
    credential: CredentialKind
    credential_id: str | None = None
    """Names the credential without telling it: the id of a key, the `jti` of a token."""
    action: str
    """The use case: `TaskService/CancelTask`."""
    resource: str
    """What kind of thing it was done to: `task`. Empty where the call was turned away before that."""
    resource_id: str | None = None
    outcome: AuditOutcome
    reason: str
    """Of a refusal or failure: `NOT_FOUND`. `REPLAYED`: done before, under the same idempotency key."""
    request_id: str | None = None
    trace_id: str | None = None
    protocol: Protocol
    """`internal` is the operator's command line."""
    peer: str
    """The caller's IP address; empty on a Unix socket."""
    count: int
    """How many refusals this entry stands for: equal ones within a second are one entry."""

    @classmethod
    def from_domain(cls, entry: AuditEntry) -> "AuditEntryOut":
        """The entry, for callers of its tenant."""
        return cls(
            id=entry.id,
            time=entry.at,
            subject=entry.subject,
            credential=entry.credential,
            credential_id=entry.credential_id or None,
            action=entry.action,
            resource=entry.resource,
            resource_id=entry.resource_id or None,
            outcome=entry.outcome,
            reason=entry.reason,
            request_id=entry.request_id or None,
            trace_id=entry.trace_id or None,
            protocol=entry.protocol,
            peer=entry.peer,
            count=entry.count,
        )


class ListAuditEntriesOut(Out):
    """One page."""

    entries: list[AuditEntryOut]
    next_cursor: str | None = None
    """Absent on the last page."""
