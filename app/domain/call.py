"""One call into the gateway, on any protocol, after admission."""

import typing
from dataclasses import dataclass, field
from typing import Literal

from app.domain.identity import Principal, TenantId

Protocol = Literal["grpc", "rest", "internal"]


class CallPeer(typing.Protocol):
    """The other end of the call's connection; asked while the call is open, when needed."""

    @property
    def address(self) -> str:
        """Its IP address without the port, or empty (a Unix socket)."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CallContext:
    """What every use case is told about its caller.

    `deadline` is on the event loop's monotonic clock (seconds), None for none: it ends the call,
    never the task. `traceparent` is the W3C header value of the call's server span. The
    idempotency key is scoped by tenant, subject and use case; at most 255 characters. `use_case` is the name
    of what was called (`TaskService/GetTask`), the same on both protocols; empty for what nobody called.
    """

    principal: Principal
    request_id: str
    protocol: Protocol = "internal"
    deadline: float | None = None
    traceparent: str | None = None
    idempotency_key: str | None = None
    use_case: str = ""
    peer: CallPeer | None = field(default=None, repr=False, compare=False)

    @property
    def tenant(self) -> TenantId:
        return self.principal.tenant
