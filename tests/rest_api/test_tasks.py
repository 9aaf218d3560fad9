"""Tasks over HTTP."""

import asyncio
from datetime import UTC, datetime

import pytest

from app.domain import lifecycle
from app.domain.ids import TaskId
from app.domain.tasks import InputRequest, Statistics
from tests.rest_api.sse_reading import events
from tests.rest_api.workbench import OTHER, STREAM, Workbench


async def test_a_task_is_accepted_and_can_be_read(bench: Workbench) -> None:
    body = {
        "instruction": "say hello",
        "metadata": {"team": "docs"},
        "configuration": {"model": "interpreter", "tools": [], "limits": {"max_steps": 3}},
    }

    answer = await bench.client.post("/v1/tasks", json=body)

    task = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/v1/tasks/{task['id']}"
    assert answer.headers["cache-control"] == "no-store"
    assert (await bench.client.get(answer.headers["location"])).json() == task
    assert (task["state"], task["agent_id"], task["on_disconnect"]) == ("queued", "default", "continue")
    assert task["configuration"] == {
        "model": "interpreter",
        "sandbox_kind": "local",
        "tools": [],
        "limits": {"max_steps": 3, "wall_time_s": 3600.0},
    }
    assert task["metadata"] == {"team": "docs"}
    assert datetime.fromisoformat(task["create_time"]).utcoffset() is not None
    assert "session_id" not in task
    assert "result" not in task


async def test_a_wait_answers_when_the_task_has_ended(bench: Workbench) -> None:
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(
            bench.client.post("/v1/tasks", json={"instruction": "x"}, headers={"prefer": "wait=30"})
        )
        async with asyncio.timeout(5):
            while not (tasks := (await bench.client.get("/v1/tasks")).json()["tasks"]):
                pass
        await bench.claimed(tasks[0]["id"])
        await bench.succeeded(tasks[0]["id"], output="hello")

    answer = waiting.result()
    assert answer.status_code == 201
    assert answer.headers["preference-applied"] == "wait=30"
    assert (answer.json()["state"], answer.json()["result"]["output"]) == ("succeeded", "hello")


async def test_a_wait_that_is_over_answers_with_the_task_as_it_stands(bench: Workbench) -> None:
    answer = await bench.client.post("/v1/tasks", json={"instruction": "x"}, headers={"prefer": "wait=1"})

    assert (answer.status_code, answer.json()["state"]) == (201, "queued")


async def test_a_deadline_ends_the_call_and_not_the_task(bench: Workbench) -> None:
    answer = await bench.client.post(
        "/v1/tasks", json={"instruction": "x"}, headers={"prefer": "wait=30", "request-timeout": "0.2"}
    )

    tasks = (await bench.client.get("/v1/tasks")).json()["tasks"]
    assert (answer.status_code, answer.json()["reason"]) == (504, "DEADLINE_EXCEEDED")
    assert [task["state"] for task in tasks] == ["queued"]


async def test_the_same_key_and_task_answer_with_the_first_task(bench: Workbench) -> None:
    headers = {"idempotency-key": '"k-1"'}
    first = await bench.client.post("/v1/tasks", json={"instruction": "x"}, headers=headers)

    again = await bench.client.post(
        "/v1/tasks", json={"instruction": "x"}, headers={"idempotency-key": "k-1"}
    )
    streamed = bench.client.stream("POST", "/v1/tasks", json={"instruction": "x"}, headers=headers | STREAM)
    async with streamed as response:
        status, replayed = response.status_code, response.headers["idempotency-replayed"]

    assert (first.status_code, "idempotency-replayed" in first.headers) == (201, False)
    assert (again.status_code, again.headers["idempotency-replayed"]) == (200, "true")
    assert again.json() == first.json()
    assert (status, replayed) == (200, "true")


async def test_the_same_key_with_another_task_is_refused(bench: Workbench) -> None:
    headers = {"idempotency-key": '"k-1"'}
    await bench.client.post("/v1/tasks", json={"instruction": "x"}, headers=headers)

    answer = await bench.client.post("/v1/tasks", json={"instruction": "y"}, headers=headers)
    foreign = await bench.client.post("/v1/tasks", json={"instruction": "y"}, headers=headers | OTHER)

    assert (answer.status_code, answer.json()["reason"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert foreign.status_code == 201


async def test_tasks_are_listed_newest_first_in_pages(bench: Workbench) -> None:
    ids = [await bench.submitted() for _ in range(5)]
    seen: list[str] = []
    params: dict[str, str] = {"page_size": "2"}
    while True:
        page = (await bench.client.get("/v1/tasks", params=params)).json()
        seen += [task["id"] for task in page["tasks"]]
        if "next_cursor" not in page:
            break
        params["cursor"] = page["next_cursor"]

    assert seen == ids[::-1]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("state=queued", {"plain", "labelled"}),
        ("state=queued&state=succeeded", {"plain", "labelled", "ended"}),
        ("metadata.team=docs", {"labelled"}),
        ("metadata.team=docs&metadata.a.b=c", {"labelled"}),
        ("metadata.team=docs&metadata.a.b=d", set()),
        ("agent_id=default&state=succeeded", {"ended"}),
        ("created_after=2999-01-01T00:00:00Z", set()),
        ("created_before=2999-01-01T00:00:00%2B02:00", {"plain", "labelled", "ended"}),
        ("session_id=none", set()),
    ],
)
async def test_tasks_are_filtered(bench: Workbench, query: str, expected: set[str]) -> None:
    names = {
        await bench.submitted(): "plain",
        await bench.submitted(metadata={"team": "docs", "a.b": "c"}): "labelled",
        await bench.ended(): "ended",
    }

    page = (await bench.client.get(f"/v1/tasks?{query}")).json()

    assert {names[task["id"]] for task in page["tasks"]} == expected


async def test_a_task_is_paused_resumed_and_cancelled(bench: Workbench) -> None:
    task_id = await bench.submitted()

    states = [
        (await bench.client.post(f"/v1/tasks/{task_id}:{verb}")).json()["state"]
        for verb in ("pause", "pause", "resume")
    ]
    cancelled = await bench.client.post(f"/v1/tasks/{task_id}:cancel", json={"reason": "enough"})
    again = await bench.client.post(f"/v1/tasks/{task_id}:cancel", json={})
    refused = await bench.client.post(f"/v1/tasks/{task_id}:resume")

    assert states == ["paused", "paused", "queued"]
    assert cancelled.json()["failure"] == {"reason": "CANCELLED", "message": "enough"}
    assert again.status_code == 200
    assert (refused.status_code, refused.json()["reason"]) == (409, "TASK_ENDED")


async def test_an_input_is_answered_once(bench: Workbench) -> None:
    task_id = await bench.submitted()
    await bench.claimed(task_id)
    request = InputRequest(id="ask", kind="approval", prompt="may I?", tool="t", arguments_json='{"a":1}')
    await bench.stores.tasks.update(
        TaskId(task_id), lifecycle.waiting((request,), datetime.now(UTC), statistics=Statistics())
    )
    pending = (await bench.client.get(f"/v1/tasks/{task_id}")).json()["pending_inputs"]

    wrong = await bench.client.post(f"/v1/tasks/{task_id}/inputs/ask", json={"text": "yes"})
    answered = await bench.client.post(f"/v1/tasks/{task_id}/inputs/ask", json={"approved": True})
    again = await bench.client.post(f"/v1/tasks/{task_id}/inputs/ask", json={"approved": True})

    assert pending == [
        {"id": "ask", "kind": "approval", "prompt": "may I?", "tool": "t", "arguments": {"a": 1}}
    ]
    assert wrong.status_code == 400
    assert (answered.status_code, answered.json()["state"]) == (200, "queued")
    assert (again.status_code, again.json()["reason"]) == (409, "NOT_WAITING")


async def test_only_an_ended_task_can_be_forgotten(bench: Workbench) -> None:
    running, ended = await bench.submitted(), await bench.ended()

    refused = await bench.client.delete(f"/v1/tasks/{running}")
    forgotten = await bench.client.delete(f"/v1/tasks/{ended}")

    assert (refused.status_code, refused.json()["reason"]) == (409, "ILLEGAL_STATE")
    assert (forgotten.status_code, forgotten.content) == (204, b"")
    assert (await bench.client.get(f"/v1/tasks/{ended}")).status_code == 404


async def test_a_draining_server_takes_nothing_new_and_says_when_to_come_back(bench: Workbench) -> None:
    task_id = await bench.ended()
    bench.service.tasks.draining = True

    refused = await bench.client.post("/v1/tasks", json={"instruction": "x"})
    ready = await bench.client.get("/healthz/ready")
    live = await bench.client.get("/healthz/live")

    assert (refused.status_code, refused.json()["reason"]) == (503, "DRAINING")
    assert refused.headers["retry-after"] == "1"
    assert (ready.status_code, ready.json()["status"], ready.json()["failing"]) == (
        503,
        "draining",
        ["draining"],
    )
    assert live.status_code == 200
    assert (await bench.client.get(f"/v1/tasks/{task_id}")).status_code == 200


async def test_a_session_goes_over_several_tasks(bench: Workbench) -> None:
    created = await bench.client.post("/v1/sessions", json={"title": "t", "metadata": {"a": "b"}})
    session = created.json()
    task_id = await bench.submitted(session_id=session["id"])

    busy = await bench.client.post("/v1/tasks", json={"instruction": "x", "session_id": session["id"]})
    found = (await bench.client.get(created.headers["location"])).json()
    listed = (await bench.client.get("/v1/sessions")).json()["sessions"]
    transcript = (await bench.client.get(f"/v1/sessions/{session['id']}/transcript")).json()
    held = await bench.client.delete(f"/v1/sessions/{session['id']}")
    await bench.client.post(f"/v1/tasks/{task_id}:cancel")
    gone = await bench.client.delete(f"/v1/sessions/{session['id']}")

    assert created.status_code == 201
    assert (busy.status_code, busy.json()["reason"]) == (409, "SESSION_BUSY")
    assert (found["task_count"], found["last_task_id"]) == (1, task_id)
    assert listed == [found]
    assert transcript == {"entries": []}
    assert held.status_code == 409
    assert gone.status_code == 204


async def test_a_stream_of_an_ended_task_is_complete_at_once(bench: Workbench) -> None:
    task_id = await bench.ended()

    async with asyncio.timeout(2):
        answer = await bench.client.get(f"/v1/tasks/{task_id}/events", headers=STREAM)

    assert (await events(answer))[-1].event == "task.succeeded"
