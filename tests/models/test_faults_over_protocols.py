"""What each provider's faults become, over its real HTTP protocol: retries, then our errors."""

import asyncio
import logging
import traceback
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from pydantic_ai import Agent
from pydantic_ai.exceptions import ModelRequestTimeout
from pydantic_ai.settings import ModelSettings

from app.domain.errors import DomainError
from app.domain.run_errors import (
    ModelAnswerError,
    ModelAuthError,
    ModelRateLimitedError,
    ModelRejectedError,
    ModelTimeoutError,
    ModelUnavailableError,
)
from app.models.errors import domain_error_of
from tests.llm.script import Attempts, Turn, fails, says
from tests.llm.server import scripted_llm
from tests.models.conftest import KEY, Bench

STREAMED = pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])

EVENTS_BEFORE_TEXT = {"openai-chat": 1, "openai-responses": 4, "anthropic": 2, "gemini": 0}


async def run(agent: Agent, *, streamed: bool) -> str:
    """One run of the agent, either way."""
    if not streamed:
        return (await agent.run("go")).output
    async with agent.run_stream_events("go") as events:
        async for event in events:
            if event.event_kind == "agent_run_result":
                return event.result.output
    raise AssertionError("no result")


@STREAMED
async def test_429_is_tried_again_after_the_time_the_provider_asks_for(bench: Bench, streamed: bool) -> None:
    async with scripted_llm([[fails(429, retry_after="7"), says("ok")]]) as llm:
        output = await run(Agent(await bench.model(llm)), streamed=streamed)

    assert output == "ok"
    assert bench.time.waits_s == [8.0]  # 7 asked for, and a whole second of jitter
    assert bench.retries == [(1, "MODEL_RATE_LIMITED", 8.0)]


@STREAMED
async def test_500s_are_tried_again_with_growing_waits(bench: Bench, streamed: bool) -> None:
    async with scripted_llm([[fails(500), fails(503), says("ok")]]) as llm:
        output = await run(Agent(await bench.model(llm)), streamed=streamed)

    assert output == "ok"
    assert bench.time.waits_s == [1.0, 2.0]
    assert [exchange.attempt for exchange in llm.requests] == [1, 2, 3]


async def test_always_429_ends_as_rate_limited_with_the_wait(bench: Bench) -> None:
    async with scripted_llm([fails(429, retry_after="3")]) as llm:
        with pytest.raises(ModelRateLimitedError) as caught:
            await Agent(await bench.model(llm)).run("go")

    assert caught.value.reason == "MODEL_RATE_LIMITED"
    assert caught.value.retry_after == timedelta(seconds=3)
    assert len(llm.requests) == 3  # the policy's, not the SDK's: no request more


async def test_a_wait_beyond_the_total_time_is_not_begun(bench: Bench) -> None:
    async with scripted_llm([fails(429, retry_after="3600")]) as llm:
        with pytest.raises(ModelRateLimitedError) as caught:
            await Agent(await bench.model(llm)).run("go")

    assert caught.value.retry_after == timedelta(hours=1)
    assert (len(llm.requests), bench.time.waits_s) == (1, [])


@pytest.mark.parametrize("bench", ["openai-chat", "openai-responses", "anthropic"], indirect=True)
async def test_retry_after_may_be_a_date(bench: Bench) -> None:
    """Gemini has no such header: it sends RetryInfo, a duration."""
    at = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    async with scripted_llm([[fails(503, retry_after=at), says("ok")]]) as llm:
        await Agent(await bench.model(llm)).run("go")

    assert 25 < bench.time.waits_s[0] < 32


@STREAMED
async def test_a_wrong_key_is_an_auth_failure_and_is_shown_nowhere(
    bench: Bench, streamed: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """The scripted provider quotes the key in its body, as real ones have done."""
    wrong = "sk-wrong-8c1d77e0"
    caplog.set_level(logging.DEBUG)
    async with scripted_llm([says("never")], api_key=KEY) as llm:
        with pytest.raises(ModelAuthError) as caught:
            await run(Agent(await bench.model(llm, key=wrong)), streamed=streamed)

    shown = "".join(traceback.format_exception(caught.value))
    assert llm.requests[0].credential == wrong
    assert wrong not in shown + caplog.text + str(caught.value.facts)
    assert len(llm.requests) == 1


async def test_a_refused_request_is_rejected_at_once(bench: Bench) -> None:
    async with scripted_llm([fails(400, error_message="bad schema")]) as llm:
        with pytest.raises(ModelRejectedError) as caught:
            await Agent(await bench.model(llm)).run("go")

    assert len(llm.requests) == 1
    assert caught.value.facts["http_status"] == "400"
    assert "bad schema" not in str(caught.value)


async def test_an_unknown_model_is_rejected(bench: Bench) -> None:
    async with scripted_llm([fails(404)]) as llm:
        with pytest.raises(ModelRejectedError) as caught:
            await Agent(await bench.model(llm)).run("go")

    assert caught.value.facts["cause"] == "not_found"


async def test_silence_ends_as_a_timeout_and_is_not_repeated(bench: Bench) -> None:
    async with scripted_llm([Turn(gate=asyncio.Event())]) as llm:
        with pytest.raises(ModelTimeoutError):
            await Agent(await bench.model(llm, read_s=0.2)).run("go")

        assert len(llm.requests) == 1
        async with asyncio.timeout(1):
            await llm.requests[0].disconnected.wait()


async def test_a_slow_answer_is_waited_for(bench: Bench) -> None:
    async with scripted_llm([says("slow but sure", delay_s=0.05, chunk_delay_s=0.01)]) as llm:
        assert await run(Agent(await bench.model(llm)), streamed=True) == "slow but sure"


async def test_an_answer_cut_in_the_middle_is_asked_for_again(bench: Bench) -> None:
    async with scripted_llm([[says("half", cut_after=0), says("whole")]]) as llm:
        result = await Agent(await bench.model(llm)).run("go")

    assert result.output == "whole"
    assert bench.retries == [(1, "MODEL_UNAVAILABLE", 1.0)]


async def test_a_stream_cut_before_any_content_is_opened_again(bench: Bench) -> None:
    async with scripted_llm([[says("half", cut_after=0), says("whole")]]) as llm:
        output = await run(Agent(await bench.model(llm)), streamed=True)

    assert output == "whole"
    assert [exchange.attempt for exchange in llm.requests] == [1, 2]


async def test_a_stream_cut_after_content_fails_and_is_not_repeated(bench: Bench) -> None:
    after = EVENTS_BEFORE_TEXT[bench.protocol] + 2
    script: list[Attempts] = [[says("0123456789abcdef", chunk_chars=2, cut_after=after), says("whole")]]
    async with scripted_llm(script) as llm:
        with pytest.raises(ModelUnavailableError):
            await run(Agent(await bench.model(llm)), streamed=True)

    assert len(llm.requests) == 1
    assert bench.retries == []


@STREAMED
async def test_a_malformed_answer_is_named_as_such(bench: Bench, streamed: bool) -> None:
    async with scripted_llm([Turn(malformed=True)]) as llm:
        with pytest.raises(ModelAnswerError) as caught:
            await run(Agent(await bench.model(llm)), streamed=streamed)

    assert caught.value.reason == "MODEL_MALFORMED_ANSWER"


@STREAMED
async def test_cancel_in_mid_call_closes_the_connection(bench: Bench, streamed: bool) -> None:
    async with scripted_llm([says("never comes", gate=asyncio.Event())]) as llm:
        agent = Agent(await bench.model(llm))
        async with asyncio.TaskGroup() as group, asyncio.timeout(5):
            running = group.create_task(run(agent, streamed=streamed))
            [exchange] = await llm.wait_for_requests(1)

            running.cancel()

            async with asyncio.timeout(1):
                await exchange.disconnected.wait()
        assert running.cancelled()
    assert bench.retries == []


async def test_cancel_in_mid_stream_closes_the_connection(bench: Bench) -> None:
    held_at = EVENTS_BEFORE_TEXT[bench.protocol] + 1
    reading = asyncio.Event()

    async def read(agent: Agent) -> None:
        async with agent.run_stream_events("go") as events:
            async for _ in events:
                reading.set()

    async with scripted_llm(
        [says("never comes to its end", gate=asyncio.Event(), hold_after=held_at)]
    ) as llm:
        agent = Agent(await bench.model(llm))
        async with asyncio.TaskGroup() as group, asyncio.timeout(5):
            running = group.create_task(read(agent))
            await reading.wait()

            running.cancel()

            async with asyncio.timeout(1):
                await llm.requests[0].disconnected.wait()
        assert running.cancelled()
    assert bench.retries == []


async def test_cancel_while_waiting_for_a_retry_passes_at_once(bench: Bench) -> None:
    waiting = asyncio.Event()

    async def for_ever(_delay_s: float) -> None:
        waiting.set()
        await asyncio.Event().wait()

    bench.time.sleep = for_ever  # type: ignore[method-assign]
    async with scripted_llm([fails(503)]) as llm:
        agent = Agent(await bench.model(llm))
        async with asyncio.TaskGroup() as group, asyncio.timeout(5):
            running = group.create_task(agent.run("go"))
            await waiting.wait()

            running.cancel()
        assert running.cancelled()
        assert len(llm.requests) == 1


async def test_an_endpoint_nobody_serves_is_unavailable(bench: Bench) -> None:
    async with scripted_llm([says("gone")]) as llm:
        model = await bench.model(llm)

    with pytest.raises(ModelUnavailableError) as caught:
        await Agent(model).run("go")

    assert len(bench.retries) == 2
    assert isinstance(caught.value, DomainError)


async def kinds_of_events(agent: Agent, instruction: str, *, request_timeout_s: float) -> list[str]:
    """One streamed run with a deadline of its own."""
    settings = ModelSettings(request_timeout=request_timeout_s)
    async with agent.run_stream_events(instruction, model_settings=settings) as events:
        return [event.event_kind async for event in events]


async def test_a_runs_own_deadline_holds_over_a_stream(bench: Bench) -> None:
    """pydantic-ai's `request_timeout` is enforced around our retries, and by its own error."""
    held_at = EVENTS_BEFORE_TEXT[bench.protocol] + 1
    slow = says("never comes to its end", gate=asyncio.Event(), hold_after=held_at)
    async with scripted_llm({"quick": [says("in time")], "slow": [slow]}) as llm:
        agent = Agent(await bench.model(llm))
        kinds = await kinds_of_events(agent, "quick", request_timeout_s=30)

        with pytest.raises(ModelRequestTimeout) as caught:
            await kinds_of_events(agent, "slow", request_timeout_s=0.5)

        async with asyncio.timeout(1):
            await llm.requests[-1].disconnected.wait()
    assert kinds[-1] == "agent_run_result"
    assert isinstance(domain_error_of(caught.value, model=bench.reference), ModelTimeoutError)
