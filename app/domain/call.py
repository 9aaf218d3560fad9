"""One call into the gateway, on any protocol, after admission."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from app.domain.identity import Principal, TenantId

Protocol = Literal["grpc", "rest", "internal"]


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
    never the task. `traceparent` is the W3C header value of the call's server span.
    """

    principal: Principal
    request_id: str
    protocol: Protocol = "internal"
    deadline: float | None = None
    traceparent: str | None = None
    idempotency: Idempotency | None = None

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
