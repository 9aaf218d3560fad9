"""Tasks without a protocol: submitters and a watcher on `AgentService` itself; prints figures as JSON."""

import argparse
import asyncio
import json
import time
from contextlib import aclosing

from app import process
from app.bootstrap.gateway import open_gateway
from app.domain.call import CallContext
from app.domain.events import TaskSucceeded
from app.domain.identity import Principal
from app.domain.ids import AgentId
from app.service.agent_service import AgentService
from app.service.inputs import NewTask
from app.service.streams import DrainNotice, GapNotice, HeartbeatNotice
from app.settings import Settings
from app.telemetry.logging import configure_logging
from tests.bench.ends import Ends

CALL = CallContext(principal=Principal(subject="bench"), request_id="bench")


async def watch(service: AgentService, ends: Ends) -> None:
    """Pass on every terminal event."""
    opened = await service.streams.watch_all(CALL, after=None)
    async with aclosing(opened.items) as items:
        async for item in items:
            if isinstance(item, (GapNotice, DrainNotice, HeartbeatNotice)):
                continue
            for frame in item:
                if frame.journaled.terminal:
                    if not isinstance(frame.journaled.event, TaskSucceeded):
                        raise RuntimeError(f"a task did not succeed: {frame.journaled.event}")
                    ends.over(frame.journaled.task_id)


async def submit_all(service: AgentService, ends: Ends, tasks: int, in_flight: int, new: NewTask) -> None:
    """`tasks` tasks, `in_flight` of them at any time."""
    numbers = iter(range(tasks))

    async def submitter() -> None:
        for _ in numbers:
            submission = await service.tasks.submit(CALL, new)
            await ends.wait(submission.task.id)

    async with asyncio.TaskGroup() as group:
        for _ in range(in_flight):
            group.create_task(submitter())


async def main() -> None:
    """Measure once."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--agent", required=True)
    parser.add_argument("--instruction", required=True)
    parser.add_argument("--tasks", type=int, required=True)
    parser.add_argument("--in-flight", type=int, required=True)
    wanted = parser.parse_args()
    settings = Settings()
    configure_logging(settings.telemetry.log_level, style=settings.telemetry.log_format)
    new = NewTask(instruction=wanted.instruction, agent_id=AgentId(wanted.agent))
    async with open_gateway(settings) as gateway, asyncio.TaskGroup() as group:
        process.settle_memory()
        ends = Ends()
        watching = group.create_task(watch(gateway.service, ends))
        await submit_all(gateway.service, ends, wanted.in_flight, wanted.in_flight, new)  # warm up
        began, cpu = time.perf_counter(), time.process_time()
        await submit_all(gateway.service, ends, wanted.tasks, wanted.in_flight, new)
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        watching.cancel()
    print(json.dumps({"tasks_per_s": wanted.tasks / seconds, "cpu_us": cpu / wanted.tasks * 1e6}))


if __name__ == "__main__":
    process.run(main)
