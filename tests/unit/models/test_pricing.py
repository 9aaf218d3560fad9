"""What a call costs, and when that is unknown."""

from decimal import Decimal

import pytest
from pydantic_ai.usage import RequestUsage

from app.models.pricing import Price, PriceList
from app.models.references import spec_of

MILLION = RequestUsage(input_tokens=1_000_000, output_tokens=1_000_000)
OWN = Price(input_usd=Decimal(2), output_usd=Decimal(8), cached_input_usd=Decimal("0.5"))


@pytest.mark.parametrize(
    "reference", ["openai:gpt-5", "openai-responses:gpt-5", "anthropic:claude-sonnet-4-5"]
)
def test_well_known_models_have_a_price_without_any_network(reference: str) -> None:
    cost = PriceList().cost_of(spec_of(reference), RequestUsage(input_tokens=1_000, output_tokens=500))

    assert cost is not None
    assert Decimal("0.001") < cost < Decimal("0.1")


def test_the_operators_price_wins() -> None:
    prices = PriceList({"openai:gpt-5": OWN})

    assert prices.cost_of(spec_of("openai:gpt-5"), MILLION) == Decimal(10)


def test_cached_input_has_its_own_price() -> None:
    usage = RequestUsage(input_tokens=1_000_000, cache_read_tokens=400_000)

    assert PriceList({"doubao:x": OWN}).cost_of(spec_of("doubao:x"), usage) == Decimal("1.4")


def test_a_price_for_a_proxy_must_be_given() -> None:
    spec = spec_of("openai:gpt-5", base_url="https://proxy.example/v1")

    assert PriceList().cost_of(spec, MILLION) is None
    assert PriceList({"openai:gpt-5": OWN}).cost_of(spec, MILLION) == Decimal(10)


@pytest.mark.parametrize("reference", ["openai:no-such-model", "doubao:doubao-1-5-pro", "ollama:llama3"])
def test_an_unknown_price_is_unknown(reference: str) -> None:
    assert PriceList().cost_of(spec_of(reference), MILLION) is None


def test_usage_that_was_not_reported_has_no_cost() -> None:
    usage = RequestUsage(input_tokens=5, unmeasured_requests=1)

    assert PriceList({"openai:gpt-5": OWN}).cost_of(spec_of("openai:gpt-5"), usage) is None


def test_the_interpreter_costs_nothing() -> None:
    assert PriceList().cost_of(spec_of("interpreter"), MILLION) == 0
