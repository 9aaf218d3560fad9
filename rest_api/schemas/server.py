"""The server itself, and the models it can use."""

from datetime import datetime
from typing import Literal

from app.service.readiness import Report
from app.service.server import ModelInfo, ServerInfo
from rest_api.schemas.base import Out


class ModelOut(Out):
    """A model reference that tasks may use."""

    id: str
    """What to write into `configuration.model`; a provider's pattern when it takes any name."""
    provider: str
    available: bool
    unavailable_reason: str | None = None
    """Why not: the missing extra or key."""
    deterministic: bool
    """True for the deterministic planner, which is no language model."""

    @classmethod
    def from_domain(cls, model: ModelInfo) -> "ModelOut":
        """The model, for callers."""
        return cls(
            id=model.id,
            provider=model.provider,
            available=model.available,
            unavailable_reason=model.unavailable_reason,
            deterministic=model.deterministic,
        )


class ListModelsOut(Out):
    """All models."""

    models: list[ModelOut]
    default_model: str
    """What a task uses that names none."""


class ServerInfoOut(Out):
    """The server now."""

    name: str
    version: str
    instance_id: str
    """This process; changes with every start."""
    start_time: datetime
    storage: str
    """sqlite or postgres."""
    default_model: str
    """The planner or model a task uses that names none."""
    max_concurrent_tasks: int
    max_queued_tasks: int
    running_tasks: int
    queued_tasks: int
    draining: bool
    services: list[str]
    """Services served over gRPC."""

    @classmethod
    def from_domain(cls, info: ServerInfo) -> "ServerInfoOut":
        """The server, for callers."""
        identity = info.identity
        return cls(
            name=identity.name,
            version=identity.version,
            instance_id=identity.instance_id,
            start_time=identity.started_at,
            storage=identity.storage,
            default_model=info.default_model,
            max_concurrent_tasks=identity.max_concurrent_tasks,
            max_queued_tasks=identity.max_queued_tasks,
            running_tasks=info.running_tasks,
            queued_tasks=info.queued_tasks,
            draining=info.draining,
            services=list(identity.services),
        )


class LiveOut(Out):
    """The answer of a process that runs."""

    status: Literal["ok"] = "ok"


class DependencyOut(Out):
    """What the last look at something the process needs found."""

    name: str
    """store, queue, bus, limiter, or sandbox- and a kind."""
    ok: bool
    required: bool
    """Without the others calls are served all the same, only not as well."""
    reason: str
    """Why it is not ok: a reason of the errors, or TIMEOUT."""


class ReadyOut(Out):
    """Whether calls should be sent here (`ok`, `degraded`) or not, and what is lacking."""

    status: Literal["ok", "degraded", "unavailable", "starting", "draining"]
    failing: list[str]
    """The names of what is not ok; `draining` when the process shuts down."""
    dependencies: list[DependencyOut]

    @classmethod
    def from_report(cls, report: Report, *, draining: bool) -> "ReadyOut":
        """The report, for probes."""
        draining = draining or report.status == "draining"
        return cls(
            status="draining" if draining else report.status,
            failing=[*(["draining"] if draining else []), *sorted(report.failing)],
            dependencies=[
                DependencyOut(
                    name=finding.name, ok=finding.ok, required=finding.required, reason=finding.reason
                )
                for finding in report.findings
            ],
        )
