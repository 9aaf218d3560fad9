"""A gateway whose webhooks may lead to this machine, with short waits."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from app.bootstrap.gateway import Gateway, open_gateway
from app.domain.call import CallContext
from app.domain.identity import Principal
from app.domain.ids import AgentId, WebhookId
from app.domain.tasks import Task
from app.domain.webhooks import Delivery, IssuedWebhook
from app.service.inputs import NewTask
from app.service.tasks import TaskUseCases
from app.service.webhooks import WebhookInput
from app.settings import Settings

CALL = CallContext(principal=Principal(subject="tester"), request_id="test")


@dataclass(frozen=True, slots=True)
class House:
    """A running gateway, called inside the process."""

    gateway: Gateway
    spans: InMemorySpanExporter

    @property
    def tasks(self) -> TaskUseCases:
        return self.gateway.service.tasks

    async def hook(self, url: str, *events: str, **fields: Any) -> IssuedWebhook:
        """A new endpoint."""
        return await self.gateway.service.webhooks.create(
            CALL, WebhookInput(url=url, events=events, **fields)
        )

    async def submit(self, instruction: str = "hello") -> Task:
        """A task of the echo agent."""
        new = NewTask(instruction=instruction, agent_id=AgentId("echo"))
        return (await self.tasks.submit(CALL, new)).task

    async def deliveries(self, webhook_id: WebhookId) -> list[Delivery]:
        """Oldest first."""
        page = await self.gateway.service.webhooks.deliveries(CALL, webhook_id, size=1000)
        return list(reversed(page.items))


Opening = Callable[..., Any]


@pytest.fixture
def open_house(tmp_path: Path) -> Opening:
    """Opens a gateway on the same data each time; keyword arguments are settings of `webhooks`."""

    @asynccontextmanager
    async def open_it(**webhooks: Any) -> AsyncGenerator[House]:
        spans = InMemorySpanExporter()
        settings = Settings.model_validate(
            {
                "rest": {"port": 0},
                "grpc": {"enabled": False},
                "storage": {"data_dir": tmp_path},
                "webhooks": {
                    "allowed_hosts": ["127.0.0.1"],
                    "retries": [0.05, 0.05],
                    "timeout": 5,
                    **webhooks,
                },
            }
        )
        async with open_gateway(settings, span_processors=[SimpleSpanProcessor(spans)]) as gateway:
            yield House(gateway, spans)

    return open_it
