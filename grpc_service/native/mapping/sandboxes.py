"""Sandboxes, their kinds and what a step observed."""

from typing import Final

from app.domain.sandboxes import (
    Action,
    Availability,
    Sandbox,
    SandboxKind,
    SandboxState,
    StepResult,
    Verification,
)
from grpc_service.gen.agentgateway.v1 import sandbox_service_pb2 as pb
from grpc_service.native.mapping.artifacts import artifact_to_proto
from grpc_service.native.mapping.values import (
    json_object_from_proto,
    json_to_proto,
    text_to_proto,
    timestamp_to_proto,
)

AVAILABILITIES: Final[dict[Availability, pb.Availability]] = {
    Availability.OK: pb.AVAILABILITY_OK,
    Availability.DEGRADED: pb.AVAILABILITY_DEGRADED,
    Availability.UNAVAILABLE: pb.AVAILABILITY_UNAVAILABLE,
}
STATES: Final[dict[SandboxState, pb.SandboxState]] = {
    SandboxState.OPEN: pb.SANDBOX_STATE_OPEN,
    SandboxState.CLOSED: pb.SANDBOX_STATE_CLOSED,
    SandboxState.LOST: pb.SANDBOX_STATE_LOST,
}


def kind_to_proto(kind: SandboxKind) -> pb.SandboxKind:
    """A kind and whether it works here."""
    return pb.SandboxKind(
        kind=kind.kind,
        description=kind.description,
        availability=AVAILABILITIES[kind.availability],
        reasons=kind.reasons,
        install=kind.install,
        capabilities=sorted(kind.capabilities),
        actions=kind.actions,
    )


def sandbox_to_proto(sandbox: Sandbox) -> pb.Sandbox:
    """One sandbox."""
    return pb.Sandbox(
        id=sandbox.id,
        kind=sandbox.kind,
        state=STATES[sandbox.state],
        create_time=timestamp_to_proto(sandbox.created_at),
        expire_time=timestamp_to_proto(sandbox.expires_at),
        task_id=sandbox.task_id or "",
        session_id=sandbox.session_id or "",
    )


def action_from_proto(request: pb.ActInSandboxRequest) -> Action:
    """Raises InvalidRequestError for arguments that are no JSON object."""
    return Action(
        type=request.action, arguments=json_object_from_proto("arguments_json", request.arguments_json)
    )


def step_to_proto(step: StepResult) -> pb.StepResult:
    """What came of one action."""
    return pb.StepResult(
        action=step.action.type,
        status=step.status,
        start_time=timestamp_to_proto(step.started_at),
        duration_s=step.duration_s,
        output=text_to_proto(step.output),
        data_json=None if step.data is None else json_to_proto(step.data),
        screenshot=None if step.screenshot is None else artifact_to_proto(step.screenshot),
        artifacts=[artifact_to_proto(artifact) for artifact in step.artifacts],
        verified=None if step.verified is None else _verification_to_proto(step.verified),
        error_reason=step.error_reason,
        isolation=step.isolation,
    )


def _verification_to_proto(verified: Verification) -> pb.Verification:
    return pb.Verification(
        expected=text_to_proto(verified.expected), seen=text_to_proto(verified.seen), ok=verified.ok
    )
