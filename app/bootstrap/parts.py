"""What both the engine and the service stand on: storage, tracing, models, tools, sandboxes, runtimes."""

import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version as installed_version

from opentelemetry.sdk.trace import SpanProcessor

from app.agents.base import AgentRuntime
from app.bootstrap.access import Access, build_access
from app.bootstrap.agents import build_models, build_providers, build_tools, runtimes_of
from app.bootstrap.breakers import Counted, build_board
from app.bootstrap.budgets import open_budgets
from app.bootstrap.storage import Storage, open_storage
from app.bootstrap.traces import span_export
from app.breakers.board import CircuitBoard
from app.domain.ids import ENTROPY_BYTES, make_id
from app.engine.fleet import Fleet
from app.models.base import ModelSource
from app.policy.budgets import Budgets
from app.service.feeds import Feeds
from app.service.idempotency import KeyedCalls
from app.settings import Settings
from app.telemetry.log_spans import LogSpanProcessor
from app.telemetry.metrics import Metrics
from app.telemetry.recording import Sampling
from app.telemetry.tracing import Tracing, open_tracing
from app.tools.egress import Egress
from app.tools.registry import ToolRegistry
from app.webhooks.targets import Targets

NAME = "agent-gateway"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Everything that is opened before anything runs. Closed by the stack that `open_parts` was given."""

    settings: Settings
    instance_id: str
    feeds: Feeds
    metrics: Metrics
    tracing: Tracing
    storage: Storage
    access: Access
    models: ModelSource
    tools: ToolRegistry
    fleet: Fleet
    board: CircuitBoard | None
    budgets: Budgets
    webhook_targets: Targets
    keyed: KeyedCalls
    runtimes: Mapping[str, AgentRuntime]
    now: Callable[[], datetime]
    mint: Callable[[str], str]


async def open_parts(
    settings: Settings,
    stack: AsyncExitStack,
    *,
    runtimes: Mapping[str, AgentRuntime] | None = None,
    span_processors: Sequence[SpanProcessor] = (),
) -> Parts:
    """Open the parts; `stack` closes them. For the parameters and errors see `open_gateway`."""
    metrics, feeds, mint = Metrics(), Feeds(), _minter(_now)
    instance_id = secrets.token_hex(8)
    export = span_export(settings.traces, metrics.spans)
    tracing = open_tracing(
        [
            *span_processors,
            *([LogSpanProcessor()] if settings.telemetry.spans_to_log else []),
            *([export] if export else []),
        ],
        service_name=settings.traces.service_name,
        service_version=installed_version(NAME),
        instance_id=instance_id,
        sampling=Sampling(settings.traces.sampling_ratio, settings.traces.parent_based),
    )
    stack.push_async_callback(tracing.aclose)
    storage = await open_storage(settings, stack, feeds, metrics, replica_id=instance_id)
    egress = Egress(allowed_hosts=settings.tools.fetch_allowed_hosts)
    board = build_board(settings, Counted(metrics.breakers))
    models = build_models(settings, egress, board)
    stack.push_async_callback(models.aclose)
    tools = build_tools(settings, egress, metrics.work)
    fleet = Fleet(
        build_providers(settings, board),
        storage.stores.sandboxes,
        storage.stores.artifacts,
        max_open=settings.sandbox.max_open,
        max_life=settings.sandbox.max_life,
        now=_now,
        mint=mint,
        observer=metrics.work,
    )
    stack.push_async_callback(fleet.aclose)
    keyed = KeyedCalls(
        storage.stores.keyed_calls,
        sealer=storage.sealer,
        now=_now,
        ttl=settings.engine.idempotency_ttl,
    )
    stack.push_async_callback(keyed.aclose)
    return Parts(
        settings=settings,
        instance_id=instance_id,
        feeds=feeds,
        metrics=metrics,
        tracing=tracing,
        storage=storage,
        access=build_access(settings, storage.stores, now=_now, mint=mint),
        models=models,
        tools=tools,
        fleet=fleet,
        board=board,
        budgets=await open_budgets(settings, storage.stores.budgets),
        webhook_targets=Targets(Egress(allowed_hosts=settings.webhooks.allowed_hosts)),
        keyed=keyed,
        runtimes={**runtimes_of(models, tools, tracing, metrics.work), **(runtimes or {})},
        now=_now,
        mint=mint,
    )


def _now() -> datetime:
    return datetime.now(UTC)


def _minter(now: Callable[[], datetime]) -> Callable[[str], str]:
    return lambda prefix: make_id(prefix, now(), os.urandom(ENTROPY_BYTES))
