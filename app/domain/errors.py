"""The one error taxonomy: a `Kind` says how to react, a `reason` says what happened.

Every expected failure is a `DomainError`, raised by the rule that found it. Each surface has one
total table from `Kind` (gRPC code, HTTP status); `reason` is the same on all of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import ClassVar

from app.domain.quotas import Quota

ERROR_DOMAIN = "agent-gateway"
"""`google.rpc.ErrorInfo.domain` and the problem member `domain`."""


class Kind(StrEnum):
    """How a caller should react; the names are those of the canonical gRPC codes."""

    INVALID_ARGUMENT = "invalid_argument"
    OUT_OF_RANGE = "out_of_range"
    NOT_FOUND = "not_found"
    ALREADY_EXISTS = "already_exists"
    ABORTED = "aborted"
    FAILED_PRECONDITION = "failed_precondition"
    PERMISSION_DENIED = "permission_denied"
    UNAUTHENTICATED = "unauthenticated"
    RESOURCE_EXHAUSTED = "resource_exhausted"
    UNIMPLEMENTED = "unimplemented"
    UNAVAILABLE = "unavailable"
    DEADLINE_EXCEEDED = "deadline_exceeded"
    CANCELLED = "cancelled"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldViolation:
    """One field of a request that is wrong.

    `field` is a dotted path in the request message (`limits.max_steps`, `actions.0.type`); REST
    renders it as a JSON Pointer fragment, gRPC as `BadRequest.FieldViolation.field`.
    """

    field: str
    description: str
    reason: str = "INVALID"


class DomainError(Exception):
    """An expected failure. `message` and `facts` are safe to show to the caller."""

    kind: ClassVar[Kind] = Kind.INTERNAL
    reason: ClassVar[str] = "INTERNAL"

    def __init__(
        self,
        message: str,
        *,
        violations: Sequence[FieldViolation] = (),
        retry_after: timedelta | None = None,
        quotas: Sequence[Quota] = (),
        **facts: str | int,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.quotas = tuple(quotas)
        self.violations = tuple(violations)
        self.retry_after = retry_after
        self.facts = {name: str(value) for name, value in facts.items()}


class InternalError(DomainError):
    """Something unexpected; tells the caller nothing, the log has the traceback."""

    def __init__(self) -> None:
        super().__init__("internal error; quote the request id when reporting it")


# --- the request itself is wrong ---------------------------------------------------------------


class InvalidRequestError(DomainError):
    """One or more fields are missing, malformed or beyond their limit."""

    kind, reason = Kind.INVALID_ARGUMENT, "INVALID_REQUEST"

    @classmethod
    def of(cls, field: str, description: str, reason: str = "INVALID") -> "InvalidRequestError":
        """The common case: one wrong field."""
        violation = FieldViolation(field=field, description=description, reason=reason)
        return cls(f"{field}: {description}", violations=(violation,))


class InvalidCursorError(DomainError):
    """A page or stream cursor that this gateway did not mint, or not for this listing."""

    kind, reason = Kind.INVALID_ARGUMENT, "INVALID_CURSOR"

    def __init__(self, field: str = "cursor") -> None:
        violation = FieldViolation(
            field=field, description="not a cursor of this listing", reason="INVALID_CURSOR"
        )
        super().__init__(f"{field}: not a cursor of this listing", violations=(violation,))


class NotUnderstoodError(DomainError):
    """The offline planner cannot carry out a clause of the instruction."""

    kind, reason = Kind.INVALID_ARGUMENT, "NOT_UNDERSTOOD"


# --- the thing asked for -------------------------------------------------------------------------


class NotFoundError(DomainError):
    """No such resource for this tenant (a foreign one reads the same)."""

    kind, reason = Kind.NOT_FOUND, "NOT_FOUND"

    def __init__(self, resource: str, resource_id: str, *, closest: Sequence[str] = ()) -> None:
        message, names = f"{resource} {resource_id!r} not found", ", ".join(closest)
        if names:
            super().__init__(
                f"{message}; closest: {names}", resource=resource, resource_id=resource_id, closest=names
            )
        else:
            super().__init__(message, resource=resource, resource_id=resource_id)


class AlreadyExistsError(DomainError):
    """A resource of that name exists."""

    kind, reason = Kind.ALREADY_EXISTS, "ALREADY_EXISTS"


class TaskEndedError(DomainError):
    """The task is in a terminal state and cannot be changed."""

    kind, reason = Kind.FAILED_PRECONDITION, "TASK_ENDED"


class IllegalTransitionError(DomainError):
    """The task's state does not allow this."""

    kind, reason = Kind.FAILED_PRECONDITION, "ILLEGAL_STATE"


class NotWaitingError(DomainError):
    """The task does not wait for that input (any more)."""

    kind, reason = Kind.FAILED_PRECONDITION, "NOT_WAITING"


class SessionBusyError(DomainError):
    """The session's previous task has not ended."""

    kind, reason = Kind.FAILED_PRECONDITION, "SESSION_BUSY"


class NotConfiguredError(DomainError):
    """The capability exists but needs configuration; the message says which setting or extra."""

    kind, reason = Kind.FAILED_PRECONDITION, "NOT_CONFIGURED"


class StaleVersionError(DomainError):
    """`If-Match` / `etag` does not match: somebody else changed the resource."""

    kind, reason = Kind.ABORTED, "STALE_VERSION"


class StaleOwnerError(DomainError):
    """A write carried an epoch older than the task's: its writer lost the task."""

    kind, reason = Kind.ABORTED, "STALE_OWNER"


# --- admission -------------------------------------------------------------------------------------


class UnauthenticatedError(DomainError):
    """No credential, or one that is not valid."""

    kind, reason = Kind.UNAUTHENTICATED, "UNAUTHENTICATED"


class PermissionDeniedError(DomainError):
    """The principal lacks the scope."""

    kind, reason = Kind.PERMISSION_DENIED, "PERMISSION_DENIED"


class IdentityProviderUnavailableError(DomainError):
    """Tokens cannot be checked now: the keys of the identity provider have never been fetched."""

    kind, reason = Kind.UNAVAILABLE, "IDENTITY_PROVIDER_UNAVAILABLE"


class IdempotencyMismatchError(DomainError):
    """The idempotency key was used with another payload (draft-ietf-httpapi-idempotency-key: 422)."""

    kind, reason = Kind.INVALID_ARGUMENT, "IDEMPOTENCY_KEY_REUSED"


class IdempotencyInProgressError(DomainError):
    """The first call with this idempotency key has not ended: come back for its answer."""

    kind, reason = Kind.ABORTED, "IDEMPOTENCY_IN_PROGRESS"


class QueueFullError(DomainError):
    """The bounded queue of tasks is full."""

    kind, reason = Kind.RESOURCE_EXHAUSTED, "QUEUE_FULL"


class RateLimitedError(DomainError):
    """A rate or concurrency limit is used up; `quotas` says which (the first) and how the others stand."""

    kind, reason = Kind.RESOURCE_EXHAUSTED, "RATE_LIMITED"


class BudgetExceededError(RateLimitedError):
    """The tenant's budget of the day (UTC) is used up, or too little is left of it."""

    reason = "BUDGET_EXCEEDED"


class QuotaExceededError(DomainError):
    """A size limit (workspace bytes, artifact bytes, open sandboxes) is reached."""

    kind, reason = Kind.RESOURCE_EXHAUSTED, "QUOTA_EXCEEDED"


class PayloadTooLargeError(DomainError):
    """The request body or message is larger than the setting allows."""

    kind, reason = Kind.INVALID_ARGUMENT, "PAYLOAD_TOO_LARGE"


class CallDeadlineError(DomainError):
    """The call's deadline passed, the caller's own or the server's; the task, if any, goes on."""

    kind, reason = Kind.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED"


class DrainingError(DomainError):
    """The server is shutting down and takes nothing new."""

    kind, reason = Kind.UNAVAILABLE, "DRAINING"


class StorageUnavailableError(DomainError):
    """The store cannot commit or read now; nothing was acknowledged."""

    kind, reason = Kind.UNAVAILABLE, "STORAGE_UNAVAILABLE"


class UnsupportedError(DomainError):
    """This gateway, sandbox or protocol does not offer that."""

    kind, reason = Kind.UNIMPLEMENTED, "UNSUPPORTED"


# --- sandboxes and tools (design document on sandboxes, section 7.2) --------------------------------


class SandboxUnavailableError(DomainError):
    """The sandbox kind cannot be opened here; `facts["install"]` says what is missing."""

    kind, reason = Kind.UNAVAILABLE, "SANDBOX_UNAVAILABLE"


class SandboxViolationError(DomainError):
    """The sandbox refused an escape: file system, network, process or environment."""

    kind, reason = Kind.PERMISSION_DENIED, "SANDBOX_VIOLATION"


class SandboxLimitError(DomainError):
    """Memory, output, disk, recursion or process limit of the sandbox."""

    kind, reason = Kind.RESOURCE_EXHAUSTED, "SANDBOX_LIMIT"


class StepTimeoutError(DomainError):
    """One sandbox step ran longer than its limit."""

    kind, reason = Kind.DEADLINE_EXCEEDED, "STEP_TIMEOUT"


class CodeFailedError(DomainError):
    """The user's code raised or exited non-zero: an in-band failure of the tool."""

    kind, reason = Kind.FAILED_PRECONDITION, "CODE_FAILED"


class ActionNotSupportedError(DomainError):
    """This kind of sandbox does not know the action."""

    kind, reason = Kind.UNIMPLEMENTED, "ACTION_NOT_SUPPORTED"


class TargetNotFoundError(DomainError):
    """No such element, file or application; `facts["closest"]` offers names."""

    kind, reason = Kind.FAILED_PRECONDITION, "TARGET_NOT_FOUND"


class PostconditionError(DomainError):
    """A step ran, but reading back did not show what it should have done."""

    kind, reason = Kind.FAILED_PRECONDITION, "POSTCONDITION_FAILED"


class SandboxCrashedError(DomainError):
    """The sandbox died in mid-step."""

    kind, reason = Kind.UNAVAILABLE, "SANDBOX_CRASHED"


class ToolFailedError(DomainError):
    """A tool could not do what it was asked for; the model is told."""

    kind, reason = Kind.FAILED_PRECONDITION, "TOOL_FAILED"
