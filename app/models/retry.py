"""The one retry policy for model calls; the SDKs' own retries are off (see `building`)."""

import asyncio
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

from pydantic_ai import RunContext
from pydantic_ai import exceptions as ai
from pydantic_ai.messages import ModelMessage, ModelResponse, ModelResponseStreamEvent
from pydantic_ai.models import Model, ModelRequestParameters, StreamedResponse
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.settings import ModelSettings

from app.breakers.board import Circuit, CircuitOpenError
from app.domain.breaker import Verdict
from app.domain.errors import DomainError
from app.domain.run_errors import ModelUnavailableError
from app.models.base import RetryHook
from app.models.connections import OpenResponses
from app.models.errors import error_of_call, never_sent, verdict_of

CircuitOf = Callable[[], Circuit]
"""The circuit of a model's endpoint as it is now; asked for before each attempt."""

RETRYABLE_STATUSES = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
"""409 is a lock the provider could not get in time; 529 is Anthropic's 'overloaded'."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """When and how long to wait; exponential with full jitter, all times in seconds.

    Wait n (from 1) is random in 0..min(`max_delay_s`, `first_delay_s` * 2^(n-1)); a provider that
    says how long to wait gets that, plus a random part of `first_delay_s` so that many tasks do not
    come back at once. A wait that would end after `max_total_s` since the first attempt is not
    begun: the call fails at once, with the provider's wait as `retry_after`.
    """

    max_attempts: int = 5
    max_total_s: float = 120.0
    first_delay_s: float = 0.5
    max_delay_s: float = 30.0

    def delay_s(self, attempt: int, asked_s: float | None, fraction: float) -> float:
        """The wait after failed attempt `attempt` (from 1); `fraction` is the jitter, 0 to 1."""
        if asked_s is not None:
            return asked_s + fraction * self.first_delay_s
        # The exponent is bounded so that a large attempt number cannot overflow a float.
        return fraction * min(self.max_delay_s, self.first_delay_s * 2 ** min(attempt - 1, 60))


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Time and chance, as the policy sees them; a test gives its own."""

    now_s: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    fraction: Callable[[], float] = random.random


def is_retryable(error: Exception) -> bool:
    """Whether the same request may succeed a little later.

    The provider's `x-should-retry` is believed. A read timeout is not retried: the request was
    sent, may still be worked on (and billed), and used up its time.
    """
    if isinstance(error, ai.ModelHTTPError):
        if error.provider_retry_hint is not None:
            return error.provider_retry_hint
        if isinstance(error, ai.ModelQuotaExceededError):
            return False
        return error.status_code in RETRYABLE_STATUSES
    if isinstance(error, ai.ModelTimeoutError):
        return never_sent(error)
    transient = (
        ai.ModelConnectionError,
        ai.ModelRateLimitError,
        ai.ModelUnavailableError,
        ai.ModelServerError,
    )
    return isinstance(error, transient)


class RetryingModel(WrapperModel):
    """A model whose calls are retried by policy and fail with DomainErrors.

    A stream is retried only until its first event is there: what a consumer has seen is never
    taken back. CancelledError passes at once, during a call and during a wait.

    Each attempt passes the endpoint's circuit: once that is open, the call fails at once with
    MODEL_UNAVAILABLE instead of being tried again, and `retry_after` says when there is a chance.
    """

    def __init__(
        self,
        wrapped: Model,
        *,
        reference: str,
        policy: RetryPolicy | None = None,
        on_retry: RetryHook | None = None,
        pace: Pace | None = None,
        circuit: CircuitOf | None = None,
    ) -> None:
        super().__init__(wrapped)
        self._reference = reference
        self._policy = policy or RetryPolicy()
        self._on_retry = on_retry
        self._pace = pace or Pace()
        self._circuit = circuit

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """Ask for a whole answer. Raises DomainError when the attempts are used up."""
        turnstile = self._turnstile()
        while True:
            try:
                with self._through_the_circuit():
                    return await self.wrapped.request(messages, model_settings, model_request_parameters)
            except Exception as error:  # noqa: BLE001 - sorted by the turnstile, which raises what it does not know
                await turnstile.admit_again(error)

    @asynccontextmanager
    async def request_stream(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
        run_context: RunContext[Any] | None = None,
    ) -> AsyncGenerator[StreamedResponse]:
        """Open a stream that has its first event. Raises DomainError, here and while it is read."""
        turnstile = self._turnstile()
        async with AsyncExitStack() as call:
            stream = None
            while stream is None:
                try:
                    async with AsyncExitStack() as attempt:
                        opening = self.wrapped.request_stream(
                            messages, model_settings, model_request_parameters, run_context
                        )
                        with self._through_the_circuit():
                            stream = await self._opened(attempt, opening)
                        call.push_async_exit(attempt.pop_all())
                except Exception as error:  # noqa: BLE001 - as above
                    await turnstile.admit_again(error)
            yield stream

    async def _opened(
        self, attempt: AsyncExitStack, opening: AbstractAsyncContextManager[StreamedResponse]
    ) -> StreamedResponse:
        """The stream with its first event; whatever happens, `attempt` closes its connection."""
        responses = OpenResponses()
        attempt.push_async_callback(responses.aclose)
        with responses.noting():
            stream = await attempt.enter_async_context(opening)
            await _prime(stream, self._broken_off)
        return stream

    def _turnstile(self) -> "_Turnstile":
        return _Turnstile(self._policy, self._pace, self._on_retry, self._translated)

    @contextmanager
    def _through_the_circuit(self) -> Generator[None]:
        """One attempt. A stream counts as a success with its first event, not with its last."""
        if self._circuit is None:
            yield
            return
        try:
            with self._circuit().attempt(verdict_of):
                yield
        except CircuitOpenError as refused:
            raise ModelUnavailableError(
                f"the provider of {self._reference} failed too often; it is left alone for a while",
                retry_after=refused.retry_after,
                model=self._reference,
                cause="circuit_open",
            ) from None

    def _broken_off(self, error: Exception) -> DomainError | None:
        """What a stream fails with after its first event."""
        if self._circuit is not None and verdict_of(error) is Verdict.FAILURE:
            self._circuit().note_failure()
        return self._translated(error)

    def _translated(self, error: Exception) -> DomainError | None:
        return error_of_call(error, model=self._reference)


class _Turnstile:
    """Counts the attempts of one call and lets it try again, or not."""

    def __init__(
        self,
        policy: RetryPolicy,
        pace: Pace,
        on_retry: RetryHook | None,
        translated: Callable[[Exception], DomainError | None],
    ) -> None:
        self._policy = policy
        self._pace = pace
        self._on_retry = on_retry
        self._translated = translated
        self._attempt = 1
        self._started_s = pace.now_s()

    async def admit_again(self, error: Exception) -> None:
        """Return after the wait before the next attempt, or raise what the call fails with."""
        final = self._translated(error)
        if final is None:
            raise error
        if not is_retryable(error) or self._attempt >= self._policy.max_attempts:
            # `from None`: the provider's text stays out of the log, too.
            raise final from None
        asked_s = error.retry_after if isinstance(error, ai.ModelAPIError) else None
        delay_s = self._policy.delay_s(self._attempt, asked_s, self._pace.fraction())
        if self._pace.now_s() + delay_s > self._started_s + self._policy.max_total_s:
            raise final from None
        if self._on_retry is not None:
            await self._on_retry(self._attempt, final.reason, delay_s)
        await self._pace.sleep(delay_s)
        self._attempt += 1


async def _prime(stream: StreamedResponse, translated: Callable[[Exception], DomainError | None]) -> None:
    """Wait for the stream's first event and make it the first one the consumer gets.

    `_get_event_iterator` is what every StreamedResponse overrides to produce its events. Replacing
    it on the instance keeps all that pydantic-ai builds around it (final result, part ends,
    deadlines, cancel), which an own StreamedResponse would have to repeat.
    """
    events = stream._get_event_iterator()  # pyright: ignore[reportPrivateUsage]
    try:
        first = [await anext(events)]
    except StopAsyncIteration:
        first = []

    async def replayed() -> AsyncIterator[ModelResponseStreamEvent]:
        for event in first:
            yield event
        try:
            async for event in events:
                yield event
        except Exception as error:
            final = None if stream.cancelled else translated(error)
            if final is None:
                raise
            raise final from None

    stream._get_event_iterator = replayed  # pyright: ignore[reportPrivateUsage]
