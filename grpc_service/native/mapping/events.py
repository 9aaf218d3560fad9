"""Events: one arm for each, and their ready bytes."""

from typing import assert_never

from app.domain.events import (
    ArtifactCreated,
    InputProvided,
    InputRequested,
    JournaledEvent,
    ModelResponded,
    ModelRetried,
    PauseRequested,
    ProgressReported,
    SandboxOpened,
    StepFinished,
    TaskCancelled,
    TaskEvent,
    TaskExpired,
    TaskFailed,
    TaskPaused,
    TaskQueued,
    TaskResumed,
    TaskStarted,
    TaskSubmitted,
    TaskSucceeded,
    TextProduced,
    ToolCalled,
    ToolReturned,
    TurnStarted,
)
from grpc_service.gen.agentgateway.v1 import event_pb2 as pb
from grpc_service.native.mapping.artifacts import artifact_to_proto
from grpc_service.native.mapping.tasks import input_request_to_proto, result_to_proto, statistics_to_proto
from grpc_service.native.mapping.values import text_to_proto, timestamp_to_proto

_EVENTS_TAG = b"\x0a"
"""Field 1, length-delimited: `repeated Event events = 1` of every message that carries events."""


def event_to_proto(journaled: JournaledEvent) -> pb.Event:
    """An event as committed."""
    message = pb.Event(
        task_id=journaled.task_id,
        seq=journaled.seq,
        position=journaled.position,
        time=timestamp_to_proto(journaled.at),
    )
    _put(message, journaled.event)
    return message


def event_to_entry(journaled: JournaledEvent) -> bytes:
    """The event as one entry of an `events` field: tag, length, message.

    A codec for `Frame.encoded`: entries put together are a valid message, so each event is encoded once
    for all readers.
    """
    raw = event_to_proto(journaled).SerializeToString()
    return b"".join((_EVENTS_TAG, _varint(len(raw)), raw))


def _varint(value: int) -> bytes:
    groups = bytearray()
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    groups.append(value)
    return bytes(groups)


def _put(message: pb.Event, event: TaskEvent) -> None:  # noqa: C901, PLR0912 - one arm for each event
    match event:
        case TaskSubmitted():
            message.task_submitted.CopyFrom(
                pb.TaskSubmitted(
                    instruction=event.instruction, agent=event.agent, session_id=event.session_id
                )
            )
        case TaskQueued():
            message.task_queued.cause = event.cause
        case TaskStarted():
            message.task_started.epoch = event.epoch
        case TurnStarted():
            message.turn_started.CopyFrom(pb.TurnStarted(turn=event.turn, model=event.model))
        case TextProduced():
            message.text_produced.CopyFrom(pb.TextProduced(turn=event.turn, text=text_to_proto(event.text)))
        case ModelRetried():
            message.model_retried.CopyFrom(
                pb.ModelRetried(
                    turn=event.turn, attempt=event.attempt, reason=event.reason, delay_s=event.delay_s
                )
            )
        case ModelResponded():
            message.model_responded.CopyFrom(
                pb.ModelResponded(
                    turn=event.turn,
                    text=text_to_proto(event.text),
                    tool_calls=event.tool_calls,
                    input_tokens=event.input_tokens,
                    output_tokens=event.output_tokens,
                    cost_usd=event.cost_usd,
                )
            )
        case ToolCalled():
            message.tool_called.CopyFrom(
                pb.ToolCalled(
                    turn=event.turn,
                    call_id=event.call_id,
                    tool=text_to_proto(event.tool),
                    arguments_json=text_to_proto(event.arguments_json),
                )
            )
        case ToolReturned():
            message.tool_returned.CopyFrom(
                pb.ToolReturned(
                    turn=event.turn,
                    call_id=event.call_id,
                    tool=text_to_proto(event.tool),
                    outcome=event.outcome,
                    output=text_to_proto(event.output),
                    duration_s=event.duration_s,
                    error_reason=event.error_reason,
                )
            )
        case SandboxOpened():
            message.sandbox_opened.CopyFrom(pb.SandboxOpened(sandbox_id=event.sandbox_id, kind=event.kind))
        case StepFinished():
            message.step_finished.CopyFrom(_step_to_proto(event))
        case ArtifactCreated():
            message.artifact_created.artifact.CopyFrom(artifact_to_proto(event.artifact))
        case ProgressReported():
            message.progress_reported.CopyFrom(
                pb.ProgressReported(message=text_to_proto(event.message), fraction=event.fraction)
            )
        case InputRequested():
            message.input_requested.request.CopyFrom(input_request_to_proto(event.request))
        case InputProvided():
            message.input_provided.CopyFrom(
                pb.InputProvided(request_id=event.request_id, text=event.text, by=event.by)
            )
            if event.approved is not None:
                message.input_provided.approved = event.approved
        case PauseRequested():
            message.pause_requested.SetInParent()
        case TaskPaused():
            message.task_paused.SetInParent()
        case TaskResumed():
            message.task_resumed.SetInParent()
        case TaskSucceeded():
            message.task_succeeded.CopyFrom(
                pb.TaskSucceeded(
                    result=result_to_proto(event.result), statistics=statistics_to_proto(event.statistics)
                )
            )
        case TaskFailed():
            message.task_failed.CopyFrom(
                pb.TaskFailed(
                    reason=event.reason,
                    message=text_to_proto(event.message),
                    statistics=statistics_to_proto(event.statistics),
                )
            )
        case TaskCancelled():
            message.task_cancelled.CopyFrom(
                pb.TaskCancelled(
                    cause=event.cause, by=event.by, statistics=statistics_to_proto(event.statistics)
                )
            )
        case TaskExpired():
            message.task_expired.CopyFrom(
                pb.TaskExpired(waited_in=event.waited_in, statistics=statistics_to_proto(event.statistics))
            )
        case _:
            assert_never(event)


def _step_to_proto(event: StepFinished) -> pb.StepFinished:
    message = pb.StepFinished(
        step=event.step,
        call_id=event.call_id,
        action=text_to_proto(event.action),
        outcome=event.outcome,
        duration_s=event.duration_s,
        output=text_to_proto(event.output),
        screenshot=None if event.screenshot is None else artifact_to_proto(event.screenshot),
        error_reason=event.error_reason,
        isolation=event.isolation,
    )
    if event.verified is not None:
        message.verified = event.verified
    return message
