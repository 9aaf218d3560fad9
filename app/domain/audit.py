"""The audit log: who did what, by which credential, and what came of it. Nothing said in a call is in it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from app.domain.identity import CredentialKind, TenantId

AuditOutcome = Literal["ok", "refused", "failed", "unknown"]
"""`refused`: nothing changed, for `reason`. `failed`: an error of ours. `unknown`: the caller left, or its
deadline passed, before the answer; the change may have been made."""

NOBODYS: Final = TenantId("")
"""The tenant of entries about callers that nobody knows: no caller reads them, the operator does."""
MAX_TEXT_CHARS: Final = 256
REPLAYED: Final = "REPLAYED"
"""The reason of an act that was done before, under the same idempotency key: it got the first answer."""


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
    protocol: Literal["grpc", "rest", "internal"]
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


@dataclass(slots=True)
class AuditDraft:
    """An entry that is written in the transaction of what it tells of, where the store can.

    `resource_id` and a reason of `REPLAYED` are filled in there; `written` says that it was committed.
    """

    entry: AuditEntry
    written: bool = False
