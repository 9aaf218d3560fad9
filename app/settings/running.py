"""How tasks are run: engine, limits, models, sandboxes, tools."""

from datetime import timedelta

from pydantic import Field, SecretStr

from app.settings.sections import Seconds, Section


class EngineSettings(Section):
    """How tasks are run."""

    max_concurrent_tasks: int = Field(default=64, ge=1, le=10_000)
    """How many tasks one process runs at a time; the others wait in the queue."""
    max_queued_tasks: int = Field(default=10_000, ge=1)
    """Beyond this, submitting is refused (RESOURCE_EXHAUSTED, 429)."""
    drain_timeout: Seconds = timedelta(seconds=20)
    """From SIGTERM to exit."""
    queue_ttl: Seconds = timedelta(days=1)
    """A task not started by then expires."""
    parked_ttl: Seconds = timedelta(days=7)
    """A paused or waiting task not taken up by then expires."""
    max_recoveries: int = Field(default=4, ge=0)
    """How many workers in a row may die of a task before it fails."""
    lease: Seconds = timedelta(seconds=30)
    """PostgreSQL only: a task whose worker was silent this long is given to another."""
    idempotency_ttl: Seconds = timedelta(days=1)
    """How long an idempotency key answers with what it was first answered with."""


class LimitSettings(Section):
    """What a task may use when nobody says otherwise."""

    max_steps: int | None = Field(default=200, ge=1, le=10_000)
    """Actions in the sandbox, and also turns that call tools."""
    wall_time: Seconds | None = timedelta(hours=1)
    """Running time; what it waits or is paused does not count."""
    max_tokens: int | None = Field(default=None, ge=1)
    """Input and output tokens together."""
    max_cost_usd: float | None = Field(default=None, ge=0)
    """US dollars; a task whose model has no known price fails when this is set."""


class ModelSettings(Section):
    """The model of tasks that name none, and the keys this process holds for providers."""

    default: str = "interpreter"
    """`interpreter` needs no key; else a reference such as `openai:gpt-5`."""
    base_url: str | None = None
    """Endpoint that goes with `default`."""
    api_key: SecretStr | None = None
    """Key that goes with `default`."""
    provider_keys: dict[str, SecretStr] = Field(default_factory=dict[str, SecretStr])
    """Keys by provider name, for tasks that name a model but give no key."""
    private_endpoints: bool | None = None
    """Whether tasks may name an endpoint on a private or loopback address (a local Ollama, say).
    Not set: yes while nobody but this machine can call, no once calls need a credential."""
    request_timeout: Seconds = timedelta(minutes=2)
    """The longest silence of a provider."""
    max_attempts: int = Field(default=4, ge=1, le=20)
    """Tries of one model call, the first included."""


class SandboxSettings(Section):
    """Sandboxes of this process."""

    default_kind: str = "local"
    """Of tasks and calls that name none."""
    max_open: int = Field(default=256, ge=1)
    """Sandboxes that this process holds open at a time."""
    max_life: Seconds = timedelta(hours=12)
    """After this a sandbox is closed and its files are removed."""
    workspace_bytes: int = Field(default=64 * 1024 * 1024, ge=1024)
    """Quota of one local workspace."""
    workspace_files: int = Field(default=1_000, ge=1)
    """Files and folders of one local workspace."""


class ToolSettings(Section):
    """Built-in tools."""

    fetch_allowed_hosts: tuple[str, ...] = ()
    """Hosts (`host` or `host:port`) that http_fetch may reach although their address is private."""
    search_url: str | None = None
    """JSON search endpoint; without it web_search says that it is not configured."""
    search_api_key: SecretStr | None = None
    """Key of that endpoint."""
