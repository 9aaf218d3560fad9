"""The one place where failures become gRPC statuses: a total table, and the standard details."""

import math
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final, NoReturn

import grpc
import grpc.aio
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2  # pyright: ignore[reportMissingTypeStubs]

from app.domain.errors import ERROR_DOMAIN, DomainError, FieldViolation, Kind, RateLimitedError
from app.domain.quotas import Quota
from app.policy.quota_fields import fields_of
from app.telemetry.known_secrets import mask_held

RpcContext = grpc.aio.ServicerContext[Any, Any]

REQUEST_ID: Final = "x-request-id"
STATUS_DETAILS: Final = "grpc-status-details-bin"
PUSHBACK: Final = "grpc-retry-pushback-ms"
"""When a client's own retry policy may try again (gRFC A6)."""
SERVICE: Final = "agentgateway.v1"

CODES: Final[dict[Kind, grpc.StatusCode]] = {
    Kind.INVALID_ARGUMENT: grpc.StatusCode.INVALID_ARGUMENT,
    Kind.OUT_OF_RANGE: grpc.StatusCode.OUT_OF_RANGE,
    Kind.NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    Kind.ALREADY_EXISTS: grpc.StatusCode.ALREADY_EXISTS,
    Kind.ABORTED: grpc.StatusCode.ABORTED,
    Kind.FAILED_PRECONDITION: grpc.StatusCode.FAILED_PRECONDITION,
    Kind.PERMISSION_DENIED: grpc.StatusCode.PERMISSION_DENIED,
    Kind.UNAUTHENTICATED: grpc.StatusCode.UNAUTHENTICATED,
    Kind.RESOURCE_EXHAUSTED: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Kind.UNIMPLEMENTED: grpc.StatusCode.UNIMPLEMENTED,
    Kind.UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
    Kind.DEADLINE_EXCEEDED: grpc.StatusCode.DEADLINE_EXCEEDED,
    Kind.CANCELLED: grpc.StatusCode.CANCELLED,
    Kind.INTERNAL: grpc.StatusCode.INTERNAL,
}
"""Every `Kind`; a test fails when one is missing."""

MAX_MESSAGE_BYTES: Final = 400
"""`grpc-message` is percent-encoded, so up to three times as long on the wire."""
MAX_DETAILS_BYTES: Final = 4_200
"""The details travel as base64. With `grpc-message` they share the 8 KiB of trailers that clients take."""
_MAX_VIOLATIONS_BYTES: Final = 2_800
_MAX_FACTS: Final = 8
_MAX_FACT_BYTES: Final = 128
_MAX_DESCRIPTION_BYTES: Final = 240


def status_of(error: DomainError, *, request_id: str = "") -> status_pb2.Status:
    """The error as `google.rpc.Status`: ErrorInfo first, then what else is known.

    Details that would make the trailers too big for a default client are left out, the last
    violations first; `ErrorInfo` always fits.
    """
    status = status_pb2.Status(code=CODES[error.kind].value[0], message=message_of(error))
    for detail in _details_of(error, request_id):
        status.details.add().Pack(detail)
        if status.ByteSize() > MAX_DETAILS_BYTES:
            del status.details[-1]
            break
    return status


def message_of(error: DomainError) -> str:
    """The error's message as one line that `grpc-message` can carry."""
    return _clean(error.message, MAX_MESSAGE_BYTES)


async def abort_with(context: RpcContext, error: DomainError, *, request_id: str = "") -> NoReturn:
    """End the call with the error's status. Raises `grpc.aio.AbortError`, which must be let through."""
    status = status_of(error, request_id=request_id)
    trailers = [(STATUS_DETAILS, status.SerializeToString()), (REQUEST_ID, request_id), *_hints(error)]
    await context.abort(CODES[error.kind], status.message, tuple(trailers))
    raise AssertionError("abort returned")


def _details_of(error: DomainError, request_id: str) -> Iterator[Message]:
    facts = {
        _clean(name, 64): _clean(value, _MAX_FACT_BYTES)
        for name, value in list(error.facts.items())[:_MAX_FACTS]
    }
    yield error_details_pb2.ErrorInfo(reason=error.reason, domain=ERROR_DOMAIN, metadata=facts)
    if request_id:
        yield error_details_pb2.RequestInfo(request_id=request_id)
    if error.retry_after is not None:
        yield _retry_info(error.retry_after)
    if isinstance(error, RateLimitedError) and error.quotas:
        yield _quota_failure(error.quotas)
    if "resource" in facts:
        yield error_details_pb2.ResourceInfo(
            resource_type=facts["resource"], resource_name=facts.get("resource_id", "")
        )
    if error.violations:
        yield _bad_request(error.violations)


def _hints(error: DomainError) -> Iterator[tuple[str, str]]:
    """When to come back, and how the caller's limits stand, for clients that read metadata only."""
    if error.retry_after is not None:
        yield PUSHBACK, str(max(1, math.ceil(error.retry_after.total_seconds() * 1_000)))
    if isinstance(error, RateLimitedError):
        yield from fields_of(error.quotas)


def _retry_info(wait: timedelta) -> Message:
    info = error_details_pb2.RetryInfo()
    info.retry_delay.FromTimedelta(max(wait, timedelta(0)))
    return info


def _quota_failure(quotas: tuple[Quota, ...]) -> Message:
    """The limits that are used up."""
    failure = error_details_pb2.QuotaFailure()
    for quota in quotas:
        if quota.violated:
            window = "" if quota.window_s is None else f" in {quota.window_s:g} s"
            failure.violations.add(
                subject=quota.subject,
                description=f"{quota.limit} {quota.unit}{window}",
                api_service=SERVICE,
                quota_metric=quota.unit,
                quota_id=quota.policy,
                quota_dimensions={"scope": quota.subject},
                quota_value=quota.limit,
            )
    return failure


def _bad_request(violations: tuple[FieldViolation, ...]) -> Message:
    """As many violations as fit, in their order."""
    bad = error_details_pb2.BadRequest()
    for violation in violations:
        bad.field_violations.add(
            field=_clean(violation.field, 128),
            description=_clean(violation.description, _MAX_DESCRIPTION_BYTES),
            reason=violation.reason,
        )
        if bad.ByteSize() > _MAX_VIOLATIONS_BYTES:
            if len(bad.field_violations) > 1:
                del bad.field_violations[-1]
            break
    return bad


def _clean(text: str, longest: int) -> str:
    """One line of valid Unicode in at most `longest` bytes: what callers sent may stand in the text."""
    text = mask_held(text)
    line = text[:longest]
    if not (line.isascii() and line.isprintable()):
        line = "".join(char if char.isprintable() else " " for char in line)
    raw = line.encode()
    if len(text) <= longest and len(raw) <= longest:
        return line
    return f"{raw[: longest - 3].decode(errors='ignore')}..."
