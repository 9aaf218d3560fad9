"""The catalog: what it builds, keeps, refuses, and to whom it shows which key."""

import asyncio
import sys

import pytest
from pydantic_ai import Agent
from pydantic_ai.exceptions import UnexpectedModelBehavior
from pydantic_ai.models.test import TestModel
from pydantic_ai.usage import RequestUsage

from app.domain.errors import InvalidRequestError, NotConfiguredError, PermissionDeniedError
from app.domain.secrets import Secret
from app.models.base import ModelSource, ModelSpec
from app.models.building import PLACEHOLDER_KEY
from app.models.catalog import ModelCatalog, ProviderAccess
from app.models.providers import PROVIDERS
from app.models.references import spec_of
from app.models.retry import RetryingModel
from tests.llm.script import says
from tests.llm.server import scripted_llm
from tests.models.conftest import REFERENCES, open_catalog

OPERATORS = Secret("sk-operator-1")
CALLERS = Secret("sk-caller-2")


@pytest.mark.parametrize("provider", [provider.name for provider in PROVIDERS])
async def test_every_provider_can_be_built(provider: str) -> None:
    async with open_catalog() as catalog:
        spec = ModelSpec(
            provider=provider, name="some-model", base_url="http://127.0.0.1:9/v1", api_key=CALLERS
        )

        resolved = await catalog.resolve(spec)

    assert resolved.model.model_name == "some-model"
    assert resolved.planner == "llm"


async def test_a_model_is_built_once_and_shared() -> None:
    async with open_catalog() as catalog:
        spec = spec_of("openai:gpt-5", api_key=CALLERS)

        first, second = await asyncio.gather(catalog.resolve(spec), catalog.resolve(spec))

    assert isinstance(first.model, RetryingModel)
    assert isinstance(second.model, RetryingModel)
    assert first.model.wrapped is second.model.wrapped


@pytest.mark.parametrize(
    "other",
    [
        spec_of("openai:gpt-5", api_key=OPERATORS),
        spec_of("openai:gpt-4o", api_key=CALLERS),
        spec_of("openai:gpt-5", api_key=CALLERS, base_url="http://127.0.0.1:9/v1"),
        spec_of("openai-responses:gpt-5", api_key=CALLERS),
    ],
)
async def test_another_key_name_endpoint_or_protocol_is_another_model(other: ModelSpec) -> None:
    async with open_catalog() as catalog:
        first = await catalog.resolve(spec_of("openai:gpt-5", api_key=CALLERS))
        second = await catalog.resolve(other)

    assert isinstance(first.model, RetryingModel)
    assert isinstance(second.model, RetryingModel)
    assert first.model.wrapped is not second.model.wrapped


async def test_the_cache_is_bounded_and_drops_the_longest_unused() -> None:
    async with open_catalog(capacity=2) as catalog:

        async def wrapped(name: str) -> object:
            resolved = await catalog.resolve(spec_of(f"openai:{name}", api_key=CALLERS))
            assert isinstance(resolved.model, RetryingModel)
            return resolved.model.wrapped

        a, b = await wrapped("a"), await wrapped("b")
        assert await wrapped("a") is a
        await wrapped("c")

        assert await wrapped("a") is a
        assert await wrapped("b") is not b


async def test_the_interpreter_comes_from_its_factory_and_is_not_retried() -> None:
    async with open_catalog() as catalog:
        resolved = await catalog.resolve(spec_of("interpreter"))

    assert isinstance(resolved.model, TestModel)
    assert resolved.planner == "deterministic"


async def test_a_missing_key_is_named_before_any_call() -> None:
    async with open_catalog() as catalog:
        with pytest.raises(NotConfiguredError, match="no API key for provider openai"):
            await catalog.resolve(spec_of("openai:gpt-5"))


async def test_a_missing_endpoint_is_named() -> None:
    async with open_catalog() as catalog:
        with pytest.raises(NotConfiguredError, match="no endpoint"):
            await catalog.resolve(spec_of("openai-compatible:x"))


async def test_an_unknown_provider_is_the_callers_mistake() -> None:
    async with open_catalog() as catalog:
        with pytest.raises(InvalidRequestError):
            await catalog.resolve(ModelSpec(provider="nonsense", name="x"))


@pytest.mark.parametrize(
    ("reference", "sdk"), [("gpt-5", "openai"), ("claude-x", "anthropic"), ("gemini-x", "google.genai")]
)
async def test_a_missing_extra_is_named(reference: str, sdk: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, sdk, None)
    async with open_catalog() as catalog:
        with pytest.raises(NotConfiguredError, match=r"agent-gateway\[\w+\]") as caught:
            await catalog.resolve(spec_of(reference, api_key=CALLERS))

        lacking = {info.provider for info in catalog.models() if "pip install" in (info.unavailable or "")}

    assert caught.value.facts["extra"] in ("openai", "anthropic", "google")
    assert lacking


async def test_the_listing_says_what_each_lacks() -> None:
    access = {"openai": ProviderAccess(api_key=OPERATORS, models=("gpt-5", "gpt-4o"))}
    async with open_catalog(access=access) as catalog:
        listed = {info.id: info for info in catalog.models()}

    assert listed["interpreter"].planner == "deterministic"
    assert listed["openai:gpt-5"].available
    assert listed["openai:gpt-4o"].available
    assert listed["ollama:*"].available
    assert "API key" in (listed["anthropic:*"].unavailable or "")
    assert "endpoint" in (listed["openai-compatible:*"].unavailable or "")
    assert OPERATORS.reveal() not in repr(listed)


def test_access_to_a_provider_that_does_not_exist_is_our_mistake() -> None:
    with pytest.raises(ValueError, match="nonsense"):
        ModelCatalog(interpreter=TestModel, access={"nonsense": ProviderAccess()})


async def test_a_closed_catalog_builds_nothing_and_closes_twice() -> None:
    async with open_catalog() as catalog:
        await catalog.aclose()

        with pytest.raises(RuntimeError):
            await catalog.resolve(spec_of("openai:gpt-5", api_key=CALLERS))


@pytest.mark.parametrize("protocol", list(REFERENCES))
async def test_the_operators_key_never_goes_to_a_callers_endpoint(protocol: str) -> None:
    reference = REFERENCES[protocol]
    access = {reference.partition(":")[0]: ProviderAccess(api_key=OPERATORS)}
    async with scripted_llm([says("ok")]) as llm, open_catalog(access=access) as catalog:
        resolved = await catalog.resolve(spec_of(reference, base_url=llm.base_url(protocol)))

        await Agent(resolved.model).run("go")

    assert llm.requests[0].credential == PLACEHOLDER_KEY


async def test_the_operators_key_goes_to_the_operators_endpoint() -> None:
    async with scripted_llm([says("ok")]) as llm:
        access = {"doubao": ProviderAccess(api_key=OPERATORS, base_url=f"{llm.openai_url}/")}
        async with open_catalog(access=access) as catalog:
            for base_url in (None, llm.openai_url):
                resolved = await catalog.resolve(spec_of("doubao:x", base_url=base_url))
                await Agent(resolved.model).run("go")

    assert [exchange.credential for exchange in llm.requests] == [OPERATORS.reveal()] * 2


@pytest.mark.parametrize("protocol", list(REFERENCES))
async def test_nothing_of_the_process_environment_goes_out(
    protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    leak = "leaked-from-environment"
    for name in ("API_KEY", "ADMIN_KEY", "ORG_ID", "PROJECT_ID", "WEBHOOK_SECRET"):
        monkeypatch.setenv(f"OPENAI_{name}", leak)
    for name in ("API_KEY", "AUTH_TOKEN", "PROFILE"):
        monkeypatch.setenv(f"ANTHROPIC_{name}", leak)
    for vendor in ("OPENAI", "ANTHROPIC"):
        monkeypatch.setenv(f"{vendor}_CUSTOM_HEADERS", f"X-Leak: {leak}")
        monkeypatch.setenv(f"{vendor}_BASE_URL", "http://127.0.0.1:9")
    for name in ("GOOGLE_API_KEY", "GEMINI_API_KEY", "GOOGLE_CLOUD_PROJECT"):
        monkeypatch.setenv(name, leak)
    async with scripted_llm([says("ok")]) as llm, open_catalog() as catalog:
        spec = spec_of(REFERENCES[protocol], base_url=llm.base_url(protocol), api_key=CALLERS)

        await Agent((await catalog.resolve(spec)).model).run("go")

    [exchange] = llm.requests
    assert exchange.credential == CALLERS.reveal()
    assert leak not in str(exchange.headers)


async def test_the_catalog_is_a_model_source() -> None:
    async with open_catalog(
        access={"deepseek": ProviderAccess(base_url="https://proxy.example/v1")}
    ) as catalog:
        source: ModelSource = catalog
        usage = RequestUsage(input_tokens=1_000, output_tokens=1_000)

        assert source.cost_of(source.spec_of("openai:gpt-5"), usage) is not None
        assert source.cost_of(source.spec_of("deepseek:deepseek-chat"), usage) is None
        error = source.error_of(source.spec_of("gpt-5"), UnexpectedModelBehavior("odd"))
        assert error is not None
        assert error.reason == "MODEL_MALFORMED_ANSWER"


async def test_a_callers_endpoint_is_checked_and_the_operators_is_not() -> None:
    checked: list[str] = []

    async def refuse(url: str) -> None:
        checked.append(url)
        raise PermissionDeniedError("private address")

    access = {"ollama": ProviderAccess(base_url="http://127.0.0.1:9/v1")}
    async with open_catalog(access=access, check_endpoint=refuse) as catalog:
        await catalog.resolve(spec_of("ollama:llama3"))
        with pytest.raises(PermissionDeniedError):
            await catalog.resolve(spec_of("ollama:llama3", base_url="http://169.254.169.254/v1"))

    assert checked == ["http://169.254.169.254/v1"]
