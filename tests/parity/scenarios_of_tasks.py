"""Tasks and sessions: scenarios that drive one protocol and assert what must be so."""

import asyncio
from contextlib import aclosing

from tests.parity.drivers import Plain
from tests.parity.recorder import Recorder

MAIN = "Compute (42 + 58) * 3, save the result to total.txt and read it back"


async def run_and_watch(api: Recorder) -> None:
    items = await api.stream("TaskService/RunTask", task={"instruction": MAIN})
    task, events = items[0]["task"], items[1:]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert events[-1]["type"] == "task.succeeded"
    assert "300" in events[-1]["result"]["output"]
    done = await api.call("TaskService/GetTask", task_id=task["id"])
    assert (done["state"], done["last_seq"]) == ("succeeded", len(events))
    again = await api.stream("TaskService/WatchTask", task_id=task["id"], after_seq=3)
    assert again == events[3:]
    assert await api.stream("TaskService/WatchTask", task_id=task["id"], after_seq=len(events)) == []
    page = await api.call("TaskService/ListTaskEvents", task_id=task["id"], after_seq=2, page_size=4)
    assert [event["seq"] for event in page["events"]] == [3, 4, 5, 6]
    assert page["next_after_seq"] == 6
    artifacts = (await api.call("ArtifactService/ListArtifacts", task_id=task["id"]))["artifacts"]
    assert [artifact["name"] for artifact in artifacts] == ["total.txt"]
    digest = artifacts[0]["digest"]
    await api.call("ArtifactService/GetArtifact", digest=digest)
    whole = await api.stream("ArtifactService/ReadArtifact", digest=digest)
    assert b"".join(chunk["data"] for chunk in whole).strip() == b"300"
    part = await api.stream("ArtifactService/ReadArtifact", digest=digest, offset=1, length=2)
    assert b"".join(chunk["data"] for chunk in part) == b"00"


async def submit_and_wait(api: Recorder) -> None:
    task = {"instruction": "What is 12 times 12?", "metadata": {"kind": "sum", "of": api.driver.name}}
    done = await api.call(
        "TaskService/SubmitTask", task=task, wait="20s", request_id=f"one-{api.driver.name}"
    )
    assert (done["state"], "144" in done["result"]["output"]) == ("succeeded", True)
    again = await api.call("TaskService/SubmitTask", task=task, request_id=f"one-{api.driver.name}")
    assert again["id"] == done["id"]
    other = {"instruction": "What is 13 times 13?"}
    await api.refused(
        "TaskService/SubmitTask", "IDEMPOTENCY_KEY_REUSED", task=other, request_id=f"one-{api.driver.name}"
    )
    found = await api.call(
        "TaskService/ListTasks", metadata={"of": api.driver.name}, states=["succeeded"], page_size=5
    )
    assert [one["id"] for one in found["tasks"]] == [done["id"]]
    none = await api.call("TaskService/ListTasks", metadata={"of": api.driver.name}, states=["failed"])
    assert none["tasks"] == []
    await api.call("TaskService/DeleteTask", task_id=done["id"])
    await api.refused("TaskService/GetTask", "NOT_FOUND", task_id=done["id"])


async def pages_of_tasks(api: Recorder) -> None:
    for number in range(5):
        task = {"instruction": str(number), "agent_id": "echo", "metadata": {"batch": api.driver.name}}
        await api.call("TaskService/SubmitTask", task=task, wait="20s")
    seen: list[str] = []
    cursor: Plain = {}
    while True:
        page = await api.call(
            "TaskService/ListTasks", metadata={"batch": api.driver.name}, page_size=2, **cursor
        )
        seen += [one["instruction"] for one in page["tasks"]]
        if not page.get("next_cursor"):
            break
        cursor = {"cursor": page["next_cursor"]}
    assert seen == ["4", "3", "2", "1", "0"]


async def cancel_pause_resume(api: Recorder) -> None:
    task = await api.call("TaskService/SubmitTask", task={"instruction": "Wait 60 seconds"})
    await api.until(task["id"], "tool.called")
    cancelled = await api.call("TaskService/CancelTask", task_id=task["id"], reason="enough")
    assert cancelled["state"] == "cancelled"
    again = await api.call("TaskService/CancelTask", task_id=task["id"])
    assert again["last_seq"] == cancelled["last_seq"]
    await api.refused("TaskService/PauseTask", "TASK_ENDED", task_id=task["id"])
    await api.refused("TaskService/ResumeTask", "TASK_ENDED", task_id=task["id"])
    parked = await api.call(
        "TaskService/SubmitTask", task={"instruction": "Wait 300 ms, then what is 2 + 2?"}
    )
    await api.until(parked["id"], "tool.called")
    asked = await api.call("TaskService/PauseTask", task_id=parked["id"])
    assert asked["pause_requested"] or asked["state"] == "paused"
    await api.until(parked["id"], "task.paused")
    await api.call("TaskService/ResumeTask", task_id=parked["id"])
    assert (await api.ended(parked["id"]))["state"] == "succeeded"
    await api.refused("TaskService/CancelTask", "TASK_ENDED", task_id=parked["id"])


async def a_person_answers(api: Recorder) -> None:
    task = await api.call(
        "TaskService/SubmitTask", task={"instruction": "Ask me for my name and write it to name.txt"}
    )
    asked = await api.until(task["id"], "input.requested")
    waiting = await api.call("TaskService/GetTask", task_id=task["id"])
    assert (waiting["state"], waiting["pending_inputs"][0]["kind"]) == ("waiting", "text")
    input_id = asked["request"]["id"]
    await api.refused(
        "TaskService/ProvideInput", "NOT_WAITING", task_id=task["id"], input_id="nobody", text="Ada"
    )
    await api.refused(
        "TaskService/ProvideInput",
        "INVALID_REQUEST",
        "text",
        task_id=task["id"],
        input_id=input_id,
        approved=True,
    )
    await api.refused("TaskService/DeleteTask", "ILLEGAL_STATE", task_id=task["id"])
    await api.call("TaskService/ProvideInput", task_id=task["id"], input_id=input_id, text="Ada")
    done = await api.ended(task["id"])
    assert (done["state"], "Ada" in str(done)) == ("succeeded", True)


async def refusals_of_the_planner(api: Recorder) -> None:
    task = {"instruction": "Summarise the quarterly report and email it to Bob"}
    done = await api.call("TaskService/SubmitTask", task=task, wait="20s")
    assert (done["state"], done["failure"]["reason"]) == ("failed", "NOT_UNDERSTOOD")


async def all_tasks_in_one_stream(api: Recorder) -> None:
    seen: list[Plain] = []
    ready = asyncio.Event()

    async def watch() -> None:
        async with aclosing(api.driver.stream("TaskService/WatchTasks", after_position=0)) as items:
            async for item in items:
                if "notice" in item:
                    continue  # a gap: other scenarios delete tasks
                seen.append(item)
                ready.set()
                if (
                    item.get("type") == "task.succeeded"
                    and item["result"]["output"] == f"last-{api.driver.name}"
                ):
                    return

    api.used.add("TaskService/WatchTasks")
    await api.call("TaskService/SubmitTask", task={"instruction": "first", "agent_id": "echo"}, wait="20s")
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        group.create_task(watch())
        await ready.wait()
        last = {"instruction": f"last-{api.driver.name}", "agent_id": "echo"}
        await api.call("TaskService/SubmitTask", task=last)
    positions = [item["position"] for item in seen]
    assert positions == sorted(set(positions))
    assert len({item["task_id"] for item in seen}) > 1


async def sessions(api: Recorder) -> None:
    session = await api.call("SessionService/CreateSession", title="Sums", metadata={"by": "test"})
    first = {"instruction": "Compute 6 * 7 and save the result to answer.txt", "session_id": session["id"]}
    assert (await api.call("TaskService/SubmitTask", task=first, wait="20s"))["state"] == "succeeded"
    second = {"instruction": "Read answer.txt", "session_id": session["id"]}
    done = await api.call("TaskService/SubmitTask", task=second, wait="20s")
    assert (done["state"], "42" in done["result"]["output"]) == ("succeeded", True)
    busy = await api.call(
        "TaskService/SubmitTask", task={"instruction": "Wait 60 s", "session_id": session["id"]}
    )
    await api.until(busy["id"], "tool.called")
    await api.refused(
        "TaskService/SubmitTask", "SESSION_BUSY", task={"instruction": "x 1+1", "session_id": session["id"]}
    )
    await api.refused("SessionService/DeleteSession", "SESSION_BUSY", session_id=session["id"])
    await api.call("TaskService/CancelTask", task_id=busy["id"])
    stands = await api.call("SessionService/GetSession", session_id=session["id"])
    assert (stands["task_count"], stands["last_task_id"]) == (3, busy["id"])
    entries = (await api.call("SessionService/GetTranscript", session_id=session["id"]))["entries"]
    assert {entry["role"] for entry in entries} == {"user", "assistant", "tool"}
    listed = await api.driver.call("SessionService/ListSessions", page_size=1)
    api.used.add("SessionService/ListSessions")
    assert listed["sessions"][0]["id"] == session["id"]
    await api.call("SessionService/DeleteSession", session_id=session["id"])
    await api.refused("SessionService/GetSession", "NOT_FOUND", session_id=session["id"])
    await api.refused("TaskService/SubmitTask", "NOT_FOUND", task=first)
