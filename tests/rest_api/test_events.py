"""Events as documents and as frames."""

import json
from datetime import UTC, datetime
from typing import Any, get_args

import pytest
from pydantic import TypeAdapter

from app.domain import events
from app.domain.artifacts import ArtifactRef
from app.domain.events import EVENT_TYPES, JournaledEvent, TaskEvent
from app.domain.identity import DEFAULT_TENANT
from app.domain.ids import AgentId, Digest, SandboxId, SessionId, TaskId
from app.domain.tasks import InputRequest, Statistics, TaskResult
from rest_api.event_documents import document_of
from rest_api.json_bytes import json_bytes
from rest_api.schemas.events import EventHead, EventOut
from rest_api.sse import task_frame, tenant_frame

AT = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
REF = ArtifactRef(digest=Digest("sha256:" + "a" * 64), name="a.png", media_type="image/png", size_bytes=3)
FULL: list[TaskEvent] = [
    events.TaskSubmitted(instruction="do", agent=AgentId("default"), session_id=SessionId("s1")),
    events.TaskQueued(cause="submitted"),
    events.TaskStarted(epoch=1),
    events.TurnStarted(turn=1, model="interpreter"),
    events.TextProduced(turn=1, text="hello\r\n\r\nid: 99\nevent: fake\n\u2028\0"),
    events.ModelRetried(turn=1, attempt=2, reason="MODEL_UNAVAILABLE", delay_s=0.5),
    events.ModelResponded(turn=1, text="ok", tool_calls=1, input_tokens=2, output_tokens=3, cost_usd=0.1),
    events.ToolCalled(turn=1, call_id="c", tool="t", arguments_json='{"a": [null, 1]}'),
    events.ToolReturned(
        turn=1, call_id="c", tool="t", outcome="failed", output="no", duration_s=0.1, error_reason="X"
    ),
    events.SandboxOpened(sandbox_id=SandboxId("sb"), kind="local"),
    events.StepFinished(
        step=1,
        call_id="c",
        action="click",
        outcome="ok",
        duration_s=0.1,
        output="o",
        verified=False,
        screenshot=REF,
        error_reason="R",
        isolation="monty",
    ),
    events.ArtifactCreated(artifact=REF),
    events.ProgressReported(message="half", fraction=0.5),
    events.InputRequested(
        request=InputRequest(
            id="i", kind="approval", prompt="may I?", tool="t", arguments_json='{"x": 1}', expires_at=AT
        )
    ),
    events.InputProvided(request_id="i", approved=True, text="t", by="desk"),
    events.PauseRequested(),
    events.TaskPaused(),
    events.TaskResumed(),
    events.TaskSucceeded(
        result=TaskResult(output="done", data={"k": None}, artifacts=(REF,)), statistics=Statistics(turns=1)
    ),
    events.TaskFailed(reason="X", message="m", statistics=Statistics(cost_usd=None)),
    events.TaskCancelled(cause="c", by="desk", statistics=Statistics()),
    events.TaskExpired(waited_in="queued", statistics=Statistics()),
]
RENAMED = {"arguments_json": "arguments"}
EVENT = TypeAdapter[EventHead](EventOut)


def journaled(event: TaskEvent) -> JournaledEvent:
    return JournaledEvent(
        task_id=TaskId("task_1"), tenant=DEFAULT_TENANT, seq=3, position=7, at=AT, event=event
    )


def test_there_is_an_example_of_every_event() -> None:
    assert {type(event) for event in FULL} == set(EVENT_TYPES.values())


@pytest.mark.parametrize("event", FULL, ids=lambda event: event.type)
def test_the_document_is_what_its_schema_says(event: TaskEvent) -> None:
    document = json.loads(json_bytes(document_of(journaled(event))))

    read = EVENT.validate_python(document)
    back = json.loads(read.model_dump_json(exclude_none=True))

    assert back == document
    expected = {RENAMED.get(name, name) for name in type(event).__slots__}
    assert set(document) - {"type", "task_id", "seq", "position", "time"} == expected
    assert set(type(read).model_fields) - set(EventHead.model_fields) - {"type"} == expected


def test_every_schema_belongs_to_an_event() -> None:
    union = get_args(get_args(EventOut)[0])

    assert len(union) == len(EVENT_TYPES)


def test_a_null_that_somebody_said_stays_and_what_is_not_set_is_left_out() -> None:
    done = document_of(journaled(FULL[-4]))
    failed: Any = document_of(journaled(FULL[-3]))

    assert done["result"] == {
        "output": "done",
        "data": {"k": None},
        "artifacts": [{"digest": REF.digest, "name": "a.png", "media_type": "image/png", "size_bytes": 3}],
    }
    assert "cost_usd" not in failed["statistics"]


@pytest.mark.parametrize("event", FULL, ids=lambda event: event.type)
def test_a_frame_is_one_block_whatever_the_event_says(event: TaskEvent) -> None:
    lines = task_frame(journaled(event)).split(b"\n")

    assert lines[0] == b"id: 3"
    assert lines[1] == b"event: " + event.type.encode()
    assert lines[2].startswith(b"data: {")
    assert lines[3:] == [b"", b""]
    assert b"\r" not in b"".join(lines)
    assert b"\0" not in b"".join(lines)


def test_the_stream_of_all_tasks_has_positions_as_ids() -> None:
    assert tenant_frame(journaled(FULL[1])).startswith(b"id: 7\nevent: task.queued\n")


def test_text_that_is_no_unicode_is_sent_with_marks_in_its_place() -> None:
    frame = task_frame(journaled(events.TextProduced(turn=1, text="odd \ud800")))

    assert b'"odd ?"' in frame


def test_arguments_that_are_no_json_object_are_sent_as_text() -> None:
    document = document_of(journaled(events.ToolCalled(turn=1, call_id="c", tool="t", arguments_json="[1")))

    assert document["arguments"] == {"text": "[1"}
