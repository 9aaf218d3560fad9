"""What agents are made of: models, tools, sandboxes, runtimes and the built-in definitions."""

from collections.abc import Mapping, Sequence

from app.agents.base import AgentRuntime
from app.agents.function import FunctionRuntime, echo
from app.agents.loop import LoopRuntime
from app.agents.ports import ModelObserver
from app.breakers.board import CircuitBoard
from app.domain.agents import DEFAULT_AGENT, AgentDefinition
from app.domain.configuration import TaskConfiguration, TaskLimits
from app.domain.errors import InvalidRequestError, NotConfiguredError
from app.domain.identity import DEFAULT_TENANT
from app.domain.ids import AgentId
from app.domain.secrets import Secret
from app.engine.fleet import Fleet
from app.models.base import ModelSource
from app.models.building import ModelTimeouts
from app.models.catalog import ModelCatalog, ProviderAccess
from app.models.interpreter.planner import interpreter_model
from app.models.providers import BY_NAME, INTERPRETER
from app.models.references import spec_of
from app.models.retry import RetryPolicy
from app.sandboxes.base import SandboxProvider
from app.sandboxes.guarded import guarded
from app.sandboxes.local.provider import LocalProvider
from app.service.sandboxes import require_configuration_sandbox
from app.service.server import ModelInfo
from app.settings import Settings
from app.telemetry.tracing import Tracing
from app.tools.builtin.all import built_in_tools
from app.tools.egress import Egress
from app.tools.registry import ToolObserver, ToolRegistry

ECHO_AGENT = AgentId("echo")
CONNECT_TIMEOUT_S = 10.0


def defaults_of(settings: Settings) -> TaskConfiguration:
    """What a task gets when neither its tenant, its agent nor itself says otherwise.

    Not the key: the process' own keys stay in the catalog and are stored with no task.
    """
    limits = settings.limits
    return TaskConfiguration(
        model=settings.model.default,
        model_base_url=settings.model.base_url,
        sandbox_kind=settings.sandbox.default_kind,
        limits=TaskLimits(
            max_steps=limits.max_steps,
            wall_time_s=limits.wall_time.total_seconds() if limits.wall_time else None,
            max_tokens=limits.max_tokens,
            max_cost_usd=limits.max_cost_usd,
        ),
    )


def build_models(settings: Settings, egress: Egress, board: CircuitBoard | None = None) -> ModelCatalog:
    """The catalog, with the keys of this process. Raises NotConfiguredError for a provider nobody knows."""
    if unknown := settings.model.provider_keys.keys() - BY_NAME.keys():
        raise NotConfiguredError(f"model.provider_keys: no such provider: {', '.join(sorted(unknown))}")
    access = {
        BY_NAME[provider].name: ProviderAccess(api_key=Secret(key.get_secret_value()))
        for provider, key in settings.model.provider_keys.items()
    }
    default = spec_of(settings.model.default, base_url=settings.model.base_url)
    key, base_url = settings.model.api_key, settings.model.base_url
    if default.provider != INTERPRETER and (key is not None or base_url is not None):
        before = access.get(default.provider, ProviderAccess())
        own = Secret(key.get_secret_value()) if key else before.api_key
        access[default.provider] = ProviderAccess(api_key=own, base_url=base_url)
    private_allowed = settings.model.private_endpoints
    if private_allowed is None:
        private_allowed = not settings.auth.configured
    return ModelCatalog(
        interpreter=interpreter_model,
        access=access,
        policy=RetryPolicy(max_attempts=settings.model.max_attempts),
        timeouts=ModelTimeouts(read_s=settings.model.request_timeout.total_seconds()),
        check_endpoint=None if private_allowed else egress.check_url,
        board=board,
    )


def build_providers(settings: Settings, board: CircuitBoard | None = None) -> Mapping[str, SandboxProvider]:
    """The kinds of sandboxes, by name; those that live on a service stand behind a circuit."""
    sandbox = settings.sandbox
    local = LocalProvider(
        settings.storage.data_dir / "workspaces",
        max_workspace_bytes=sandbox.workspace_bytes,
        max_workspace_files=sandbox.workspace_files,
    )
    kinds: list[SandboxProvider] = [local]
    return {made.kind: made if board is None else guarded(made, board) for made in kinds}


def build_tools(settings: Settings, egress: Egress, observer: ToolObserver | None = None) -> ToolRegistry:
    """The registry with every built-in tool."""
    key = settings.tools.search_api_key
    tools = built_in_tools(
        egress,
        search_url=settings.tools.search_url,
        search_api_key=Secret(key.get_secret_value()) if key else None,
    )
    return ToolRegistry(tools, observer=observer)


def runtimes_of(
    models: ModelSource, tools: ToolRegistry, tracing: Tracing, observer: ModelObserver | None = None
) -> Mapping[str, AgentRuntime]:
    """The makes of the loop, by the name an agent definition gives."""
    return {
        "loop": LoopRuntime(models, tools, tracing=tracing, observer=observer),
        "echo": FunctionRuntime(echo),
    }


def built_in_agents() -> Mapping[AgentId, AgentDefinition]:
    """What every tenant has."""
    default = AgentDefinition(
        id=DEFAULT_AGENT,
        tenant=DEFAULT_TENANT,
        description="Carries out instructions with the configured model and all available tools.",
        built_in=True,
        version=0,
    )
    echoing = AgentDefinition(
        id=ECHO_AGENT,
        tenant=DEFAULT_TENANT,
        description="Answers with the instruction; no model, no tools. For checks and measurements.",
        runtime="echo",
        built_in=True,
        version=0,
    )
    return {default.id: default, echoing.id: echoing}


class ModelListing:
    """The catalog as the service's `ModelDirectory`."""

    def __init__(self, models: ModelSource) -> None:
        self._models = models

    def models(self) -> Sequence[ModelInfo]:
        """Every reference and whether a task can use it now."""
        return [
            ModelInfo(
                id=model.id,
                provider=model.provider,
                available=model.available,
                unavailable_reason=model.unavailable,
                deterministic=model.planner == "deterministic",
            )
            for model in self._models.models()
        ]


class Preflight:
    """The service's `ConfigurationCheck`: what cannot be carried out is refused before it is accepted."""

    def __init__(self, models: ModelSource, tools: ToolRegistry, fleet: Fleet) -> None:
        self._models = models
        self._tools = tools
        self._fleet = fleet

    async def __call__(self, values: TaskConfiguration) -> None:
        """See `ConfigurationCheck`."""
        for index, name in enumerate(values.tools or ()):
            if not self._tools.knows(name):
                raise InvalidRequestError.of(
                    f"configuration.tools.{index}", f"no tool {name!r}", "UNKNOWN_TOOL"
                )
        await require_configuration_sandbox(self._fleet, values)
        if values.model is not None and values.model != "interpreter":
            spec = self._models.spec_of(
                values.model, base_url=values.model_base_url, api_key=values.model_api_key
            )
            await self._models.resolve(spec)
