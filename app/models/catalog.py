"""The catalog: from a model spec to a model that is ready to call."""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

import httpx2
from pydantic_ai.models import Model, create_async_httpx2_client
from pydantic_ai.usage import RequestUsage

from app.breakers.board import CircuitBoard, Target
from app.domain.errors import DomainError, InvalidRequestError, NotConfiguredError
from app.domain.secrets import Secret
from app.models.base import ModelInfo, ModelSpec, ResolvedModel, RetryHook
from app.models.building import PLACEHOLDER_KEY, Endpoint, ModelTimeouts, build_model, is_installed
from app.models.connections import watch
from app.models.errors import domain_error_of
from app.models.pricing import PriceList
from app.models.providers import BY_NAME, INTERPRETER, PROVIDERS, Extra, Provider
from app.models.references import spec_of
from app.models.retry import CircuitOf, Pace, RetryingModel, RetryPolicy

EndpointCheck = Callable[[str], Awaitable[None]]
"""May the gateway connect to this URL of a caller? Raises DomainError when it may not."""

CacheKey = tuple[str, str, bytes, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderAccess:
    """What the operator configured for one provider. `models` are the names to advertise."""

    api_key: Secret | None = None
    base_url: str | None = None
    models: tuple[str, ...] = ()


class ModelCatalog:
    """Builds models and keeps the latest `capacity` of them.

    All models share one HTTP client, so evicting one closes nothing. The operator's key is used
    only on the operator's endpoint: a caller that names another `base_url` brings its own key.
    """

    def __init__(
        self,
        *,
        interpreter: Callable[[], Model],
        access: Mapping[str, ProviderAccess] | None = None,
        policy: RetryPolicy | None = None,
        timeouts: ModelTimeouts | None = None,
        check_endpoint: EndpointCheck | None = None,
        prices: PriceList | None = None,
        pace: Pace | None = None,
        board: CircuitBoard | None = None,
        capacity: int = 64,
    ) -> None:
        """`access` is by provider name; a name that is no provider's is a mistake of ours (ValueError).

        Without a `board` there are no circuits.
        """
        access = access or {}
        if unknown := set(access) - set(BY_NAME):
            raise ValueError(f"no such model provider: {', '.join(sorted(unknown))}")
        self._interpreter = interpreter
        self._access = {BY_NAME[name].name: given for name, given in access.items()}
        self._policy = policy or RetryPolicy()
        self._timeouts = timeouts or ModelTimeouts()
        self._check_endpoint = check_endpoint
        self._prices = prices or PriceList()
        self._pace = pace or Pace()
        self._board = board
        self._capacity = capacity
        self._models: OrderedDict[CacheKey, Model] = OrderedDict()
        self._building = asyncio.Lock()
        self._http: httpx2.AsyncClient | None = None
        self._closed = False

    def spec_of(
        self,
        reference: str,
        *,
        base_url: str | None = None,
        api_key: Secret | None = None,
        temperature: float | None = None,
        max_output_tokens: int | None = None,
    ) -> ModelSpec:
        """Read a reference (see `references.spec_of`). Raises InvalidRequestError."""
        return spec_of(
            reference,
            base_url=base_url,
            api_key=api_key,
            temperature=temperature,
            max_output_tokens=max_output_tokens,
        )

    async def resolve(self, spec: ModelSpec, *, on_retry: RetryHook | None = None) -> ResolvedModel:
        """Build the model, or take it from the cache. Opens no connection.

        Raises InvalidRequestError (unknown provider, endpoint refused) or NotConfiguredError (a
        missing extra, key or endpoint; the message says which).
        """
        if spec.provider == INTERPRETER:
            model = self._interpreter()
            return ResolvedModel(spec=spec, model=model, settings=spec.settings(), planner="deterministic")
        provider = BY_NAME.get(spec.provider)
        if provider is None:
            raise InvalidRequestError.of("model", f"unknown provider {spec.provider!r}", "UNKNOWN_PROVIDER")
        _require(provider.extra, provider)
        base_url, key = await self._way_in(provider, spec)
        model = RetryingModel(
            await self._model(provider, base_url, key, spec.name),
            reference=spec.reference,
            policy=self._policy,
            on_retry=on_retry,
            pace=self._pace,
            circuit=self._circuit(provider, base_url, key),
        )
        return ResolvedModel(spec=spec, model=model, settings=spec.settings(), planner="llm")

    def models(self) -> list[ModelInfo]:
        """What could be used, and what each lacks; the interpreter first."""
        listed = [ModelInfo(id=INTERPRETER, provider=INTERPRETER, planner="deterministic")]
        for provider in PROVIDERS:
            names = self._given(provider).models or ("*",)
            lacks = self._lacks(provider)
            listed += [
                ModelInfo(id=f"{provider.name}:{name}", provider=provider.name, unavailable=lacks)
                for name in names
            ]
        return listed

    def cost_of(self, spec: ModelSpec, usage: RequestUsage) -> Decimal | None:
        """Dollars for `usage` on that model; None when nobody knows the price."""
        if spec.base_url is None and (given := self._access.get(spec.provider)) is not None:
            # What the operator's own endpoint (a proxy, say) charges is not in the price data.
            spec = replace(spec, base_url=given.base_url)
        return self._prices.cost_of(spec, usage)

    def error_of(self, spec: ModelSpec, error: Exception) -> DomainError | None:
        """Our error for what the agent loop raised about the model's answers; None is a bug's."""
        return domain_error_of(error, model=spec.reference)

    async def aclose(self) -> None:
        """Close the connections to all providers. Calls that are running fail; idempotent."""
        self._closed = True
        async with self._building:
            self._models.clear()
            if self._http is not None:
                await self._http.aclose()

    def _given(self, provider: Provider) -> ProviderAccess:
        return self._access.get(provider.name, ProviderAccess())

    def _lacks(self, provider: Provider) -> str | None:
        given = self._given(provider)
        if not is_installed(provider.extra):
            return _install_hint(provider.extra)
        if not (given.base_url or provider.base_url):
            return "name the endpoint with the request (model_base_url)"
        if provider.needs_key and not given.api_key:
            return "no API key configured; a request may bring its own (model_api_key)"
        return None

    async def _way_in(self, provider: Provider, spec: ModelSpec) -> tuple[str, str]:
        """The endpoint and the key to use there."""
        given = self._given(provider)
        configured = given.base_url or provider.base_url
        base_url = spec.base_url or configured
        if not base_url:
            raise NotConfiguredError(
                f"provider {provider.name} has no endpoint: give model_base_url or configure its base_url",
                provider=provider.name,
            )
        ours = base_url.rstrip("/") == (configured or "").rstrip("/")
        if not ours and self._check_endpoint is not None:
            await self._check_endpoint(base_url)
        key = spec.api_key or (given.api_key if ours else None)
        if key:
            return base_url, key.reveal()
        if provider.needs_key and ours:
            raise NotConfiguredError(
                f"no API key for provider {provider.name}: give model_api_key or configure its api_key",
                provider=provider.name,
            )
        # An endpoint of the caller's own, or a local one: it may need no key, and says so if it does.
        return base_url, PLACEHOLDER_KEY

    def _circuit(self, provider: Provider, base_url: str, key: str) -> CircuitOf | None:
        """Of the operator's endpoint one for all; of an endpoint that a caller names one for each key.

        What a caller points at may be broken on purpose: nobody else is to wait for it.
        """
        board = self._board
        if board is None:
            return None
        configured = self._given(provider).base_url or provider.base_url
        if base_url.rstrip("/") == (configured or "").rstrip("/"):
            target = Target(kind="model", label=provider.name, host=httpx2.URL(base_url).netloc.decode())
        else:
            account = hashlib.sha256(f"{provider.name}\n{base_url}\n{key}".encode()).hexdigest()[:16]
            target = Target(kind="model", label="custom", host=account)
        return lambda: board.circuit(target)

    async def _model(self, provider: Provider, base_url: str, key: str, name: str) -> Model:
        cache_key = (provider.name, base_url, hashlib.sha256(key.encode()).digest(), name)
        if (known := self._cached(cache_key)) is not None:
            return known
        async with self._building:
            if (known := self._cached(cache_key)) is not None:
                return known
            # The first build of a provider imports its SDK (a second or two): not on the event loop.
            model = await asyncio.to_thread(self._build, provider, base_url, key, name)
            self._models[cache_key] = model
            while len(self._models) > self._capacity:
                self._models.popitem(last=False)
            return model

    def _cached(self, cache_key: CacheKey) -> Model | None:
        if self._closed:
            raise RuntimeError("the model catalog is closed")
        if (model := self._models.get(cache_key)) is not None:
            self._models.move_to_end(cache_key)
        return model

    def _build(self, provider: Provider, base_url: str, key: str, name: str) -> Model:
        if self._http is None:
            self._http = watch(create_async_httpx2_client(timeout=self._timeouts.as_httpx()))
        endpoint = Endpoint(
            provider=provider, base_url=base_url, key=key, http=self._http, timeouts=self._timeouts
        )
        try:
            return build_model(endpoint, name)
        except ImportError as error:
            raise NotConfiguredError(_install_hint(provider.extra), extra=provider.extra.name) from error


def _require(extra: Extra, provider: Provider) -> None:
    if not is_installed(extra):
        raise NotConfiguredError(
            f"provider {provider.name} needs more packages: {_install_hint(extra)}", extra=extra.name
        )


def _install_hint(extra: Extra) -> str:
    return f"pip install 'agent-gateway[{extra.name}]'"
