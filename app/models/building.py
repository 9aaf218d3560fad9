"""Building a pydantic-ai model for a provider. SDK modules are imported here, when first needed.

Everything an SDK would take from the process' environment (keys, organisation, endpoints, extra
headers) is given or emptied, so that the operator's credentials never reach a caller's endpoint.
"""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx2
from pydantic_ai.models import Model

from app.models.providers import Extra, Provider, Wire

PLACEHOLDER_KEY = "none"
"""Sent to endpoints that need no key; the SDKs refuse an empty one."""

Builder = Callable[["Endpoint", str], Model]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelTimeouts:
    """Seconds. `read_s` is the longest silence of a provider, so the longest whole answer too."""

    connect_s: float = 5.0
    read_s: float = 300.0
    write_s: float = 30.0
    pool_s: float = 10.0

    def as_httpx(self) -> httpx2.Timeout:
        """The same for the HTTP client."""
        return httpx2.Timeout(connect=self.connect_s, read=self.read_s, write=self.write_s, pool=self.pool_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where a model is served and how to get in. `key` is in the clear: it does not leave this room."""

    provider: Provider
    base_url: str
    key: str
    http: httpx2.AsyncClient
    timeouts: ModelTimeouts


def is_installed(extra: Extra) -> bool:
    """Whether the extra's SDK is here; finds it without importing it."""
    try:
        return importlib.util.find_spec(extra.module) is not None
    except (ModuleNotFoundError, ValueError):
        return False


def build_model(endpoint: Endpoint, name: str) -> Model:
    """A model without retries on a shared HTTP client. Slow the first time (imports): use a thread.

    Raises ImportError when the provider's extra is missing.
    """
    return _BUILDERS[endpoint.provider.wire](endpoint, name)


def _openai_chat(endpoint: Endpoint, name: str) -> Model:
    from pydantic_ai.models.openai import OpenAIChatModel

    return OpenAIChatModel(name, provider=_openai_provider(endpoint))


def _openai_responses(endpoint: Endpoint, name: str) -> Model:
    from pydantic_ai.models.openai import OpenAIResponsesModel

    return OpenAIResponsesModel(name, provider=_openai_provider(endpoint))


def _openai_provider(endpoint: Endpoint) -> Any:
    """The provider class knows the vendor's dialect (its profile); the client is always ours."""
    from openai import AsyncOpenAI
    from pydantic_ai.providers.alibaba import AlibabaProvider
    from pydantic_ai.providers.deepseek import DeepSeekProvider
    from pydantic_ai.providers.ollama import OllamaProvider
    from pydantic_ai.providers.openai import OpenAIProvider
    from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider
    from pydantic_ai.providers.vllm import VLLMProvider
    from pydantic_ai.providers.zai import ZaiProvider

    client = AsyncOpenAI(
        api_key=endpoint.key,
        base_url=endpoint.base_url,
        http_client=endpoint.http,
        max_retries=0,
        timeout=endpoint.timeouts.as_httpx(),
    )
    client.organization = client.project = client.admin_api_key = client.webhook_secret = None
    _forget_environment_headers(client)
    known = {
        "openai": OpenAIProvider,
        "openai-responses": OpenAIProvider,
        "deepseek": DeepSeekProvider,
        "alibaba": AlibabaProvider,
        "zai": ZaiProvider,
        "ollama": OllamaProvider,
        "vllm": VLLMProvider,
    }
    if (make := known.get(endpoint.provider.name)) is not None:
        return make(openai_client=client)
    return OpenAICompatibleProvider(endpoint.provider.name, openai_client=client)


def _anthropic(endpoint: Endpoint, name: str) -> Model:
    from anthropic import AsyncAnthropic
    from pydantic_ai.models.anthropic import AnthropicModel
    from pydantic_ai.providers.anthropic import AnthropicProvider

    client = AsyncAnthropic(
        api_key=endpoint.key,
        base_url=endpoint.base_url,
        http_client=endpoint.http,
        max_retries=0,
        timeout=endpoint.timeouts.as_httpx(),
    )
    _forget_environment_headers(client)
    return AnthropicModel(name, provider=AnthropicProvider(anthropic_client=client))


def _google(endpoint: Endpoint, name: str) -> Model:
    from pydantic_ai.models.google import GoogleModel
    from pydantic_ai.providers.google import GoogleProvider

    # No retry options means no retries in this SDK, unlike the others. Its timeout is the client's.
    provider = GoogleProvider(api_key=endpoint.key, base_url=endpoint.base_url, http_client=endpoint.http)
    return GoogleModel(name, provider=provider)


def _forget_environment_headers(client: Any) -> None:
    # OPENAI_CUSTOM_HEADERS and ANTHROPIC_CUSTOM_HEADERS are read by the constructors; there is no
    # argument to say no, and no public attribute to undo it.
    client._custom_headers = {}


_BUILDERS: dict[Wire, Builder] = {
    Wire.OPENAI_CHAT: _openai_chat,
    Wire.OPENAI_RESPONSES: _openai_responses,
    Wire.ANTHROPIC: _anthropic,
    Wire.GOOGLE: _google,
}
