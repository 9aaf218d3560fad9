"""Tasks, told from the events that this process commits, and the queue they wait in."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from app.domain.events import (
    JournaledEvent,
    ModelRetried,
    StepFinished,
    TaskCancelled,
    TaskExpired,
    TaskFailed,
    TaskSubmitted,
    TaskSucceeded,
)
from app.domain.sandboxes import ACTION_TYPES
from app.telemetry.metrics.bounded import FirstSeen, Known
from app.telemetry.metrics.readings import Reading

RUN_BUCKETS: Final = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 102.4, 204.8, 409.6, 1638.4)
"""Seconds, as the GenAI conventions have them for agents."""
WAIT_BUCKETS: Final = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 120, 600)
STEP_BUCKETS: Final = (0, 1, 5, 10, 20, 30, 50, 100, 200)
MAX_REASONS: Final = 64

_End = TaskSucceeded | TaskFailed | TaskCancelled | TaskExpired


class TaskMetrics:
    """How many tasks come, wait, run and end."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.submitted = Counter("agentgateway_tasks_submitted", "Tasks accepted.", registry=registry)
        self.ended = Counter(
            "agentgateway_tasks", "Tasks that ended, by terminal state.", ["state"], registry=registry
        )
        self.failures = Counter(
            "agentgateway_task_failures",
            "Tasks that failed, by the error's reason.",
            ["reason"],
            registry=registry,
        )
        self.seconds = Histogram(
            "agentgateway_task_duration_seconds",
            "Time that a task ran until it ended; what it waited is not in it.",
            ["state"],
            buckets=RUN_BUCKETS,
            registry=registry,
        )
        self.steps_per_task = Histogram(
            "agentgateway_task_steps",
            "Sandbox steps of a task, when it ended.",
            buckets=STEP_BUCKETS,
            registry=registry,
        )
        self.queue_wait = Histogram(
            "agentgateway_task_queue_wait_seconds",
            "Time from being queued to being claimed by this process.",
            buckets=WAIT_BUCKETS,
            registry=registry,
        )
        self.queue_depth = Gauge(
            "agentgateway_queue_depth", "Tasks that wait; replicas tell of one queue.", registry=registry
        )
        self.queue_oldest = Gauge(
            "agentgateway_queue_oldest_age_seconds",
            "How long the task that waits longest has waited; 0 when none waits.",
            registry=registry,
        )
        self.active = Reading(registry, "agentgateway_active_tasks", "Tasks this process is running.")
        self.capacity = Gauge(
            "agentgateway_active_tasks_limit", "Tasks this process may run at once.", registry=registry
        )
        self.events = Counter(
            "agentgateway_events_appended", "Events committed to the journal.", registry=registry
        )
        self.steps = Counter(
            "agentgateway_steps", "Sandbox steps of tasks.", ["action", "outcome"], registry=registry
        )
        self.retries = Counter(
            "agentgateway_model_retries",
            "Model calls that failed and were tried again, by reason.",
            ["reason"],
            registry=registry,
        )
        self._action = Known(ACTION_TYPES)
        self._reason = FirstSeen(MAX_REASONS)
        self._told: dict[type[Any], Callable[[Any], None]] = {
            TaskSubmitted: lambda _: self.submitted.inc(),
            StepFinished: self._stepped,
            ModelRetried: lambda event: self.retries.labels(self._reason(event.reason)).inc(),
            TaskSucceeded: self._over,
            TaskFailed: self._over,
            TaskCancelled: self._over,
            TaskExpired: self._over,
        }

    def committed(self, events: Sequence[JournaledEvent]) -> None:
        """Count what this process committed."""
        self.events.inc(len(events))
        for journaled in events:
            told = self._told.get(type(journaled.event))
            if told is not None:
                told(journaled.event)

    def _stepped(self, event: StepFinished) -> None:
        self.steps.labels(self._action(event.action), event.outcome).inc()

    def _over(self, event: _End) -> None:
        state = event.type.removeprefix("task.")
        self.ended.labels(state).inc()
        self.seconds.labels(state).observe(event.statistics.running_s)
        self.steps_per_task.observe(event.statistics.steps)
        if isinstance(event, TaskFailed):
            self.failures.labels(self._reason(event.reason)).inc()
