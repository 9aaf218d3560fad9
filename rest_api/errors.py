"""The one place where failures become problem documents (RFC 9457): a total table, one shape."""

import math
from collections.abc import Mapping, Sequence
from datetime import timedelta
from http import HTTPStatus
from typing import Final

from pydantic import ValidationError
from starlette.responses import Response

from app.domain.errors import (
    ERROR_DOMAIN,
    DomainError,
    FieldViolation,
    InvalidRequestError,
    Kind,
    RateLimitedError,
)
from app.policy.quota_fields import fields_of
from app.telemetry.known_secrets import mask_held_in_json
from rest_api.json_bytes import json_bytes

MEDIA_TYPE: Final = "application/problem+json"
TYPES: Final = "https://agent-gateway.dev/problems/"
"""What `type` starts with; the reason in lower-case with dashes follows."""
STANDARD_TYPES: Final = "https://iana.org/assignments/http-problem-types#"
"""What `type` of a used up quota starts with (draft-ietf-httpapi-ratelimit-headers-11, section 8)."""
CLIENT_CLOSED: Final = 499
"""Not registered, but what proxies and grpc-gateway use: the client left before the answer."""

STATUSES: Final[dict[Kind, int]] = {
    Kind.INVALID_ARGUMENT: 400,
    Kind.OUT_OF_RANGE: 400,
    Kind.NOT_FOUND: 404,
    Kind.ALREADY_EXISTS: 409,
    Kind.ABORTED: 409,
    Kind.FAILED_PRECONDITION: 409,
    Kind.PERMISSION_DENIED: 403,
    Kind.UNAUTHENTICATED: 401,
    Kind.RESOURCE_EXHAUSTED: 429,
    Kind.UNIMPLEMENTED: 501,
    Kind.UNAVAILABLE: 503,
    Kind.DEADLINE_EXCEEDED: 504,
    Kind.CANCELLED: CLIENT_CLOSED,
    Kind.INTERNAL: 500,
}
"""Every `Kind`; a test fails when one is missing."""

FINER: Final[dict[str, int]] = {
    "STALE_VERSION": 412,
    "PAYLOAD_TOO_LARGE": 413,
    "IDEMPOTENCY_KEY_REUSED": 422,
}
"""Reasons for which HTTP has a better word than for their kind."""

_MAX_VIOLATIONS: Final = 32
_JSON_REASONS: Final = {
    "extra_forbidden": "UNKNOWN_FIELD",
    "missing": "REQUIRED",
    "json_invalid": "INVALID_JSON",
    "literal_error": "UNKNOWN_VALUE",
    "enum": "UNKNOWN_VALUE",
}


class HttpError(Exception):
    """A failure that only HTTP knows: wrong route, method, media type or range."""

    def __init__(
        self,
        status: int,
        reason: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.reason = reason
        self.detail = detail
        self.headers = dict(headers or {})


def status_of(error: DomainError) -> int:
    """The HTTP status of a domain error."""
    return FINER.get(error.reason) or STATUSES[error.kind]


def problem_of(error: DomainError | HttpError, *, instance: str, request_id: str) -> dict[str, object]:
    """The error as the members of a problem document. What has no value is left out."""
    status = error.status if isinstance(error, HttpError) else status_of(error)
    problem: dict[str, object] = {
        "type": TYPES + error.reason.lower().replace("_", "-"),
        "title": error.reason.replace("_", " ").capitalize(),
        "status": status,
        "detail": error.detail if isinstance(error, HttpError) else error.message,
        "instance": instance,
        "reason": error.reason,
        "domain": ERROR_DOMAIN,
        "request_id": request_id,
    }
    if isinstance(error, DomainError):
        if error.facts:
            problem["metadata"] = error.facts
        if error.violations:
            problem["errors"] = [_violation(item) for item in error.violations[:_MAX_VIOLATIONS]]
        if error.retry_after is not None:
            problem["retry_after"] = _seconds(error.retry_after)
        if isinstance(error, RateLimitedError) and error.quotas:
            problem |= _of_quotas(error)
    return problem


def answer_of(error: DomainError | HttpError, *, instance: str, request_id: str) -> Response:
    """The error as an answer, with the headers that belong to its status."""
    problem = problem_of(error, instance=instance, request_id=request_id)
    headers = {"Cache-Control": "no-store"}
    if isinstance(error, HttpError):
        headers |= error.headers
    elif error.retry_after is not None:
        headers["Retry-After"] = str(_seconds(error.retry_after))
    if isinstance(error, RateLimitedError):
        headers |= fields_of(error.quotas)
    status = status_of(error) if isinstance(error, DomainError) else error.status
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Bearer realm="agent-gateway"'
    return Response(mask_held_in_json(json_bytes(problem)), status, headers, MEDIA_TYPE)


def invalid_body(error: ValidationError) -> InvalidRequestError:
    """What pydantic found, without the values: those may be secrets."""
    return _invalid(error, "the body")


def invalid_query(error: ValidationError) -> InvalidRequestError:
    """The same for query parameters."""
    return _invalid(error, "the query")


def pointer_of(field: str) -> str:
    """A dotted path in a request message as a JSON Pointer fragment into the body.

    What follows `metadata.` is one key.
    """
    if field.startswith("metadata."):
        parts: Sequence[str] = field.split(".", 1)
    else:
        parts = field.split(".") if field else ()
    return "#" + "".join(f"/{part.replace('~', '~0').replace('/', '~1')}" for part in parts)


def _invalid(error: ValidationError, what: str) -> InvalidRequestError:
    found = error.errors(include_url=False, include_input=False, include_context=False)
    violations = [
        FieldViolation(
            field=".".join(str(part) for part in item["loc"]),
            description=item["msg"],
            reason=_reason(item["type"]),
        )
        for item in found[:_MAX_VIOLATIONS]
    ]
    first = violations[0]
    return InvalidRequestError(f"{first.field or what}: {first.description}", violations=violations)


def _reason(kind: str) -> str:
    if kind.endswith("_type") or kind.endswith("_parsing"):
        return "WRONG_TYPE"
    return _JSON_REASONS.get(kind, "INVALID")


def _of_quotas(error: RateLimitedError) -> dict[str, object]:
    """The registered type of a problem: the caller's own quota, or everybody's."""
    violated = [quota for quota in error.quotas if quota.violated]
    everybodys = bool(violated) and violated[0].subject == "global"
    word = "temporary-reduced-capacity" if everybodys else "quota-exceeded"
    return {
        "type": STANDARD_TYPES + word,
        "title": word.replace("-", " ").capitalize(),
        "violated-policies": [quota.policy for quota in violated],
    }


def _violation(violation: FieldViolation) -> dict[str, str]:
    return {
        "detail": violation.description,
        "pointer": pointer_of(violation.field),
        "reason": violation.reason,
    }


def _seconds(wait: timedelta) -> int:
    return max(1, math.ceil(wait.total_seconds()))
