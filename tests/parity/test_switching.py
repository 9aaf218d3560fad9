"""A reader may begin on one protocol and go on on the other: the cursors are the same."""

import asyncio
from contextlib import aclosing

import pytest

from tests.parity.drivers import Driver, Plain

ASKING = {"instruction": "Ask me for my name and write it to name.txt"}


@pytest.fixture(params=["grpc first", "rest first"])
def two(request: pytest.FixtureRequest, drivers: tuple[Driver, Driver]) -> tuple[Driver, Driver]:
    """The protocol that begins and the one that goes on."""
    return drivers if request.param == "grpc first" else (drivers[1], drivers[0])


async def taken(driver: Driver, rpc: str, *, until: str, **request: object) -> list[Plain]:
    """The events of a stream up to the first of type `until`; the stream is left there."""
    events: list[Plain] = []
    async with asyncio.timeout(20), aclosing(driver.stream(rpc, **request)) as items:
        async for item in items:
            if "seq" not in item:
                continue
            events.append(item)
            if item["type"] == until:
                return events
    raise AssertionError(f"the stream ended without {until}")


async def answered(driver: Driver, task_id: str, asked: Plain) -> None:
    """A person answers what the task asks."""
    await driver.call(
        "TaskService/ProvideInput", task_id=task_id, input_id=asked["request"]["id"], text="Ada"
    )


async def test_a_watched_task_is_watched_on_over_the_other_protocol_and_back(
    two: tuple[Driver, Driver],
) -> None:
    first, second = two
    task_id = (await first.call("TaskService/SubmitTask", task=ASKING))["id"]
    watch = "TaskService/WatchTask"

    begun = await taken(first, watch, until="input.requested", task_id=task_id)
    await answered(second, task_id, begun[-1])
    gone_on = await taken(second, watch, until="tool.called", task_id=task_id, after_seq=begun[-1]["seq"])
    ended = await taken(first, watch, until="task.succeeded", task_id=task_id, after_seq=gone_on[-1]["seq"])

    seen = begun + gone_on + ended
    assert [event["seq"] for event in seen] == list(range(1, len(seen) + 1))
    for driver in two:
        page = await driver.call("TaskService/ListTaskEvents", task_id=task_id, page_size=1_000)
        assert page["events"] == seen


async def test_a_stream_that_is_cut_is_resumed_after_every_event_on_the_other_protocol(
    two: tuple[Driver, Driver],
) -> None:
    task = {"instruction": "What is 12 times 12?"}
    done = await two[0].call("TaskService/SubmitTask", task=task, wait="20s")

    seen: list[Plain] = []
    while not seen or seen[-1]["type"] != "task.succeeded":
        cursor = {"after_seq": seen[-1]["seq"]} if seen else {}
        reader = two[len(seen) % 2]
        async with aclosing(reader.stream("TaskService/WatchTask", task_id=done["id"], **cursor)) as items:
            seen.append(await anext(item async for item in items if "seq" in item))

    assert [event["seq"] for event in seen] == list(range(1, done["last_seq"] + 1))


async def test_a_stream_of_all_tasks_goes_on_over_the_other_protocol(two: tuple[Driver, Driver]) -> None:
    first, second = two
    watch = "TaskService/WatchTasks"
    before = (await first.call("TaskService/SubmitTask", task={"instruction": "x", "agent_id": "echo"}))["id"]
    await taken(first, "TaskService/WatchTask", until="task.succeeded", task_id=before)
    [*_, last] = (await first.call("TaskService/ListTaskEvents", task_id=before, page_size=100))["events"]
    task_id = (await second.call("TaskService/SubmitTask", task=ASKING))["id"]

    begun = await taken(first, watch, until="input.requested", after_position=last["position"])
    await answered(first, task_id, begun[-1])
    gone_on = await taken(second, watch, until="tool.called", after_position=begun[-1]["position"])
    ended = await taken(first, watch, until="task.succeeded", after_position=gone_on[-1]["position"])

    journal = await second.call("TaskService/ListTaskEvents", task_id=task_id, page_size=1_000)
    assert begun + gone_on + ended == journal["events"]


async def test_a_page_s_cursor_is_a_stream_s_cursor(two: tuple[Driver, Driver]) -> None:
    first, second = two
    task = {"instruction": "What is 3 + 4?"}
    done = await first.call("TaskService/SubmitTask", task=task, wait="20s")

    page = await first.call("TaskService/ListTaskEvents", task_id=done["id"], page_size=3)
    rest = await taken(
        second,
        "TaskService/WatchTask",
        until="task.succeeded",
        task_id=done["id"],
        after_seq=page["next_after_seq"],
    )

    assert [event["seq"] for event in page["events"] + rest] == list(range(1, done["last_seq"] + 1))
