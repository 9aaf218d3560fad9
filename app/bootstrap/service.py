"""The door over opened parts: every group of use cases with what it needs."""

from collections.abc import Callable
from importlib.metadata import version as installed_version

from app.agents.transcript import read_transcript
from app.bootstrap.agents import ModelListing, Preflight, built_in_agents, defaults_of
from app.bootstrap.limits import unfinished_limits
from app.bootstrap.parts import NAME, Parts
from app.service.access import AccessUseCases
from app.service.agent_service import AgentService
from app.service.agents import AgentUseCases
from app.service.artifacts import ArtifactUseCases
from app.service.budgets import BudgetUseCases
from app.service.configuration import ConfigurationUseCases
from app.service.keys import KeyUseCases
from app.service.sandboxes import SandboxUseCases
from app.service.server import ModelUseCases, ServerIdentity, ServerUseCases
from app.service.sessions import SessionUseCases
from app.service.streams import StreamUseCases
from app.service.tasks import TaskRules, TaskUseCases
from app.service.tools import ToolUseCases
from app.settings import Settings
from grpc_service.server import SERVED_SERVICES


def build_service(parts: Parts, *, running: Callable[[], int]) -> AgentService:
    """The service. It opens nothing and runs nothing: `running` counts the tasks an engine has in hand."""
    settings, stores, now, mint = parts.settings, parts.storage.stores, parts.now, parts.mint
    configuration = ConfigurationUseCases(
        stores.configuration, defaults=defaults_of(settings), sealer=parts.storage.sealer, now=now
    )
    agents = AgentUseCases(
        stores.agents, built_in=built_in_agents(), runtimes=parts.runtimes, now=now, keyed=parts.keyed
    )
    streams = StreamUseCases(stores.tasks, stores.journal, parts.feeds, heartbeat=settings.stream.heartbeat)
    tasks = TaskUseCases(
        stores.tasks,
        streams,
        agents,
        configuration,
        stores.sandboxes,
        check=Preflight(parts.models, parts.tools, parts.fleet),
        sealer=parts.storage.sealer,
        now=now,
        mint=mint,
        rules=_task_rules(settings),
        budgets=parts.budgets,
    )
    models = ModelUseCases(ModelListing(parts.models), configuration)
    return AgentService(
        tasks=tasks,
        streams=streams,
        sessions=SessionUseCases(
            stores.sessions,
            stores.tasks,
            read_transcript=read_transcript,
            now=now,
            mint=mint,
            keyed=parts.keyed,
        ),
        sandboxes=SandboxUseCases(
            parts.fleet,
            stores.sandboxes,
            configuration,
            tracing=parts.tracing,
            budgets=parts.budgets,
            keyed=parts.keyed,
        ),
        artifacts=ArtifactUseCases(stores.artifacts, stores.tasks),
        tools=ToolUseCases(
            parts.tools,
            parts.fleet,
            stores.sandboxes,
            stores.artifacts,
            configuration,
            tracing=parts.tracing,
            budgets=parts.budgets,
            keyed=parts.keyed,
        ),
        agents=agents,
        models=models,
        configuration=configuration,
        keys=KeyUseCases(
            stores.credentials, forget=parts.access.verified.forget, now=now, mint=mint, keyed=parts.keyed
        ),
        budgets=BudgetUseCases(parts.budgets),
        server=ServerUseCases(
            _identity(parts), stores.tasks, models, running=running, draining=lambda: tasks.draining
        ),
        access=AccessUseCases(parts.access.tickets, parts.access.sessions),
    )


def _identity(parts: Parts) -> ServerIdentity:
    engine = parts.settings.engine
    return ServerIdentity(
        name=NAME,
        version=installed_version(NAME),
        instance_id=parts.instance_id,
        started_at=parts.now(),
        storage=parts.storage.stores.backend,
        max_concurrent_tasks=engine.max_concurrent_tasks,
        max_queued_tasks=engine.max_queued_tasks,
        services=tuple(SERVED_SERVICES),
    )


def _task_rules(settings: Settings) -> TaskRules:
    unfinished, of_tenants = unfinished_limits(settings.rate_limits)
    return TaskRules(
        max_unfinished=unfinished,
        max_unfinished_of=of_tenants,
        max_queued=settings.engine.max_queued_tasks,
        queue_ttl=settings.engine.queue_ttl,
        parked_ttl=settings.engine.parked_ttl,
        idempotency_ttl=settings.engine.idempotency_ttl,
    )
