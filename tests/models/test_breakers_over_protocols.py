"""The circuit of a provider's endpoint, over each provider's real HTTP protocol."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

import pytest
from pydantic_ai import Agent
from pydantic_ai.models import Model
from pydantic_ai.models.test import TestModel

from app.breakers.board import CircuitBoard
from app.domain.breaker import BreakerPolicy, CircuitState
from app.domain.errors import DomainError
from app.domain.run_errors import (
    ModelAuthError,
    ModelRateLimitedError,
    ModelRejectedError,
    ModelUnavailableError,
)
from app.domain.secrets import Secret
from app.models.building import ModelTimeouts
from app.models.catalog import ModelCatalog, ProviderAccess
from app.models.references import spec_of
from app.models.retry import RetryPolicy
from tests.llm.script import Attempts, fails, says
from tests.llm.server import ScriptedLLM, scripted_llm
from tests.models.conftest import KEY, REFERENCES, FakeTime

POLICY = BreakerPolicy(window_s=60, min_calls=4, failure_ratio=0.5, open_s=5, max_open_s=20, probes=2)
ASK = pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])


@dataclass(slots=True)
class World:
    """A catalog whose operator configured the scripted provider, and its circuits."""

    protocol: str
    clock: FakeTime
    board: CircuitBoard
    catalog: ModelCatalog
    llm: ScriptedLLM

    async def model(self, *, key: str | None = None, base_url: str | None = None) -> Model:
        spec = spec_of(
            REFERENCES[self.protocol], base_url=base_url, api_key=Secret(key) if key is not None else None
        )
        return (await self.catalog.resolve(spec)).model

    async def ask(self, instruction: str = "go", *, streamed: bool = False, **options: str) -> str:
        agent = Agent(await self.model(**options))
        if not streamed:
            return (await agent.run(instruction)).output
        async with agent.run_stream_events(instruction) as events:
            async for event in events:
                if event.event_kind == "agent_run_result":
                    return event.result.output
        raise AssertionError("no result")

    @property
    def state(self) -> CircuitState:
        """Of the only circuit."""
        (circuit,) = self.board.circuits()
        return circuit.state


@pytest.fixture(params=list(REFERENCES))
def protocol(request: pytest.FixtureRequest) -> str:
    """Each protocol in turn."""
    return request.param


@asynccontextmanager
async def world(
    protocol: str, script: list[Attempts] | dict[str, list[Attempts]], *, attempts: int = 3, **timeouts: float
) -> AsyncIterator[World]:
    clock = FakeTime()
    board = CircuitBoard(POLICY, now_s=lambda: clock.now_s)
    async with scripted_llm(script, api_key=KEY) as llm:
        catalog = ModelCatalog(
            interpreter=TestModel,
            access={
                REFERENCES[protocol].split(":")[0]: ProviderAccess(
                    api_key=Secret(KEY), base_url=llm.base_url(protocol)
                )
            },
            policy=RetryPolicy(max_attempts=attempts, max_total_s=60, first_delay_s=0, max_delay_s=0),
            timeouts=ModelTimeouts(**timeouts),
            pace=clock.pace(),
            board=board,
        )
        try:
            yield World(protocol, clock, board, catalog, llm)
        finally:
            await catalog.aclose()


@ASK
async def test_a_provider_that_fails_is_left_alone_and_calls_fail_at_once(
    protocol: str, streamed: bool
) -> None:
    async with world(protocol, [fails(503)]) as here:
        with pytest.raises(ModelUnavailableError):
            await here.ask(streamed=streamed)
        assert (len(here.llm.requests), here.state) == (3, CircuitState.CLOSED)
        refusals: list[ModelUnavailableError] = []
        for _ in range(20):
            with pytest.raises(ModelUnavailableError) as refused:
                await here.ask(streamed=streamed)
            refusals.append(refused.value)

    assert len(here.llm.requests) == 4  # the one that opened it: retries and the 19 others made none
    assert {error.retry_after for error in refusals} == {timedelta(seconds=5)}
    assert {error.facts["cause"] for error in refusals} == {"circuit_open"}


@ASK
async def test_it_finds_back_by_probes(protocol: str, streamed: bool) -> None:
    async with world(protocol, {"bad": [fails(500)], "good": [says("ok")]}, attempts=1) as here:
        for _ in range(4):
            with pytest.raises(ModelUnavailableError):
                await here.ask("bad", streamed=streamed)
        here.clock.now_s += 5

        with pytest.raises(ModelUnavailableError):  # the first probe fails: twice as long
            await here.ask("bad", streamed=streamed)
        here.clock.now_s += 9.9
        with pytest.raises(ModelUnavailableError) as early:
            await here.ask("good", streamed=streamed)
        here.clock.now_s += 0.1
        answers = [await here.ask("good", streamed=streamed) for _ in range(2)]

        assert early.value.facts["cause"] == "circuit_open"
        assert answers == ["ok", "ok"]
        assert here.state is CircuitState.CLOSED
        assert len(here.llm.requests) == 4 + 1 + 2


async def test_of_many_who_come_at_once_exactly_the_probes_reach_the_provider(protocol: str) -> None:
    gate = asyncio.Event()
    async with world(protocol, {"bad": [fails(500)], "good": [says("ok", gate=gate)]}, attempts=1) as here:
        for _ in range(4):
            with pytest.raises(ModelUnavailableError):
                await here.ask("bad")
        here.clock.now_s += 5
        refused: list[DomainError] = []
        answers: list[str] = []

        async def call() -> None:
            try:
                answers.append(await here.ask("good"))
            except ModelUnavailableError as error:
                refused.append(error)

        async with asyncio.timeout(20), asyncio.TaskGroup() as group:
            for _ in range(50):
                group.create_task(call())
            while len(refused) < 48:
                await asyncio.sleep(0)
            gate.set()

    assert (len(here.llm.requests), answers, len(refused)) == (6, ["ok", "ok"], 48)


@pytest.mark.parametrize(
    ("turn", "error"),
    [
        (fails(400), ModelRejectedError),
        (fails(403), ModelAuthError),
        (fails(404), ModelRejectedError),
        (fails(429), ModelRateLimitedError),
    ],
)
async def test_what_the_provider_refuses_a_caller_opens_nothing(
    protocol: str, turn: Attempts, error: type[DomainError]
) -> None:
    async with world(protocol, [turn], attempts=1) as here:
        for _ in range(8):
            with pytest.raises(error):
                await here.ask()
        for _ in range(8):
            with pytest.raises(ModelAuthError):
                await here.ask(key="sk-wrong-8c1d77e0")

        assert here.state is CircuitState.CLOSED
        assert len(here.llm.requests) == 16


@ASK
async def test_callers_who_give_up_open_nothing(protocol: str, streamed: bool) -> None:
    gate = asyncio.Event()
    async with world(protocol, [says("late", gate=gate)]) as here:
        for number in range(1, 9):
            async with asyncio.timeout(10), asyncio.TaskGroup() as group:
                call = group.create_task(here.ask(streamed=streamed))
                await here.llm.wait_for_requests(number)
                call.cancel()

        assert here.state is CircuitState.CLOSED


async def test_a_provider_that_is_silent_or_not_there_counts(protocol: str) -> None:
    async with world(protocol, [says("late", gate=asyncio.Event())], attempts=1, read_s=0.05) as here:
        for _ in range(4):
            with pytest.raises(DomainError) as silent:
                await here.ask()

        assert silent.value.reason == "MODEL_TIMEOUT"
        assert here.state is CircuitState.OPEN


async def test_answers_that_break_off_count_although_they_began(protocol: str) -> None:
    async with world(protocol, [says("x" * 400, cut_after=12)], attempts=1) as here:
        for _ in range(8):
            with pytest.raises(ModelUnavailableError) as broken:
                await here.ask(streamed=True)

        assert broken.value.facts.get("cause") == "circuit_open"


async def test_an_endpoint_that_a_caller_names_opens_no_circuit_but_its_own(protocol: str) -> None:
    async with (
        world(protocol, [says("ok")], attempts=1) as here,
        scripted_llm([fails(500)]) as broken,
    ):
        for _ in range(6):
            with pytest.raises(ModelUnavailableError) as refused:
                await here.ask(key="sk-own-00000000", base_url=broken.base_url(protocol))
        with pytest.raises(ModelUnavailableError) as other_key:
            await here.ask(key="sk-own-11111111", base_url=broken.base_url(protocol))

        assert refused.value.facts.get("cause") == "circuit_open"
        assert other_key.value.facts.get("cause") is None
        assert await here.ask() == "ok"
        assert "sk-own" not in repr([circuit.target for circuit in here.board.circuits()])
