"""Names under which the services this one stands in for are watched, filled with our values.

Nothing is counted twice: each family is made of ours when somebody scrapes. What only has a meaning in the
protocol of such a service is left to its dialect. Bucket bounds are ours.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Final

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.registry import Collector

from app.telemetry.metrics.calls import CallMetrics
from app.telemetry.metrics.limits import BreakerMetrics, LimitMetrics
from app.telemetry.metrics.process import ProcessMetrics
from app.telemetry.metrics.tasks import TaskMetrics
from app.telemetry.metrics.work import WorkMetrics

Labels = Mapping[str, str]
Relabel = Callable[[Labels], Iterable[dict[str, str]]]
"""The labels under which a sample of ours counts there: none, or several."""
STATUSES: Final = {
    "succeeded": "completed",
    "cancelled": "cancelled",
    "failed": "failed",
    "expired": "expired",
}
SUCCESS: Final = {"ok": "success"}


@dataclass(frozen=True, slots=True)
class Family:
    """One of their families, and what of ours it is made of. `kind` is a Prometheus type."""

    name: str
    kind: str
    documentation: str
    sources: Sequence[tuple[Collector, Relabel]]


class PeerNames(Collector):
    """Shows their families beside ours."""

    def __init__(self, registry: CollectorRegistry, families: Sequence[Family], figures: "Figures") -> None:
        self._families = families
        self._figures = figures
        registry.register(self)

    def describe(self) -> Iterable[Metric]:
        """Their names and types; nothing is read."""
        families = [Metric(one.name, one.documentation, one.kind) for one in self._families]
        return [*families, *self._figures.described()]

    def collect(self) -> Iterable[Metric]:
        """What ours say now."""
        return [*map(_told, self._families), *self._figures.collect()]


class Figures:
    """Their gauges that are worked out of several of ours."""

    def __init__(self, tasks: TaskMetrics, process: ProcessMetrics) -> None:
        self._tasks = tasks
        self._process = process
        self._started = monotonic()

    def described(self) -> list[Metric]:
        """Their names and types."""
        return [Metric(name, documentation, "gauge") for name, documentation, _ in self._all()]

    def collect(self) -> list[Metric]:
        """Their values now."""
        told: list[Metric] = []
        for name, documentation, read in self._all():
            metric = Metric(name, documentation, "gauge")
            value = read()
            if value is not None:
                metric.add_sample(name, {}, value)
            told.append(metric)
        return told

    def _all(self) -> list[tuple[str, str, Callable[[], float | None]]]:
        return [
            ("agent_task_utilization", "Share of the tasks that may run that do.", self._utilization),
            ("agent_task_success_rate", "Share of the ended tasks that succeeded.", self._success_rate),
            ("agent_memory_usage_bytes", "Resident memory of the process.", self._process.resident_bytes),
            ("agent_service_uptime_seconds", "How long the process has run.", self._uptime),
        ]

    def _utilization(self) -> float:
        running = sum(sample.value for metric in self._tasks.active.collect() for sample in metric.samples)
        limit = sum(sample.value for metric in self._tasks.capacity.collect() for sample in metric.samples)
        return running / limit if limit else 0.0

    def _success_rate(self) -> float:
        ended = {
            sample.labels["state"]: sample.value
            for metric in self._tasks.ended.collect()
            for sample in metric.samples
        }
        whole = sum(ended.values())
        return ended.get("succeeded", 0.0) / whole if whole else 0.0

    def _uptime(self) -> float:
        return monotonic() - self._started


def families_of(
    calls: CallMetrics, tasks: TaskMetrics, work: WorkMetrics, limits: LimitMetrics, breakers: BreakerMetrics
) -> list[Family]:
    """All of them."""
    requests, durations = (calls.requests, _grpc_request), (calls.seconds, _grpc_method)
    tool_calls, tool_seconds = (work.tool_calls, _tool_call), (work.tool_seconds, _tool)
    families = [
        Family(
            "agent_tasks_created",
            "counter",
            "Tasks by status.",
            [
                (tasks.submitted, lambda _: [{"status": "pending"}]),
                (tasks.ended, lambda labels: [{"status": STATUSES[labels["state"]]}]),
            ],
        ),
        Family("agent_tasks_active", "gauge", "Tasks that run.", [(tasks.active, _bare)]),
        Family("agent_active_tasks", "gauge", "Tasks that run.", [(tasks.active, _bare)]),
        Family(
            "agent_task_execution_duration_seconds",
            "histogram",
            "Time that tasks ran.",
            [(tasks.seconds, _bare)],
        ),
        Family(
            "agent_task_queue_wait_duration_seconds",
            "histogram",
            "Time that tasks waited.",
            [(tasks.queue_wait, _bare)],
        ),
        Family("agent_task_latency_seconds", "summary", "Time that tasks ran.", [(tasks.seconds, _bare)]),
        Family("agent_task_steps", "histogram", "Steps of a task.", [(tasks.steps_per_task, _bare)]),
        Family("agent_proxy_steps", "counter", "Steps of tasks.", [(tasks.steps, _bare)]),
        Family(
            "agent_grpc_errors",
            "counter",
            "RPCs that failed.",
            [
                (
                    calls.requests,
                    lambda labels: [
                        {"method": one["method"], "status_code": one["status"]}
                        for one in _grpc_request(labels)
                        if one["status"] != "OK"
                    ],
                )
            ],
        ),
        Family(
            "agent_tokens_consumed",
            "counter",
            "Tokens that models used.",
            [(work.model_tokens, lambda labels: [{"type": labels["type"]}, {"type": "total"}])],
        ),
        Family(
            "agent_execution_cost",
            "counter",
            "What model calls cost.",
            [(work.model_cost, lambda _: [{"currency": "USD"}])],
        ),
        Family(
            "agent_sandbox_created",
            "counter",
            "Sandboxes opened.",
            [(work.sandboxes_created, lambda labels: [{"sandbox_type": labels["kind"]}])],
        ),
        Family(
            "agent_core_enforcement_allowed",
            "counter",
            "Calls let in.",
            [(limits.allowed, lambda _: [{"outcome": "success"}])],
        ),
        Family(
            "agent_core_enforcement_drops",
            "counter",
            "Calls held back.",
            [
                (limits.refusals, lambda _: [{"reason": "rate_limit"}]),
                (breakers.refusals, lambda _: [{"reason": "circuit_open"}]),
            ],
        ),
    ]
    for prefix, tool_duration in (
        ("agent_", "agent_tool_execution_duration_seconds"),
        ("agent_core_", "agent_core_tool_duration_seconds"),
    ):
        families += [
            Family(f"{prefix}grpc_requests", "counter", "RPCs answered.", [requests]),
            Family(f"{prefix}grpc_request_duration_seconds", "histogram", "Time of RPCs.", [durations]),
            Family(f"{prefix}tool_executions", "counter", "Tool calls.", [tool_calls]),
            Family(tool_duration, "histogram", "Time of tool calls.", [tool_seconds]),
        ]
    return families


def _told(family: Family) -> Metric:
    """Ours under their name and labels; what falls together is added up."""
    sums: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
    for collector, relabel in family.sources:
        for metric in collector.collect():
            for sample in metric.samples:
                suffix = sample.name.removeprefix(metric.name)
                bucket = {"le": sample.labels["le"]} if "le" in sample.labels else {}
                if family.kind == "summary" and bucket:
                    continue
                for labels in relabel(sample.labels):
                    key = (suffix, tuple({**labels, **bucket}.items()))
                    sums[key] = sums.get(key, 0.0) + sample.value
    told = Metric(family.name, family.documentation, family.kind)
    for (suffix, labels), value in _grouped(sums):
        told.add_sample(family.name + suffix, dict(labels), value)
    return told


def _grouped(
    sums: Mapping[tuple[str, tuple[tuple[str, str], ...]], float],
) -> Iterable[tuple[tuple[str, tuple[tuple[str, str], ...]], float]]:
    """The samples of one series of a histogram beside each other, as OpenMetrics wants them."""
    groups: dict[
        tuple[tuple[str, str], ...], list[tuple[tuple[str, tuple[tuple[str, str], ...]], float]]
    ] = {}
    for key, value in sums.items():
        series = tuple(label for label in key[1] if label[0] != "le")
        groups.setdefault(series, []).append((key, value))
    return [one for group in groups.values() for one in group]


def _bare(labels: Labels) -> Iterable[dict[str, str]]:
    del labels
    return [{}]


def _grpc_request(labels: Labels) -> Iterable[dict[str, str]]:
    return [one | {"status": labels["code"]} for one in _grpc_method(labels)]


def _grpc_method(labels: Labels) -> Iterable[dict[str, str]]:
    if labels["protocol"] != "grpc":
        return []
    return [{"method": labels["method"].rpartition("/")[2]}]


def _tool_call(labels: Labels) -> Iterable[dict[str, str]]:
    return [{"tool_name": labels["tool"], "status": SUCCESS.get(labels["outcome"], "error")}]


def _tool(labels: Labels) -> Iterable[dict[str, str]]:
    return [{"tool_name": labels["tool"]}]
