"""Errors that end a run or a turn of it: the model's, and the task's own limits."""

from app.domain.errors import DomainError, Kind

# --- models ------------------------------------------------------------------------------------------


class ModelAuthError(DomainError):
    """The provider refused the key."""

    kind, reason = Kind.FAILED_PRECONDITION, "MODEL_AUTH_FAILED"


class ModelRateLimitedError(DomainError):
    """The provider's rate limit, after our retries."""

    kind, reason = Kind.RESOURCE_EXHAUSTED, "MODEL_RATE_LIMITED"


class ModelUnavailableError(DomainError):
    """The provider fails or cannot be reached, after our retries."""

    kind, reason = Kind.UNAVAILABLE, "MODEL_UNAVAILABLE"


class ModelRejectedError(DomainError):
    """The provider says the request is wrong (context too long, unknown model, policy)."""

    kind, reason = Kind.FAILED_PRECONDITION, "MODEL_REJECTED"


class ModelAnswerError(DomainError):
    """The provider's answer cannot be understood."""

    kind, reason = Kind.UNAVAILABLE, "MODEL_MALFORMED_ANSWER"


class ModelTimeoutError(DomainError):
    """The model did not answer in time."""

    kind, reason = Kind.DEADLINE_EXCEEDED, "MODEL_TIMEOUT"


# --- a task's own limits ---------------------------------------------------------------------------


class StepLimitError(DomainError):
    """The task used its last step."""

    kind, reason = Kind.RESOURCE_EXHAUSTED, "STEP_LIMIT"


class TokenLimitError(DomainError):
    """The task used its last token."""

    kind, reason = Kind.RESOURCE_EXHAUSTED, "TOKEN_LIMIT"


class CostLimitError(DomainError):
    """The task used its last cent."""

    kind, reason = Kind.RESOURCE_EXHAUSTED, "COST_LIMIT"


class TaskTimeoutError(DomainError):
    """The task's wall time is over."""

    kind, reason = Kind.DEADLINE_EXCEEDED, "TASK_TIMEOUT"


class TooManyAttemptsError(DomainError):
    """The task was claimed too often: each of its owners died."""

    kind, reason = Kind.INTERNAL, "TOO_MANY_ATTEMPTS"
