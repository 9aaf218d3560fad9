"""Sandboxes that callers open and drive themselves."""

from datetime import datetime
from typing import Any

from pydantic import Field

from app.domain.sandboxes import Availability, Sandbox, SandboxKind, SandboxState, StepResult
from rest_api.schemas.artifacts import ArtifactOut
from rest_api.schemas.base import BodyIn, JsonObject, Out


class CreateSandboxIn(BodyIn):
    """Which one."""

    kind: str | None = None
    """Absent means the configured default kind."""
    max_life_s: int | None = None
    """Seconds until it is closed; 0 or absent means the default. At most 86400."""


class ActInSandboxIn(BodyIn):
    """One canonical action."""

    action: str = Field(examples=["write_file"])
    arguments: JsonObject | None = None


class SandboxKindOut(Out):
    """A kind of sandbox and whether it can be opened here."""

    kind: str
    description: str
    availability: Availability
    reasons: list[str]
    install: str | None = None
    """How to make it available."""
    capabilities: list[str]
    actions: list[str]
    """Canonical action types it understands."""

    @classmethod
    def from_domain(cls, kind: SandboxKind) -> "SandboxKindOut":
        """The kind, for callers."""
        return cls(
            kind=kind.kind,
            description=kind.description,
            availability=kind.availability,
            reasons=list(kind.reasons),
            install=kind.install,
            capabilities=sorted(kind.capabilities),
            actions=list(kind.actions),
        )


class ListSandboxKindsOut(Out):
    """Every kind, available or not."""

    kinds: list[SandboxKindOut]


class SandboxOut(Out):
    """One sandbox."""

    id: str
    kind: str
    state: SandboxState
    create_time: datetime
    expire_time: datetime | None = None
    task_id: str | None = None
    session_id: str | None = None

    @classmethod
    def from_domain(cls, sandbox: Sandbox) -> "SandboxOut":
        """The sandbox, for callers."""
        return cls(
            id=sandbox.id,
            kind=sandbox.kind,
            state=sandbox.state,
            create_time=sandbox.created_at,
            expire_time=sandbox.expires_at,
            task_id=sandbox.task_id,
            session_id=sandbox.session_id,
        )


class ListSandboxesOut(Out):
    """One page, newest first."""

    sandboxes: list[SandboxOut]
    next_cursor: str | None = None
    """Absent on the last page."""


class VerificationOut(Out):
    """A postcondition read back."""

    expected: str
    seen: str
    ok: bool


class StepResultOut(Out):
    """What came of one action."""

    action: str
    status: str
    """ok or failed."""
    start_time: datetime
    duration_s: float
    output: str
    data: dict[str, Any] | None = None
    screenshot: ArtifactOut | None = None
    artifacts: list[ArtifactOut]
    verified: VerificationOut | None = None
    error_reason: str | None = None
    isolation: str | None = None
    """The tier that ran it, such as `monty` or `filesystem`."""

    @classmethod
    def from_domain(cls, step: StepResult) -> "StepResultOut":
        """The step, for callers."""
        seen = step.verified
        return cls(
            action=step.action.type,
            status=step.status,
            start_time=step.started_at,
            duration_s=step.duration_s,
            output=step.output,
            data=step.data,
            screenshot=None if step.screenshot is None else ArtifactOut.from_domain(step.screenshot),
            artifacts=ArtifactOut.list_of(step.artifacts),
            verified=None
            if seen is None
            else VerificationOut(expected=seen.expected, seen=seen.seen, ok=seen.ok),
            error_reason=step.error_reason,
            isolation=step.isolation,
        )


class CaptureScreenshotOut(Out):
    """Where the screenshot is."""

    screenshot: ArtifactOut
