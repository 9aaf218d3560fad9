"""The retry policy on its own: which errors, how long, how often. No network, no waiting."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from pydantic_ai import exceptions as ai
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.models.function import AgentInfo, FunctionModel

from app.domain.run_errors import ModelRejectedError, ModelUnavailableError
from app.models.retry import Pace, RetryingModel, RetryPolicy, is_retryable


def http_error(status: int, **options: object) -> ai.ModelHTTPError:
    """A plain HTTP failure."""
    return ai.ModelHTTPError(status, "m", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 504, 529])
def test_these_statuses_are_tried_again(status: int) -> None:
    assert is_retryable(http_error(status))


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 413, 422, 501])
def test_these_are_not(status: int) -> None:
    assert not is_retryable(http_error(status))


def test_the_providers_word_on_retries_counts() -> None:
    assert not is_retryable(http_error(503, headers={"X-Should-Retry": "false"}))
    assert is_retryable(http_error(400, headers={"X-Should-Retry": "true"}))


def test_a_used_up_quota_is_not_waited_for() -> None:
    quota = ai.ModelHTTPError.for_category(ai.ModelQuotaExceededError, status_code=429, model_name="m")
    assert not is_retryable(quota)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ai.ModelConnectionError("m", "refused", phase="connect"), True),
        (ai.ModelConnectionError("m", "cut", phase="read"), True),
        (ai.ModelTimeoutError("m", "slow", phase="read"), False),
        (ai.ModelTimeoutError("m", "no connection", phase="connect"), True),
        (ai.ModelRequestTimeout("m", 3.0), False),
        (ai.ModelOverloadedError("m", "busy", in_stream=True), True),
        (ai.ModelAPIError("m", "not JSON"), False),
        (ai.UnexpectedModelBehavior("odd"), False),
        (RuntimeError("a bug"), False),
    ],
)
def test_of_failures_without_a_status_only_transient_ones_are(error: Exception, expected: bool) -> None:
    assert is_retryable(error) is expected


def test_waits_double_up_to_a_limit_and_chance_shortens_them() -> None:
    policy = RetryPolicy(first_delay_s=1, max_delay_s=5)

    assert [policy.delay_s(attempt, None, 1.0) for attempt in (1, 2, 3, 4, 5_000)] == [1, 2, 4, 5, 5]
    assert policy.delay_s(4, None, 0.5) == 2.5
    assert policy.delay_s(4, None, 0.0) == 0.0


def test_what_the_provider_asks_for_is_never_shortened() -> None:
    policy = RetryPolicy(first_delay_s=1, max_delay_s=5)

    assert policy.delay_s(1, 20.0, 0.0) == 20.0
    assert policy.delay_s(1, 20.0, 1.0) == 21.0


@dataclass
class Trial:
    """A retrying model over scripted failures, and what it did."""

    failures: list[Exception]
    policy: RetryPolicy = field(default_factory=RetryPolicy)
    now_s: float = 0.0
    call_s: float = 0.0
    calls: int = 0
    noted: list[tuple[int, str, float]] = field(default_factory=list)

    def model(self) -> RetryingModel:
        """The model under test."""
        inner = FunctionModel(self._answer, stream_function=self._stream)
        pace = Pace(now_s=lambda: self.now_s, sleep=self._sleep, fraction=lambda: 1.0)
        return RetryingModel(inner, reference="p:m", policy=self.policy, on_retry=self._note, pace=pace)

    async def ask(self) -> ModelResponse:
        """One whole answer."""
        return await self.model().request([], None, ModelRequestParameters())

    async def read(self) -> list[str]:
        """One streamed answer, as the kinds of its events."""
        async with self.model().request_stream([], None, ModelRequestParameters()) as stream:
            return [event.event_kind async for event in stream]

    async def _sleep(self, delay_s: float) -> None:
        self.now_s += delay_s

    async def _note(self, attempt: int, reason: str, delay_s: float) -> None:
        self.noted.append((attempt, reason, delay_s))

    def _call(self) -> None:
        self.calls += 1
        self.now_s += self.call_s
        if self.failures:
            raise self.failures.pop(0)

    def _answer(self, _messages: list[ModelMessage], _info: AgentInfo) -> ModelResponse:
        self._call()
        return ModelResponse(parts=[TextPart("ok")])

    async def _stream(self, _messages: list[ModelMessage], _info: AgentInfo) -> AsyncIterator[str]:
        self._call()
        yield "o"
        yield "k"


async def test_it_answers_after_failures_and_tells_of_each() -> None:
    trial = Trial([http_error(500), http_error(503)])

    response = await trial.ask()

    assert response.parts == [TextPart("ok")]
    assert trial.noted == [(1, "MODEL_UNAVAILABLE", 0.5), (2, "MODEL_UNAVAILABLE", 1.0)]


async def test_attempts_are_bounded() -> None:
    trial = Trial([http_error(500)] * 10, policy=RetryPolicy(max_attempts=4))

    with pytest.raises(ModelUnavailableError):
        await trial.ask()

    assert trial.calls == 4


async def test_slow_failures_use_up_the_total_time() -> None:
    trial = Trial([http_error(500)] * 10, policy=RetryPolicy(max_attempts=10, max_total_s=10), call_s=4.0)

    with pytest.raises(ModelUnavailableError):
        await trial.ask()

    assert trial.calls == 3  # 4 s + 0.5 s + 4 s + 1 s: the third begins at 9.5 s and is the last


async def test_a_refusal_is_final() -> None:
    trial = Trial([http_error(422)])

    with pytest.raises(ModelRejectedError):
        await trial.ask()

    assert (trial.calls, trial.noted) == (1, [])


async def test_a_bug_is_not_dressed_up_as_the_providers_fault() -> None:
    with pytest.raises(ZeroDivisionError):
        await Trial([ZeroDivisionError()]).ask()


async def test_a_stream_that_fails_before_its_first_event_is_opened_again_and_loses_nothing() -> None:
    trial = Trial([http_error(529)])

    kinds = await trial.read()

    assert trial.calls == 2
    assert kinds == ["part_start", "final_result", "part_delta", "part_end"]


async def test_a_hook_that_raises_ends_the_call() -> None:
    trial = Trial([http_error(500)])

    async def refuse(_attempt: int, _reason: str, _delay_s: float) -> None:
        raise PermissionError("the task is no longer ours")

    trial._note = refuse  # type: ignore[method-assign]
    with pytest.raises(PermissionError):
        await trial.ask()


async def test_cancellation_is_not_an_error_to_retry() -> None:
    trial = Trial([asyncio.CancelledError()])  # type: ignore[list-item]

    with pytest.raises(asyncio.CancelledError):
        await trial.ask()

    assert (trial.calls, trial.noted) == (1, [])
