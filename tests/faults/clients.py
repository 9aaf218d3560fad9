"""Clients of a gateway process that come and go: both protocols, one form of answers and events."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from grpc.aio import Channel, insecure_channel

from tests.llm.server import ScriptedLLM
from tests.parity.drivers import Driver, GrpcDriver, Plain, RefusedError, RestDriver
from tests.processes import GatewayProcess

ENDS = frozenset({"task.succeeded", "task.failed", "task.cancelled", "task.expired"})
PAGE = 1_000


class CutError(Exception):
    """The connection is gone, or was never made."""


@dataclass(frozen=True)
class Clients:
    """One client on each protocol; `pair[n]` picks either."""

    rest: RestDriver
    grpc: GrpcDriver
    http: httpx.AsyncClient
    channel: Channel

    def __getitem__(self, number: int) -> Driver:
        return (self.rest, self.grpc)[number % 2]


@asynccontextmanager
async def clients_of(
    gateway: GatewayProcess, key: str | None = None, *, traceparent: str | None = None
) -> AsyncGenerator[Clients]:
    """Clients within a block; with `key` they present it, with `traceparent` they are in a trace."""
    headers = {"X-Api-Key": key} if key else {}
    if traceparent:
        headers["traceparent"] = traceparent
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=20)
    metadata = tuple((name.lower(), value) for name, value in headers.items())
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
    async with (
        httpx.AsyncClient(
            base_url=gateway.rest, headers=headers, timeout=30, limits=limits, trust_env=False
        ) as http,
        insecure_channel(gateway.grpc, options=options) as channel,
    ):
        yield Clients(RestDriver(http), GrpcDriver(channel, metadata), http, channel)


@dataclass
class Log:
    """What one reader has of one task: every event once, in order, and how its last stream ended."""

    task_id: str
    events: list[tuple[str, Plain]] = field(default_factory=list)
    """The protocol each came over, and the event."""
    drained: Plain | None = None

    @property
    def cursor(self) -> int:
        """The last seq seen."""
        return self.events[-1][1]["seq"] if self.events else 0

    def count(self, event_type: str) -> int:
        """How many events of that type were seen."""
        return sum(event["type"] == event_type for _, event in self.events)

    @property
    def ended(self) -> bool:
        """Whether the terminal event was seen."""
        return bool(self.events) and self.events[-1][1]["type"] in ENDS

    async def follow(
        self, driver: Driver, *, at_most: int | None = None, until: Callable[[], bool] = lambda: False
    ) -> None:
        """Read on from the cursor until the stream ends, `at_most` more events are here, or `until` holds.

        Fails when an event is not the next one. Raises CutError when the connection goes.
        """
        self.drained = None
        request = {"task_id": self.task_id, "after_seq": self.cursor}
        enough = None if at_most is None else len(self.events) + at_most
        try:
            async with aclosing(driver.stream("TaskService/WatchTask", **request)) as items:
                async for item in items:
                    if len(self.events) == enough:
                        return
                    self._take(driver.name, item)
                    if len(self.events) == enough or until():
                        return
        except httpx.TransportError as error:
            raise CutError(repr(error)) from error
        except RefusedError as error:
            if is_cut(error):
                raise CutError(error.reason) from error
            if error.reason == "DRAINING" and self.drained is not None:
                return  # how gRPC ends a stream after that notice
            error.add_note(error.reason)
            raise

    def _take(self, protocol: str, item: Plain) -> None:
        assert not self.ended, f"something follows the end of {self.task_id}: {item}"
        if "task_id" not in item and "reason" in item:
            raise RefusedError(
                item["reason"]
            )  # `event: problem`, which is how SSE says what gRPC's status does
        if "notice" in item:
            assert "drain" in item["notice"], item
            self.drained = item["notice"]["drain"]
            return
        assert self.drained is None, f"something follows the drain of {self.task_id}: {item}"
        assert item["task_id"] == self.task_id
        assert item["seq"] == self.cursor + 1, f"{item['seq']} after {self.cursor} in {self.task_id}"
        self.events.append((protocol, item))


def is_cut(error: RefusedError) -> bool:
    """Whether a call was not answered at all, as opposed to refused."""
    return error.reason.startswith(("grpc UNAVAILABLE", "grpc CANCELLED", "grpc DEADLINE", "grpc UNKNOWN"))


async def journal_of(driver: Driver, task_id: str) -> list[Plain]:
    """All of a task's events, page by page."""
    events: list[Plain] = []
    after = 0
    while True:
        page = await driver.call(
            "TaskService/ListTaskEvents", task_id=task_id, after_seq=after, page_size=PAGE
        )
        events += [_flat(event) for event in page["events"]]
        if not page["events"] or not page["next_after_seq"]:
            return events
        after = page["next_after_seq"]


def _flat(event: Plain) -> Plain:
    """The event as streams give it: gRPC's pages hold its fields under its name."""
    if "type" in event:
        return event
    envelope = {name: event[name] for name in ("task_id", "seq", "position", "time")}
    ((kind, fields),) = ((name, value) for name, value in event.items() if name not in envelope)
    return {"type": kind.replace("_", ".", 1), **envelope, **fields}


def check_journal(events: list[Plain]) -> None:
    """A whole journal of an ended task: dense from 1, and one end, which is the last event."""
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert [event["seq"] for event in events if event["type"] in ENDS] == [len(events)], events[-3:]


async def ended(driver: Driver, task_id: str, *, within_s: float = 30.0) -> Log:
    """The log of a task, read until its terminal event."""
    log = Log(task_id)
    async with asyncio.timeout(within_s):
        await log.follow(driver)
    assert log.ended, f"the stream of {task_id} ended without a terminal event"
    return log


async def reached(driver: Driver, task_id: str, event_type: str, *, within_s: float = 30.0) -> Plain:
    """The first event of that type, once it is there."""
    async with asyncio.timeout(within_s):
        async with aclosing(driver.stream("TaskService/WatchTask", task_id=task_id, after_seq=0)) as items:
            async for item in items:
                if item.get("type") == event_type:
                    return item
                assert item.get("type") not in ENDS, f"{task_id} ended before {event_type}: {item}"
    raise AssertionError(f"the stream of {task_id} ended before {event_type}")


async def submit(driver: Driver, instruction: str, **more: Any) -> str:
    """The id of a newly accepted task."""
    task = await driver.call("TaskService/SubmitTask", task={"instruction": instruction, **more})
    return task["id"]


def model_settings(llm: ScriptedLLM) -> dict[str, Any]:
    """Settings of a process whose default model is the scripted one."""
    return {
        "GATEWAY_MODEL__DEFAULT": "openai:scripted",
        "GATEWAY_MODEL__BASE_URL": llm.openai_url,
        "GATEWAY_MODEL__API_KEY": "sk-scripted",
    }


def percentile(values: list[float], share: float) -> float:
    """The value that so large a share of `values` does not exceed."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(len(ranked) * share))]
