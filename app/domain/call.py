"""One call into the gateway, on any protocol, after admission."""

from dataclasses import dataclass
from typing import Literal

from app.domain.identity import Principal, TenantId

Protocol = Literal["grpc", "rest", "internal"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CallContext:
    """What every use case is told about its caller.

    `deadline` is on the event loop's monotonic clock (seconds), None for none: it ends the call,
    never the task. `traceparent` is the W3C header value of the call's server span. The
    idempotency key is scoped by tenant, subject and use case; at most 255 characters.
    """

    principal: Principal
    request_id: str
    protocol: Protocol = "internal"
    deadline: float | None = None
    traceparent: str | None = None
    idempotency_key: str | None = None

    @property
    def tenant(self) -> TenantId:
        return self.principal.tenant
