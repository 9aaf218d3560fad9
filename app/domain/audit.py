"""The audit log: who did what, by which credential, and what came of it. Nothing said in a call is in it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from app.domain.call import CallContext, Protocol
from app.domain.identity import CredentialKind, TenantId

AuditOutcome = Literal["ok", "refused", "failed", "unknown"]
"""`refused`: nothing changed, for `reason`. `failed`: an error of ours. `unknown`: the caller left, or its
deadline passed, before the answer; the change may have been made."""

NOBODYS: Final = TenantId("")
"""The tenant of entries about callers that nobody knows: no caller reads them, the operator does."""
MAX_TEXT_CHARS: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One act, or `count` equal refusals within seconds (the other fields are the first one's).

    `action` is the name of the use case (`TaskService/CancelTask`), `resource` what kind of thing it was
    done to (`task`) and `resource_id` which one, where there is one. `credential_id` names a credential
    without telling it (a key's id, a token's `jti`). `peer` is the caller's IP address, empty on a Unix
    socket.
    """

    id: str
    at: datetime
    tenant: TenantId
    subject: str
    credential: CredentialKind
    credential_id: str
    action: str
    resource: str = ""
    resource_id: str = ""
    outcome: AuditOutcome
    reason: str = ""
    request_id: str
    trace_id: str = ""
    protocol: Protocol
    peer: str = ""
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """None is 'any'. `since` is included, `until` is not."""

    since: datetime | None = None
    until: datetime | None = None
    subject: str | None = None
    action: str | None = None
    resource: str | None = None
    resource_id: str | None = None
    outcome: AuditOutcome | None = None


def entry_of(
    call: CallContext,
    *,
    entry_id: str,
    at: datetime,
    outcome: AuditOutcome,
    reason: str = "",
    resource: str = "",
    resource_id: str = "",
) -> AuditEntry:
    """What is written of a call. Texts that others chose are cut to `MAX_TEXT_CHARS`."""
    who, parent = call.principal, call.traceparent
    return AuditEntry(
        id=entry_id,
        at=at,
        tenant=who.tenant,
        subject=_decent(who.subject),
        credential=who.credential,
        credential_id=_decent(who.credential_id),
        action=call.use_case,
        resource=resource,
        resource_id=_decent(resource_id),
        outcome=outcome,
        reason=reason,
        request_id=call.request_id,
        trace_id=parent.split("-", 2)[1] if parent else "",
        protocol=call.protocol,
        peer=call.peer.address if call.peer is not None else "",
    )


def _decent(text: str) -> str:
    """Valid Unicode of a bounded length."""
    text = text[:MAX_TEXT_CHARS]
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
