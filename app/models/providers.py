"""The providers: their wire protocol, extra, endpoint and names. A table, no code of any SDK."""

from dataclasses import dataclass
from enum import StrEnum

INTERPRETER = "interpreter"
"""The deterministic planner: no network, no key."""


class Wire(StrEnum):
    """The HTTP protocol a provider speaks."""

    OPENAI_CHAT = "openai_chat"
    OPENAI_RESPONSES = "openai_responses"
    ANTHROPIC = "anthropic"
    GOOGLE = "google"


@dataclass(frozen=True, slots=True, kw_only=True)
class Extra:
    """An optional dependency of ours and the SDK module it brings."""

    name: str
    module: str


OPENAI_EXTRA = Extra(name="openai", module="openai")
ANTHROPIC_EXTRA = Extra(name="anthropic", module="anthropic")
GOOGLE_EXTRA = Extra(name="google", module="google.genai")


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """One provider.

    `base_url` None means that the endpoint must be given. A provider that needs no key gets a
    placeholder on the wire, because the SDKs refuse to be built without one. `prefixes` are the
    beginnings by which a bare model name is recognised. `priced_as` is its id in the price data.
    """

    name: str
    wire: Wire = Wire.OPENAI_CHAT
    extra: Extra = OPENAI_EXTRA
    base_url: str | None
    needs_key: bool = True
    aliases: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
    priced_as: str | None = None


PROVIDERS: tuple[Provider, ...] = (
    Provider(
        name="openai",
        base_url="https://api.openai.com/v1",
        aliases=("openai-chat",),
        prefixes=("gpt", "chatgpt", "o1", "o3", "o4"),
        priced_as="openai",
    ),
    Provider(
        name="openai-responses",
        wire=Wire.OPENAI_RESPONSES,
        base_url="https://api.openai.com/v1",
        priced_as="openai",
    ),
    Provider(
        name="anthropic",
        wire=Wire.ANTHROPIC,
        extra=ANTHROPIC_EXTRA,
        base_url="https://api.anthropic.com",
        aliases=("claude",),
        prefixes=("claude",),
        priced_as="anthropic",
    ),
    Provider(
        name="google",
        wire=Wire.GOOGLE,
        extra=GOOGLE_EXTRA,
        base_url="https://generativelanguage.googleapis.com",
        aliases=("gemini", "google-gla"),
        prefixes=("gemini",),
        priced_as="google",
    ),
    Provider(
        name="deepseek",
        base_url="https://api.deepseek.com",
        prefixes=("deepseek",),
        priced_as="deepseek",
    ),
    Provider(
        name="alibaba",
        base_url="https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
        aliases=("qwen", "dashscope"),
        prefixes=("qwen", "qwq"),
    ),
    Provider(
        name="doubao",
        base_url="https://ark.cn-beijing.volces.com/api/v3",
        aliases=("ark", "volcengine"),
        prefixes=("doubao",),
    ),
    Provider(
        name="zai",
        base_url="https://api.z.ai/api/paas/v4",
        aliases=("glm", "zhipu"),
        prefixes=("glm",),
        priced_as="zai",
    ),
    Provider(name="ollama", base_url="http://127.0.0.1:11434/v1", needs_key=False),
    Provider(name="vllm", base_url="http://127.0.0.1:8000/v1", needs_key=False),
    Provider(name="openai-compatible", base_url=None, needs_key=False, aliases=("openai_compatible",)),
)

COMPATIBLE = "openai-compatible"
BY_NAME = {name: provider for provider in PROVIDERS for name in (provider.name, *provider.aliases)}


def provider_of_model(name: str) -> Provider | None:
    """The provider a bare model name belongs to, by its beginning; None when it says nothing."""
    lowered = name.lower()
    return next((provider for provider in PROVIDERS if lowered.startswith(provider.prefixes)), None)
