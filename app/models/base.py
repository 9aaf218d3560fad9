"""What the loop asks of the model room: a spec goes in, a model ready to call comes out."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, Protocol

from pydantic_ai.models import Model
from pydantic_ai.settings import ModelSettings
from pydantic_ai.usage import RequestUsage

from app.domain.errors import DomainError
from app.domain.secrets import Secret

Planner = Literal["llm", "deterministic"]

RetryHook = Callable[[int, str, float], Awaitable[None]]
"""Told before each wait: the attempt that failed (from 1), the error's reason, the wait in seconds.

It runs between two attempts; what it raises ends the call.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """A model as a task asks for it.

    `provider` is a name of `app.models.providers`, never an alias. Without `base_url` the
    provider's configured or public endpoint is used; without `api_key` the configured key.
    """

    provider: str
    name: str
    base_url: str | None = None
    api_key: Secret | None = None
    temperature: float | None = None
    max_output_tokens: int | None = None

    @property
    def reference(self) -> str:
        """`provider:name`, as events, spans and listings show it; no endpoint, no key."""
        return f"{self.provider}:{self.name}" if self.name else self.provider

    def settings(self) -> ModelSettings:
        """The sampling settings the request names; what it does not name is the provider's choice."""
        settings = ModelSettings()
        if self.temperature is not None:
            settings["temperature"] = self.temperature
        if self.max_output_tokens is not None:
            settings["max_tokens"] = self.max_output_tokens
        return settings


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """One line of the model listing.

    `id` is a reference a task may name, or `provider:*` where any name of that provider will do.
    `unavailable` says what is missing; None when a task can use it now.
    """

    id: str
    provider: str
    planner: Planner = "llm"
    unavailable: str | None = None

    @property
    def available(self) -> bool:
        """Whether a task can use it now."""
        return self.unavailable is None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedModel:
    """A model ready to call.

    Its calls raise DomainErrors (MODEL_AUTH_FAILED, MODEL_RATE_LIMITED, ...) once retries are used
    up. Cancelling a call closes its connection to the provider.
    """

    spec: ModelSpec
    model: Model
    settings: ModelSettings
    planner: Planner


class ModelSource(Protocol):
    """Where the loop gets its models from; `ModelCatalog` is the make."""

    def spec_of(
        self,
        reference: str,
        *,
        base_url: str | None = None,
        api_key: Secret | None = None,
        temperature: float | None = None,
        max_output_tokens: int | None = None,
    ) -> ModelSpec:
        """Read `provider:name`, a bare name, or `interpreter`. Raises InvalidRequestError.

        A bare name goes to the provider it is recognised by; an unrecognised one with a `base_url`
        to that endpoint as OpenAI-compatible.
        """
        ...

    async def resolve(self, spec: ModelSpec, *, on_retry: RetryHook | None = None) -> ResolvedModel:
        """Build the model, or take it from the cache. Opens no connection.

        Raises InvalidRequestError (unknown provider, endpoint refused) or NotConfiguredError (a
        missing extra, key or endpoint; the message says which).
        """
        ...

    def models(self) -> list[ModelInfo]:
        """What could be used, and what each lacks; the interpreter first."""
        ...

    def cost_of(self, spec: ModelSpec, usage: RequestUsage) -> Decimal | None:
        """Dollars for `usage` on that model; None when nobody knows the price."""
        ...

    def error_of(self, spec: ModelSpec, error: Exception) -> DomainError | None:
        """Our error for what the agent loop itself raised about the model's answers.

        Model calls raise DomainErrors already; these come back as they are. None is a bug's.
        """
        ...
