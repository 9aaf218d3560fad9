"""A catalog on the scripted LLM, once per provider protocol, with time that does not pass."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from pydantic_ai.models import Model
from pydantic_ai.models.test import TestModel

from app.domain.secrets import Secret
from app.models.base import ResolvedModel
from app.models.building import ModelTimeouts
from app.models.catalog import ModelCatalog
from app.models.references import spec_of
from app.models.retry import Pace, RetryPolicy
from tests.llm.server import ScriptedLLM

KEY = "sk-test-4f9d2c7a81"

REFERENCES = {
    "openai-chat": "openai:gpt-test",
    "openai-responses": "openai-responses:gpt-test",
    "anthropic": "anthropic:claude-test",
    "gemini": "google:gemini-test",
}


@dataclass
class FakeTime:
    """A clock that only waits move."""

    now_s: float = 0.0
    waits_s: list[float] = field(default_factory=list)

    async def sleep(self, delay_s: float) -> None:
        """Pass `delay_s` at once."""
        self.waits_s.append(delay_s)
        self.now_s += delay_s

    async def _pass(self, delay_s: float) -> None:
        await self.sleep(delay_s)

    def pace(self, fraction: float = 1.0) -> Pace:
        """This clock, with a fixed jitter."""
        return Pace(now_s=lambda: self.now_s, sleep=self._pass, fraction=lambda: fraction)


@dataclass(slots=True)
class Bench:
    """What a test of one protocol works with."""

    protocol: str
    time: FakeTime
    retries: list[tuple[int, str, float]]
    resolve: Callable[[ScriptedLLM, str, dict[str, float]], Awaitable[ResolvedModel]]

    @property
    def reference(self) -> str:
        """The model's reference."""
        return REFERENCES[self.protocol]

    async def model(self, llm: ScriptedLLM, *, key: str = KEY, **timeouts: float) -> Model:
        """A model of this protocol, served by `llm`."""
        resolved = await self.resolve(llm, key, timeouts)
        return resolved.model


@pytest.fixture(params=list(REFERENCES))
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    """Each protocol in turn."""
    protocol: str = request.param
    clock = FakeTime()
    retries: list[tuple[int, str, float]] = []
    catalogs: list[ModelCatalog] = []

    async def noted(attempt: int, reason: str, delay_s: float) -> None:
        retries.append((attempt, reason, delay_s))

    async def resolve(llm: ScriptedLLM, key: str, timeouts: dict[str, float]) -> ResolvedModel:
        catalog = ModelCatalog(
            interpreter=TestModel,
            policy=RetryPolicy(max_attempts=3, max_total_s=60, first_delay_s=1, max_delay_s=10),
            timeouts=ModelTimeouts(**timeouts),
            pace=clock.pace(),
        )
        catalogs.append(catalog)
        spec = spec_of(REFERENCES[protocol], base_url=llm.base_url(protocol), api_key=Secret(key))
        return await catalog.resolve(spec, on_retry=noted)

    yield Bench(protocol=protocol, time=clock, retries=retries, resolve=resolve)
    for catalog in catalogs:
        await catalog.aclose()


@asynccontextmanager
async def open_catalog(**options: object) -> AsyncIterator[ModelCatalog]:
    """A catalog with the test model as its interpreter."""
    catalog = ModelCatalog(interpreter=TestModel, **options)  # type: ignore[arg-type]
    try:
        yield catalog
    finally:
        await catalog.aclose()
