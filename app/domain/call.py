"""One call into the gateway, on any protocol, after admission."""

import typing
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from app.domain.audit import AuditDraft
from app.domain.identity import Principal, TenantId

Protocol = Literal["grpc", "rest", "internal"]


class CallPeer(typing.Protocol):
    """The other end of the call's connection; asked while the call is open, when needed."""

    @property
    def address(self) -> str:
        """Its IP address without the port, or empty (a Unix socket)."""
        ...


@dataclass(slots=True)
class Idempotency:
    """The key of a call that is to be carried out once however often it comes.

    It is scoped by tenant, subject and use case, and has at most 255 characters. The door sets
    `replayed` when the answer is that of the first call; the front ends tell.
    """

    key: str
    replayed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CallContext:
    """What every use case is told about its caller.

    `deadline` is on the event loop's monotonic clock (seconds), None for none: it ends the call,
    never the task. `traceparent` is the W3C header value of the call's server span. `use_case` is the name
    of what was called (`TaskService/GetTask`), the same on both protocols; empty for what nobody called.
    `audit` is the entry to write with what the call does, for use cases whose store can.
    """

    principal: Principal
    request_id: str
    protocol: Protocol = "internal"
    deadline: float | None = None
    traceparent: str | None = None
    idempotency: Idempotency | None = None
    use_case: str = ""
    peer: CallPeer | None = field(default=None, repr=False, compare=False)
    audit: AuditDraft | None = field(default=None, repr=False, compare=False)

    @property
    def tenant(self) -> TenantId:
        return self.principal.tenant


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyedCall:
    """One call of one key, scoped by tenant and `scope` (subject and use case).

    `owner` is random: it tells who carries the call out from all who did before it. The call is the
    owner's until `leased_until`, and remembered until `expires_at`.
    """

    tenant: TenantId
    scope: str
    key: str
    fingerprint: str
    owner: str
    leased_until: datetime
    expires_at: datetime
