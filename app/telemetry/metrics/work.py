"""What agents do: model calls with their tokens and cost, tool calls, sandbox actions."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram

from app.domain.sandboxes import ACTION_TYPES
from app.telemetry.metrics.bounded import FirstSeen, Known
from app.telemetry.metrics.readings import Reading

MODEL_BUCKETS: Final = (
    0.01,
    0.02,
    0.04,
    0.08,
    0.16,
    0.32,
    0.64,
    1.28,
    2.56,
    5.12,
    10.24,
    20.48,
    40.96,
    81.92,
)
"""Seconds, as the GenAI conventions have them for model operations."""
TOOL_BUCKETS: Final = (0.001, 0.005, *MODEL_BUCKETS)
ACTION_BUCKETS: Final = (0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60)
MAX_MODELS: Final = 64
"""Callers may name any model: further ones are counted as `other`."""


class WorkMetrics:
    """Makes `ModelObserver`, `ToolObserver` and `SandboxObserver`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.model_calls = Counter(
            "agentgateway_model_calls",
            "Calls of models, retries included in one; the outcome is ok or the error's reason.",
            ["provider", "model", "outcome"],
            registry=registry,
        )
        self.model_seconds = Histogram(
            "agentgateway_model_call_duration_seconds",
            "Time of a model call, its retries included.",
            ["provider", "model"],
            buckets=MODEL_BUCKETS,
            registry=registry,
        )
        self.model_tokens = Counter(
            "agentgateway_model_tokens",
            "Tokens that models used, input or output.",
            ["provider", "model", "type"],
            registry=registry,
        )
        self.model_cost = Counter(
            "agentgateway_model_cost_usd",
            "US dollars that model calls cost, as far as the price is known.",
            ["provider", "model"],
            registry=registry,
        )
        self.model_unpriced = Counter(
            "agentgateway_model_calls_unpriced",
            "Model calls whose price is not known.",
            ["provider", "model"],
            registry=registry,
        )
        self.tool_calls = Counter(
            "agentgateway_tool_calls",
            "Calls of tools, by agents and by callers; the outcome is ok, failed or the error's reason.",
            ["tool", "outcome"],
            registry=registry,
        )
        self.tool_seconds = Histogram(
            "agentgateway_tool_call_duration_seconds",
            "Time of a tool call.",
            ["tool"],
            buckets=TOOL_BUCKETS,
            registry=registry,
        )
        self.actions = Counter(
            "agentgateway_sandbox_actions",
            "Actions in sandboxes, by agents and callers; the outcome is ok, failed or the error's reason.",
            ["kind", "action", "outcome"],
            registry=registry,
        )
        self.action_seconds = Histogram(
            "agentgateway_sandbox_action_duration_seconds",
            "Time of an action in a sandbox.",
            ["kind", "action"],
            buckets=ACTION_BUCKETS,
            registry=registry,
        )
        self.sandboxes_created = Counter(
            "agentgateway_sandboxes_created", "Sandboxes opened anew.", ["kind"], registry=registry
        )
        self.sandboxes_open = Reading(
            registry, "agentgateway_sandboxes_open", "Sandboxes this process holds open.", ["kind"]
        )
        self._model = FirstSeen(MAX_MODELS)
        self._action = Known(ACTION_TYPES)

    def model_called(
        self,
        provider: str,
        model: str,
        *,
        outcome: str,
        duration_s: float,
        input_tokens: int = 0,
        output_tokens: int = 0,
        cost_usd: float | None = 0.0,
    ) -> None:
        """See `ModelObserver`."""
        model = self._model(model)
        self.model_calls.labels(provider, model, outcome).inc()
        self.model_seconds.labels(provider, model).observe(duration_s)
        self.model_tokens.labels(provider, model, "input").inc(input_tokens)
        self.model_tokens.labels(provider, model, "output").inc(output_tokens)
        if cost_usd is None:
            self.model_unpriced.labels(provider, model).inc()
        else:
            self.model_cost.labels(provider, model).inc(cost_usd)

    def tool_called(self, tool: str, outcome: str, duration_s: float) -> None:
        """See `ToolObserver`."""
        self.tool_calls.labels(tool, outcome).inc()
        self.tool_seconds.labels(tool).observe(duration_s)

    def created(self, kind: str) -> None:
        """See `SandboxObserver`."""
        self.sandboxes_created.labels(kind).inc()

    def acted(self, kind: str, action: str, outcome: str, duration_s: float) -> None:
        """See `SandboxObserver`."""
        action = self._action(action)
        self.actions.labels(kind, action, outcome).inc()
        self.action_seconds.labels(kind, action).observe(duration_s)
