"""What a model call cost: from the operator's own prices, else from the price data of genai-prices.

genai-prices (https://github.com/pydantic/genai-prices) comes with pydantic-ai and carries its data
inside the package: nothing is fetched. A price that neither knows is None, never a guess.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from genai_prices import calc_price
from pydantic_ai.usage import RequestUsage

from app.models.base import ModelSpec
from app.models.providers import BY_NAME, INTERPRETER

PER_TOKENS = Decimal(1_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """US dollars per million tokens. Cached input costs as much as other input unless said."""

    input_usd: Decimal
    output_usd: Decimal
    cached_input_usd: Decimal | None = None

    def of(self, usage: RequestUsage) -> Decimal:
        """The cost of `usage`; `input_tokens` there includes what was read from the cache."""
        cached = min(usage.cache_read_tokens, usage.input_tokens)
        cached_usd = self.input_usd if self.cached_input_usd is None else self.cached_input_usd
        dollars = (usage.input_tokens - cached) * self.input_usd + cached * cached_usd
        return (dollars + usage.output_tokens * self.output_usd) / PER_TOKENS


class PriceList:
    """Prices by model reference (`openai:gpt-5`); `own` wins over the price data."""

    def __init__(self, own: Mapping[str, Price] | None = None) -> None:
        self._own = dict(own or {})

    def cost_of(self, spec: ModelSpec, usage: RequestUsage) -> Decimal | None:
        """Dollars for `usage` on that model, or None when nobody knows.

        An endpoint of the caller's own has only the prices the operator gave: what a proxy charges
        is not in the data. A provider that did not report its usage has no cost either.
        """
        if spec.provider == INTERPRETER:
            return Decimal(0)
        if usage.unmeasured_requests:
            return None
        if (price := self._own.get(spec.reference)) is not None:
            return price.of(usage)
        provider = BY_NAME.get(spec.provider)
        if provider is None or provider.priced_as is None or spec.base_url not in (None, provider.base_url):
            return None
        try:
            return calc_price(usage, spec.name, provider_id=provider.priced_as).total_price
        except (LookupError, ValueError):  # an unknown model; usage that does not add up
            return None
