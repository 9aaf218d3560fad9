"""From what pydantic-ai and the SDKs raise to our own errors, without a word of the provider's body.

A body may quote the key or the prompt, so only these leave this module: our sentence, the HTTP
status, the provider's error code when it looks like one, and how long it asked to wait.
"""

import json
import re
from datetime import timedelta

import httpx2
from pydantic import ValidationError
from pydantic_ai import exceptions as ai

from app.domain.breaker import Verdict
from app.domain.errors import DomainError
from app.domain.run_errors import (
    ModelAnswerError,
    ModelAuthError,
    ModelRateLimitedError,
    ModelRejectedError,
    ModelTimeoutError,
    ModelUnavailableError,
)

PROVIDER_CODE = re.compile(r"[A-Za-z][A-Za-z_. ]{1,47}")
"""Letters only: `insufficient_quota` passes, a key (keys have digits) does not."""

NOT_ANSWERED = frozenset({408, 409, 425})
"""4xx statuses that say 'not now' and nothing about the request itself."""


def domain_error_of(error: Exception, *, model: str) -> DomainError | None:
    """Our error for what pydantic-ai says of `model` (a reference); None when it is no failure of a model."""
    if isinstance(error, DomainError):
        return error
    if isinstance(error, ai.ModelAPIError):
        return _of_api_error(error, model)
    if isinstance(error, ai.ContentFilterError):
        return ModelRejectedError(f"{model} refused the content", model=model, cause="content_filter")
    if isinstance(error, ai.OutputTokenLimitExceeded):
        return ModelAnswerError(
            f"{model} stopped at its output token limit", model=model, cause="output_limit"
        )
    if isinstance(error, ai.UnexpectedModelBehavior):
        return ModelAnswerError(f"the answer of {model} cannot be understood", model=model)
    return None


def error_of_call(error: Exception, *, model: str) -> DomainError | None:
    """As `domain_error_of`, and for what an SDK lets through raw.

    Only for what was raised inside a model call: a tool may raise the same types for its own reasons.
    """
    if isinstance(error, ValidationError | json.JSONDecodeError):
        return ModelAnswerError(f"the answer of {model} cannot be understood", model=model)
    if isinstance(error, httpx2.TimeoutException):
        return ModelTimeoutError(f"{model} did not answer in time", model=model)
    if isinstance(error, httpx2.TransportError):
        return ModelUnavailableError(f"the connection to {model} failed", model=model)
    return domain_error_of(error, model=model)


def never_sent(error: Exception) -> bool:
    """Whether the request did not leave: no connection could be had."""
    return isinstance(error, ai.ModelConnectionError) and error.phase in ("pool", "connect")


def verdict_of(error: BaseException) -> Verdict:
    """What a failed call says about the provider itself.

    That it fails or is silent counts. A refusal (4xx: key, limit, request) is about one caller, and an
    answer that cannot be understood is about one model; an exhausted connection pool is ours.
    """
    if isinstance(error, ai.ModelHTTPError):
        return Verdict.FAILURE if error.status_code >= 500 else Verdict.NEUTRAL
    if isinstance(error, ai.ModelConnectionError) and error.phase == "pool":
        return Verdict.NEUTRAL
    told = error_of_call(error, model="") if isinstance(error, Exception) else None
    fails = isinstance(told, ModelUnavailableError | ModelTimeoutError)
    return Verdict.FAILURE if fails else Verdict.NEUTRAL


def _of_api_error(error: ai.ModelAPIError, model: str) -> DomainError:
    make, sentence, cause = _answer_to(error)
    facts = _facts(error, model)
    if cause is not None:
        facts["cause"] = cause
    wait = timedelta(seconds=error.retry_after) if error.retry_after is not None else None
    return make(sentence.format(model=model), violations=(), retry_after=wait, quotas=(), **facts)


def _answer_to(error: ai.ModelAPIError) -> tuple[type[DomainError], str, str | None]:
    if never_sent(error):
        return ModelUnavailableError, "{model} cannot be reached", None
    for category, make, sentence, cause in _CATEGORIES:
        if isinstance(error, category):
            return make, sentence, cause
    if isinstance(error, ai.ModelHTTPError):
        rejected = error.status_code < 500 and error.status_code not in NOT_ANSWERED
        return _REJECTED if rejected else _UNAVAILABLE
    if error.in_stream or error.provider_error_code or error.provider_error_type:
        return ModelUnavailableError, "{model} failed while it answered", None
    # What is left is a 200 whose body is no answer: pydantic-ai has no category for it.
    return ModelAnswerError, "the answer of {model} cannot be understood", None


_REJECTED = (ModelRejectedError, "{model} rejected the request", None)
_UNAVAILABLE = (ModelUnavailableError, "{model} is not available", None)

_CATEGORIES: tuple[tuple[type[ai.ModelAPIError], type[DomainError], str, str | None], ...] = (
    # The special before the general: the first that fits decides.
    (ai.ModelAuthenticationError, ModelAuthError, "the provider of {model} refused the API key", None),
    # Waiting does not help, but the reaction is the same: this account is used up.
    (
        ai.ModelQuotaExceededError,
        ModelRateLimitedError,
        "the account's quota for {model} is used up",
        "quota",
    ),
    (ai.ModelRateLimitError, ModelRateLimitedError, "the rate limit for {model} is reached", None),
    (
        ai.ModelContextWindowExceededError,
        ModelRejectedError,
        "the conversation is too long for {model}",
        "context_window",
    ),
    (
        ai.ModelNotFoundError,
        ModelRejectedError,
        "the provider does not know {model}, or the endpoint is wrong",
        "not_found",
    ),
    (ai.ModelRequestRejectedError, *_REJECTED),
    (ai.ModelRequestTimeout, ModelTimeoutError, "{model} did not answer in time", None),
    (ai.ModelTimeoutError, ModelTimeoutError, "{model} did not answer in time", None),
    (ai.ModelConnectionError, ModelUnavailableError, "the connection to {model} broke", None),
    (ai.ModelUnavailableError, *_UNAVAILABLE),
    (ai.ModelServerError, *_UNAVAILABLE),
)


def _facts(error: ai.ModelAPIError, model: str) -> dict[str, str | int]:
    facts: dict[str, str | int] = {"model": model}
    if isinstance(error, ai.ModelHTTPError):
        facts["http_status"] = error.status_code
    code = error.provider_error_code or error.provider_error_type
    if code is not None and PROVIDER_CODE.fullmatch(code):
        facts["provider_code"] = code
    return facts
