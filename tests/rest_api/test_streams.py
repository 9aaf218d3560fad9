"""Server-sent events over a real socket."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from app.domain import events as domain
from app.domain.errors import StorageUnavailableError
from tests.rest_api.sse_reading import blocks, events
from tests.rest_api.workbench import OTHER, STREAM, Workbench, open_workbench


async def eventually(is_so: Callable[[], bool]) -> None:
    """Wait for what another task brings about, at most 5 s."""
    async with asyncio.timeout(5):
        while not is_so():
            await asyncio.sleep(0)


async def test_a_stream_replays_goes_live_and_ends_with_the_terminal_event(bench: Workbench) -> None:
    task_id = await bench.submitted()

    async with bench.client.stream("GET", f"/v1/tasks/{task_id}/events", headers=STREAM) as response:
        stream = blocks(response)
        seen = [await anext(stream), await anext(stream)]
        await bench.claimed(task_id)
        await bench.reported(task_id, domain.TextProduced(turn=1, text="hé\r\nid: 9"))
        await bench.succeeded(task_id)
        seen += [block async for block in stream]

    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-accel-buffering"] == "no"
    assert [block.event for block in seen] == [
        "task.submitted",
        "task.queued",
        "task.started",
        "text.produced",
        "task.succeeded",
    ]
    assert [block.last_event_id for block in seen] == ["1", "2", "3", "4", "5"]
    assert [block.data["seq"] for block in seen] == [1, 2, 3, 4, 5]
    assert seen[3].data["text"] == "hé\r\nid: 9"


@pytest.mark.parametrize("cut", range(4))
@pytest.mark.parametrize("how", ["header", "last_event_id", "after"])
async def test_a_stream_goes_on_after_the_cursor(bench: Workbench, cut: int, how: str) -> None:
    task_id = await bench.ended()
    headers = STREAM | ({"last-event-id": str(cut)} if how == "header" else {})
    params = {} if how == "header" else {how: str(cut)}

    response = await bench.client.get(f"/v1/tasks/{task_id}/events", headers=headers, params=params)

    assert [block.data["seq"] for block in await events(response)] == list(range(cut + 1, 5))


async def test_the_header_of_a_reconnect_wins_over_the_url(bench: Workbench) -> None:
    task_id = await bench.ended()

    response = await bench.client.get(
        f"/v1/tasks/{task_id}/events?after=1", headers=STREAM | {"last-event-id": "3"}
    )

    assert [block.data["seq"] for block in await events(response)] == [4]


async def test_a_reader_of_everything_is_told_to_stop_for_ever(bench: Workbench) -> None:
    task_id = await bench.ended()

    response = await bench.client.get(f"/v1/tasks/{task_id}/events", headers=STREAM | {"last-event-id": "4"})

    assert (response.status_code, response.content) == (204, b"")


async def test_pages_and_stream_say_the_same(bench: Workbench) -> None:
    task_id = await bench.ended()
    paged = []
    after = 0
    while True:
        page = (
            await bench.client.get(f"/v1/tasks/{task_id}/events", params={"after": after, "page_size": 3})
        ).json()
        paged += page["events"]
        after = page["next_after_seq"]
        if not after:
            break

    streamed = await events(await bench.client.get(f"/v1/tasks/{task_id}/events", headers=STREAM))

    assert paged == [block.data for block in streamed]


async def test_a_task_is_submitted_and_streamed_in_one_call(bench: Workbench) -> None:
    async with bench.client.stream(
        "POST", "/v1/tasks", json={"instruction": "x"}, headers=STREAM
    ) as response:
        stream = blocks(response)
        first = await anext(stream)
        await bench.claimed(first.data["id"])
        await bench.succeeded(first.data["id"])
        rest = [block async for block in stream]

    assert response.status_code == 201
    assert response.headers["location"] == f"/v1/tasks/{first.data['id']}"
    assert (first.event, first.last_event_id) == ("task", "")
    assert [block.last_event_id for block in rest] == ["1", "2", "3", "4"]


async def test_a_stream_that_is_silent_says_that_it_lives(tmp_path: Path) -> None:
    async with open_workbench(tmp_path, heartbeat=timedelta(milliseconds=1)) as bench:
        task_id = await bench.submitted()
        async with bench.client.stream("GET", f"/v1/tasks/{task_id}/events", headers=STREAM) as response:
            stream = blocks(response)
            await anext(stream)
            await anext(stream)
            tick = asyncio.get_running_loop().call_later(0.05, bench.feeds.tick)
            beat = await anext(stream)
            tick.cancel()

    assert (beat.comment, beat.data, beat.last_event_id) == (True, "hb", "2")


async def test_a_client_that_leaves_a_silent_stream_is_forgotten_at_once(bench: Workbench) -> None:
    task_id = await bench.submitted()
    gauge = bench.metrics.calls.stream_readers.labels("sse")
    async with bench.client.stream("GET", f"/v1/tasks/{task_id}/events", headers=STREAM) as response:
        await anext(blocks(response))
        assert bench.feeds.readers == 1
        assert gauge._value.get() == 1

    await eventually(lambda: bench.feeds.readers == 0)
    await eventually(lambda: gauge._value.get() == 0)


@pytest.mark.parametrize(("policy", "state"), [("continue", "queued"), ("cancel", "cancelled")])
async def test_leaving_cancels_only_where_that_was_asked_for(
    bench: Workbench, policy: str, state: str
) -> None:
    body = {"instruction": "x", "on_disconnect": policy}
    async with bench.client.stream("POST", "/v1/tasks", json=body, headers=STREAM) as response:
        task_id = (await anext(blocks(response))).data["id"]

    await eventually(lambda: bench.feeds.readers == 0)
    async with asyncio.timeout(5):
        while (await bench.client.get(f"/v1/tasks/{task_id}")).json()["state"] != state:
            pass


async def test_a_drain_is_told_with_the_cursor_and_moves_it_not(bench: Workbench) -> None:
    task_id = await bench.submitted()
    async with bench.client.stream("GET", f"/v1/tasks/{task_id}/events", headers=STREAM) as response:
        stream = blocks(response)
        await anext(stream)
        await anext(stream)
        bench.server.enter_drain()
        bench.feeds.drain()
        last = [block async for block in stream]

    assert [(block.event, block.last_event_id) for block in last] == [("drain", "2")]
    assert last[0].data == {"cursor": 2, "retry_after_s": 1.0}


async def test_events_that_were_forgotten_are_told_as_a_gap(bench: Workbench) -> None:
    task_id = await bench.submitted()
    await bench.claimed(task_id)
    for index in range(5):
        await bench.reported(task_id, domain.ProgressReported(message=str(index)))
    await bench.stores.retention.sweep(
        ended_before=datetime(2000, 1, 1, tzinfo=UTC), events_per_task=3, limit=10
    )
    await bench.succeeded(task_id)

    response = await bench.client.get(f"/v1/tasks/{task_id}/events", headers=STREAM)

    gap, *rest = await events(response)
    assert (gap.event, gap.last_event_id) == ("gap", "")
    assert gap.data["snapshot"]["id"] == task_id
    assert [block.data["seq"] for block in rest] == list(range(gap.data["next_seq"], 10))


async def test_the_call_s_deadline_ends_the_stream_with_a_word(bench: Workbench) -> None:
    task_id = await bench.submitted()

    response = await bench.client.get(
        f"/v1/tasks/{task_id}/events", headers=STREAM | {"request-timeout": "0.1"}
    )

    last = (await events(response))[-1]
    assert (last.event, last.last_event_id) == ("problem", "2")
    assert (last.data["reason"], last.data["status"]) == ("DEADLINE_EXCEEDED", 504)


async def test_one_stream_has_all_tasks_of_the_tenant_and_no_others(bench: Workbench) -> None:
    async with bench.client.stream("GET", "/v1/events", headers=STREAM) as response:
        stream = blocks(response)
        await eventually(lambda: bench.feeds.readers == 1)
        foreign = await bench.client.post("/v1/tasks", json={"instruction": "theirs"}, headers=OTHER)
        ours = [await bench.submitted(), await bench.submitted()]
        seen = [await anext(stream) for _ in range(4)]

    assert foreign.status_code == 201
    assert {block.data["task_id"] for block in seen} == set(ours)
    assert [int(block.last_event_id) for block in seen] == [block.data["position"] for block in seen]


async def test_the_stream_of_all_tasks_goes_on_after_a_position(bench: Workbench) -> None:
    await bench.submitted()
    async with bench.client.stream("GET", "/v1/events", headers=STREAM | {"last-event-id": "1"}) as response:
        seen = await anext(blocks(response))

    assert (seen.event, seen.data["position"]) == ("task.queued", 2)


async def test_a_stream_from_now_on_starts_with_where_now_is(bench: Workbench) -> None:
    """So that a reconnect before the first event loses nothing."""
    await bench.submitted()

    async with bench.client.stream("GET", "/v1/events", headers=STREAM) as response:
        opening = await anext(response.aiter_text())

    assert opening.startswith("retry: 1000\nid: 2\n\n")


async def test_a_foreign_task_reads_as_not_found(bench: Workbench) -> None:
    task_id = await bench.submitted()

    for path in (f"/v1/tasks/{task_id}", f"/v1/tasks/{task_id}/events", f"/v1/tasks/{task_id}/artifacts"):
        answer = await bench.client.get(path, headers=OTHER)
        assert answer.status_code == 404


@pytest.mark.parametrize(
    ("error", "reason", "status"),
    [
        (StorageUnavailableError("the store is away"), "STORAGE_UNAVAILABLE", 503),
        (RuntimeError("a secret"), "INTERNAL", 500),
    ],
)
async def test_what_breaks_in_mid_stream_is_told_in_the_stream(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch, error: Exception, reason: str, status: int
) -> None:
    async def broken(*_: object, **__: object) -> list[domain.JournaledEvent]:
        raise error

    task_id = await bench.submitted()
    monkeypatch.setattr(bench.stores.journal, "read", broken)

    response = await bench.client.get(f"/v1/tasks/{task_id}/events", headers=STREAM)

    (told,) = await events(response)
    assert response.status_code == 200
    assert (told.event, told.data["reason"], told.data["status"]) == ("problem", reason, status)
    assert "a secret" not in response.text


async def test_a_hundred_clients_that_come_and_go_leave_nothing(bench: Workbench) -> None:
    task_id = await bench.submitted()
    before = len(asyncio.all_tasks())

    async def visit() -> None:
        async with (
            httpx.AsyncClient(
                base_url=bench.client.base_url, headers=bench.client.headers, trust_env=False
            ) as client,
            client.stream("GET", f"/v1/tasks/{task_id}/events", headers=STREAM) as response,
        ):
            await anext(blocks(response))

    for _ in range(10):
        async with asyncio.TaskGroup() as group:
            for _ in range(10):
                group.create_task(visit())

    await eventually(lambda: bench.feeds.readers == 0)
    await eventually(lambda: len(asyncio.all_tasks()) <= before)
