"""Admission: the only path by which a call gets in, on any protocol.

Both front ends hand in a neutral `CallHead` and get an `Admitted` back, or a `DomainError` to
render. Order: authenticate -> turn -> authorise -> deadline -> idempotency key -> limits. Whoever admits a
call releases it.
"""

import asyncio
import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Final, Literal, Protocol

from app.domain.call import CallContext, Idempotency
from app.domain.errors import (
    CallDeadlineError,
    DomainError,
    InvalidRequestError,
    PermissionDeniedError,
    UnauthenticatedError,
)
from app.domain.identity import Principal
from app.domain.quotas import Quota
from app.policy.idempotency_keys import idempotency_key_of
from app.policy.turns import PACES, Turns
from app.policy.use_cases import USE_CASES, UseCase
from app.telemetry import known_secrets

REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
MAX_TIMEOUT_S = 86_400.0
# Request ids of ours: unique, no secret; asking the kernel for each costs 3 % of a REST call.
_PROCESS = secrets.token_hex(8)
_CALLS = count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCertificate:
    """Whom a verified client certificate was made for. `fingerprint` is the SHA-256 of its DER, in hex."""

    fingerprint: str
    common_name: str = ""
    dns_names: tuple[str, ...] = ()
    uris: tuple[str, ...] = ()


class Peer(Protocol):
    """The other end of the connection; asked only when somebody needs to know."""

    @property
    def address(self) -> str:
        """Its IP address without the port, or empty (a Unix socket)."""
        ...

    @property
    def certificate(self) -> ClientCertificate | None:
        """The certificate it proved to hold; None without mutual TLS."""
        ...


@dataclass(frozen=True, slots=True)
class UnknownPeer:
    """A peer of which nothing is known."""

    address: str = ""
    certificate: ClientCertificate | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallHead:
    """What is known of a call before its body is read.

    `method` is the use case's name, the same on both protocols (`TaskService/GetTask`).
    `metadata` has lower-case names; `timeout_s` is what the caller gave itself, in seconds from
    now; `traceparent` is that of the server span around the call. `path` is the HTTP path or the full
    gRPC method, `query_ticket` the one-time ticket in the URL, `session_cookie` the value of a browser
    session's cookie, `resumes` whether a stream goes on from a cursor. `dialect` names the protocol of
    somebody else that the call came in; empty for our own.
    """

    protocol: Literal["grpc", "rest"]
    method: str
    metadata: Mapping[str, str]
    path: str = ""
    http_method: str = ""
    peer: Peer = UnknownPeer()
    resumes: bool = False
    query_ticket: str | None = field(default=None, repr=False)
    session_cookie: str | None = field(default=None, repr=False)
    dialect: str = ""
    timeout_s: float | None = None
    traceparent: str | None = None
    request_id: str | None = None


class Authenticator(Protocol):
    """Tells who calls."""

    async def authenticate(self, head: CallHead) -> Principal:
        """Raises UnauthenticatedError. Never tells a wrong credential from an unknown one."""
        ...


class Lease(Protocol):
    """A place among the calls that may be open at a time."""

    def release(self) -> None:
        """Give it back. Idempotent; never blocks and never raises."""
        ...


class Taken(Protocol):
    """What a call took of its limits."""

    @property
    def quotas(self) -> tuple[Quota, ...]:
        """How its limits stand, the tightest first; worked out when asked for."""
        ...

    @property
    def lease(self) -> Lease | None:
        """The place it holds while open."""
        ...


@dataclass(frozen=True, slots=True)
class NothingTaken:
    """What a call takes where it meets no limit."""

    quotas: tuple[Quota, ...] = ()
    lease: Lease | None = None


NOTHING_TAKEN: Final[Taken] = NothingTaken()


class Limiter(Protocol):
    """Counts calls."""

    async def take(self, principal: Principal, use_case: UseCase, head: CallHead) -> Taken:
        """Count the call. Raises RateLimitedError, having taken nothing."""
        ...


class RefusalLog(Protocol):
    """Keeps who was turned away; never blocks and never raises."""

    def turned_away(self, head: CallHead, principal: Principal | None, error: DomainError) -> None:
        """A call was refused; `principal` is None when it is not known whose."""
        ...


class Unlimited:
    """No limits at all."""

    async def take(self, principal: Principal, use_case: UseCase, head: CallHead) -> Taken:
        del principal, use_case, head
        return NOTHING_TAKEN


@dataclass(frozen=True, slots=True)
class Admitted:
    """A call that is in. Who admitted it calls `release` when it is over."""

    call: CallContext
    taken: Taken = NOTHING_TAKEN

    def release(self) -> None:
        """Give back the call's place. Idempotent."""
        if self.taken.lease is not None:
            self.taken.lease.release()


class Admission:
    """The one road in, for both protocols and all dialects."""

    def __init__(
        self,
        authenticator: Authenticator,
        limiter: Limiter | None = None,
        *,
        turns: Turns | None = None,
        refusals: RefusalLog | None = None,
    ) -> None:
        self._authenticator = authenticator
        self._refusals = refusals
        self._limiter = limiter or Unlimited()
        self._turns = turns or Turns()

    async def admit(self, head: CallHead) -> Admitted:
        """The call's context and what it took.

        Raises UnauthenticatedError, PermissionDeniedError, InvalidRequestError (a timeout or an idempotency
        key that is none), CallDeadlineError, RateLimitedError.
        """
        came = asyncio.get_running_loop().time()
        principal: Principal | None = None
        known_secrets.bind(*_credentials(head))
        try:
            principal = await self._authenticator.authenticate(head)
            await self._turns.take(principal.tenant, PACES[head.protocol])
            use_case = authorised(principal, head.method)
        except (UnauthenticatedError, PermissionDeniedError) as error:
            if self._refusals is not None:
                self._refusals.turned_away(head, principal, error)
            raise
        deadline = _deadline(came, head.timeout_s)
        key = idempotency_key_of(head.metadata)
        taken = await self._limiter.take(principal, use_case, head)
        call = CallContext(
            principal=principal,
            request_id=head.request_id or request_id_of(head.metadata),
            protocol=head.protocol,
            deadline=deadline,
            traceparent=head.traceparent,
            idempotency=None if key is None else Idempotency(key),
            use_case=head.method,
            peer=head.peer,
        )
        return Admitted(call, taken)


def _credentials(head: CallHead) -> Iterator[str | None]:
    """What nothing that is written about this call may repeat."""
    yield head.metadata.get("x-api-key")
    yield head.metadata.get("authorization", "").rpartition(" ")[2]
    yield head.query_ticket
    yield head.session_cookie


def authorised(principal: Principal, method: str) -> UseCase:
    """The use case, which the principal may call. Raises PermissionDeniedError naming the scope."""
    use_case = USE_CASES.get(method)
    if use_case is None:
        raise PermissionDeniedError(f"{method} is not open to anybody")
    if not principal.may(use_case.scope):
        raise PermissionDeniedError(f"this needs the scope {use_case.scope}", scope=use_case.scope)
    return use_case


def request_id_of(metadata: Mapping[str, str]) -> str:
    """The caller's `x-request-id` when it is a decent one, else a new one."""
    given = metadata.get("x-request-id", "")
    return given if REQUEST_ID.fullmatch(given) else f"{_PROCESS}{next(_CALLS):016x}"


def _deadline(came: float, timeout_s: float | None) -> float | None:
    if timeout_s is None:
        return None
    if timeout_s <= 0:
        raise CallDeadlineError("the call's deadline has passed")
    if timeout_s > MAX_TIMEOUT_S:
        raise InvalidRequestError.of("timeout", f"must be at most {MAX_TIMEOUT_S:.0f} s", "OUT_OF_RANGE")
    return came + timeout_s
