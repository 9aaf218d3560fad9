"""Events as documents: the mapping from the domain's events to flat JSON objects.

It has an arm for each event, so that a new one fails the type check until it is told here.
"""

from typing import assert_never

from app.domain import events
from app.domain.artifacts import ArtifactRef
from app.domain.events import JournaledEvent, TaskEvent
from app.domain.tasks import InputRequest, Statistics, TaskResult
from rest_api.schemas.tasks import arguments_of


def document_of(journaled: JournaledEvent) -> dict[str, object]:
    """The event as one flat JSON object. What is not set is left out."""
    head: dict[str, object] = {
        "type": journaled.event.type,
        "task_id": journaled.task_id,
        "seq": journaled.seq,
        "position": journaled.position,
        "time": journaled.at,
    }
    return head | _fields_of(journaled.event)


def _fields_of(event: TaskEvent) -> dict[str, object]:
    match event:
        case events.ToolCalled():
            return {
                "turn": event.turn,
                "call_id": event.call_id,
                "tool": event.tool,
                "arguments": arguments_of(event.arguments_json),
            }
        case events.InputRequested():
            return {"request": _input_request(event.request)}
        case events.TaskSucceeded():
            return {"result": _result(event.result), "statistics": _given(event.statistics)}
        case (
            events.TaskSubmitted()
            | events.TaskQueued()
            | events.TaskStarted()
            | events.TurnStarted()
            | events.TextProduced()
            | events.ModelRetried()
            | events.ModelResponded()
            | events.ToolReturned()
            | events.SandboxOpened()
            | events.StepFinished()
            | events.ArtifactCreated()
            | events.ProgressReported()
            | events.InputProvided()
            | events.PauseRequested()
            | events.TaskPaused()
            | events.TaskResumed()
            | events.TaskFailed()
            | events.TaskCancelled()
            | events.TaskExpired()
        ):
            return _given(event)
        case _:
            assert_never(event)


def _given(value: TaskEvent | Statistics) -> dict[str, object]:
    """The fields that are set, under the names they have."""
    found: dict[str, object] = {}
    for name in value.__slots__:
        item = getattr(value, name)
        if isinstance(item, ArtifactRef):
            found[name] = _artifact(item)
        elif isinstance(item, Statistics):
            found[name] = _given(item)
        elif item is not None:
            found[name] = item
    return found


def _result(result: TaskResult) -> dict[str, object]:
    found: dict[str, object] = {
        "output": result.output,
        "artifacts": [_artifact(ref) for ref in result.artifacts],
    }
    if result.data is not None:
        found["data"] = result.data
    return found


def _artifact(ref: ArtifactRef) -> dict[str, object]:
    return {
        "digest": ref.digest,
        "name": ref.name,
        "media_type": ref.media_type,
        "size_bytes": ref.size_bytes,
    }


def _input_request(request: InputRequest) -> dict[str, object]:
    found: dict[str, object | None] = {
        "id": request.id,
        "kind": request.kind,
        "prompt": request.prompt,
        "tool": request.tool,
        "arguments": arguments_of(request.arguments_json),
        "expire_time": request.expires_at,
    }
    return {name: value for name, value in found.items() if value is not None}
