"""Webhooks over the death of processes: whatever was committed is told, and replicas do not tell it twice."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.fernet import Fernet

from app.bootstrap.gateway import open_gateway
from app.domain.call import CallContext
from app.domain.identity import Principal
from app.domain.ids import AgentId
from app.service.inputs import NewTask
from app.service.webhooks import WebhookInput
from app.settings import Settings
from tests.processes import gateway_process
from tests.webhooks.receiver import receiving

pytestmark = [pytest.mark.faults]

CALL = CallContext(principal=Principal(subject="tester"), request_id="test")
TASKS = 6


async def test_what_was_committed_before_kill_9_is_told_after_the_restart(tmp_path: Path) -> None:
    """Some deliveries are on their way when the process dies, some were not tried yet."""
    async with receiving() as receiver:
        receiver.hold = asyncio.Event()
        settings: dict[str, Any] = {"GATEWAY_WEBHOOKS__ALLOWED_HOSTS": '["127.0.0.1"]'}
        async with (
            gateway_process(tmp_path, **settings) as gateway,
            httpx.AsyncClient(base_url=gateway.rest) as api,
        ):
            made = (await api.post("/v1/webhooks", json={"url": receiver.url()})).json()
            ends: set[tuple[str, int]] = set()
            for number in range(TASKS):
                task = {"instruction": str(number), "agent_id": "echo"}
                done = (await api.post("/v1/tasks", json=task, headers={"prefer": "wait=20"})).json()
                ends.add((done["id"], done["last_seq"]))
            before = await receiver.messages(1)
            await gateway.kill()
        receiver.hold.set()
        async with gateway_process(tmp_path, **settings) as gateway:
            async with asyncio.timeout(20), receiver.heard:
                await receiver.heard.wait_for(lambda: len({one.id for one in receiver.got}) == 4 * TASKS)
            assert gateway.complaints() == []

    bodies = [one.verified(made["secret"])["data"] for one in receiver.got]
    assert ends <= {(body["task"]["id"], body["seq"]) for body in bodies}
    again = [one.id for one in receiver.got[len(before) :]]
    assert {one.id for one in before} <= set(again)
    kept = _database(tmp_path)
    assert made["webhook"]["id"].encode() in kept
    assert made["secret"].removeprefix("whsec_").encode() not in kept


def _database(data: Path) -> bytes:
    return b"".join(path.read_bytes() for path in data.glob("gateway.db*"))


@pytest.mark.postgres
async def test_replicas_share_the_work_and_tell_nothing_twice(postgres_url: str, tmp_path: Path) -> None:
    common = {
        "rest": {"port": 0},
        "grpc": {"enabled": False},
        "storage": {"backend": "postgres", "postgres_url": postgres_url, "data_dir": tmp_path},
        "secrets": {"keys": [Fernet.generate_key().decode()]},
        "webhooks": {"allowed_hosts": ["127.0.0.1"], "poll_interval": 0.02, "max_concurrent_per_endpoint": 2},
    }
    async with receiving() as receiver, AsyncExitStack() as stack:
        one, two = [
            await stack.enter_async_context(open_gateway(Settings.model_validate(common))) for _ in range(2)
        ]
        issued = await one.service.webhooks.create(CALL, WebhookInput(url=receiver.url()))
        receiver.hold = asyncio.Event()
        tasks = [
            (
                await gateway.service.tasks.submit(
                    CALL, NewTask(instruction="hello", agent_id=AgentId("echo"))
                )
            ).task.id
            for gateway in (one, two)
            for _ in range(TASKS)
        ]
        await receiver.messages(3)  # more than one replica may have open at one endpoint
        receiver.hold.set()

        await receiver.messages(4 * len(tasks))
        async with asyncio.timeout(20):
            while True:
                page = await one.service.webhooks.deliveries(CALL, issued.webhook.id, size=1000)
                if all(delivery.state.ended for delivery in page.items):
                    break
                await asyncio.sleep(0)

        assert len(receiver.got) == len({message.id for message in receiver.got}) == 4 * len(tasks)
        seqs = {task: [m.seq for m in receiver.got if m.json["data"]["task"]["id"] == task] for task in tasks}
        assert all(seq == sorted(seq) for seq in seqs.values())
