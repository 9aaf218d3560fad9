"""What providers' failures become, and what must not come along."""

import json
from datetime import timedelta

import httpx2
import pytest
from pydantic_ai import exceptions as ai

from app.domain.errors import InvalidRequestError
from app.models.errors import domain_error_of, error_of_call

SECRET = "sk-live-0a1b2c3d"


def of_status(status: int, category: type | None = None, **options: object) -> ai.ModelHTTPError:
    """An HTTP failure whose body quotes the key."""
    body = {"error": {"message": f"bad key {SECRET}", "code": SECRET}}
    return ai.ModelHTTPError.for_category(category, status_code=status, model_name="m", body=body, **options)  # type: ignore[arg-type]


CASES: list[tuple[Exception, str]] = [
    (of_status(401, ai.ModelAuthenticationError), "MODEL_AUTH_FAILED"),
    (of_status(403, ai.ModelAuthenticationError), "MODEL_AUTH_FAILED"),
    (of_status(429, ai.ModelRateLimitError), "MODEL_RATE_LIMITED"),
    (of_status(402, ai.ModelQuotaExceededError), "MODEL_RATE_LIMITED"),
    (of_status(400, ai.ModelContextWindowExceededError), "MODEL_REJECTED"),
    (of_status(404, ai.ModelNotFoundError), "MODEL_REJECTED"),
    (of_status(400, ai.ModelRequestRejectedError), "MODEL_REJECTED"),
    (of_status(418), "MODEL_REJECTED"),
    (of_status(409), "MODEL_UNAVAILABLE"),
    (of_status(500, ai.ModelServerError), "MODEL_UNAVAILABLE"),
    (of_status(529, ai.ModelOverloadedError), "MODEL_UNAVAILABLE"),
    (of_status(599), "MODEL_UNAVAILABLE"),
    (ai.ModelConnectionError("m", SECRET, phase="read"), "MODEL_UNAVAILABLE"),
    (ai.ModelTimeoutError("m", SECRET, phase="connect"), "MODEL_UNAVAILABLE"),
    (ai.ModelTimeoutError("m", SECRET, phase="read"), "MODEL_TIMEOUT"),
    (ai.ModelRequestTimeout("m", 5.0), "MODEL_TIMEOUT"),
    (ai.ModelAPIError("m", SECRET, in_stream=True), "MODEL_UNAVAILABLE"),
    (ai.ModelAPIError("m", f"Failed to decode {SECRET}"), "MODEL_MALFORMED_ANSWER"),
    (ai.UnexpectedModelBehavior(SECRET, body=SECRET), "MODEL_MALFORMED_ANSWER"),
    (ai.IncompleteToolCall(SECRET), "MODEL_MALFORMED_ANSWER"),
    (ai.ContentFilterError(SECRET), "MODEL_REJECTED"),
    (json.JSONDecodeError(SECRET, SECRET, 0), "MODEL_MALFORMED_ANSWER"),
    (httpx2.ReadTimeout(SECRET), "MODEL_TIMEOUT"),
    (httpx2.RemoteProtocolError(SECRET), "MODEL_UNAVAILABLE"),
]


@pytest.mark.parametrize(("error", "reason"), CASES, ids=lambda value: getattr(value, "__name__", None))
def test_each_failure_has_its_reason_and_keeps_the_providers_words_to_itself(
    error: Exception, reason: str
) -> None:
    ours = error_of_call(error, model="openai:gpt-5")

    assert ours is not None
    assert ours.reason == reason
    assert "openai:gpt-5" in ours.message
    assert SECRET not in ours.message + str(ours.facts) + repr(ours)


def test_the_wait_the_provider_asks_for_comes_along() -> None:
    error = of_status(429, ai.ModelRateLimitError, headers={"Retry-After": "12"})

    ours = domain_error_of(error, model="m")

    assert ours is not None
    assert ours.retry_after == timedelta(seconds=12)


def test_a_provider_code_comes_along_when_it_looks_like_one() -> None:
    error = of_status(400, ai.ModelContextWindowExceededError, provider_error_code="context_length_exceeded")

    ours = domain_error_of(error, model="m")

    assert ours is not None
    assert ours.facts["provider_code"] == "context_length_exceeded"
    assert ours.facts["cause"] == "context_window"


def test_a_code_that_could_be_a_key_does_not() -> None:
    ours = domain_error_of(of_status(401, ai.ModelAuthenticationError, provider_error_code=SECRET), model="m")

    assert ours is not None
    assert "provider_code" not in ours.facts


def test_our_own_errors_pass_and_bugs_are_not_ours_to_name() -> None:
    own = InvalidRequestError("mine")

    assert domain_error_of(own, model="m") is own
    assert error_of_call(KeyError("bug"), model="m") is None


@pytest.mark.parametrize("error", [httpx2.ReadTimeout("slow"), json.JSONDecodeError("bad", "x", 0)])
def test_outside_a_model_call_a_tools_failure_is_not_blamed_on_the_model(error: Exception) -> None:
    assert domain_error_of(error, model="m") is None
