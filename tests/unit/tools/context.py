"""A tool's world for tests: who calls, a sandbox that notes what it is asked, artifacts in memory."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256

from app.domain.artifacts import ArtifactRef
from app.domain.call import CallContext
from app.domain.identity import Principal, TenantId
from app.domain.ids import Digest, TaskId
from app.domain.sandboxes import Action, StepResult


def a_call(tenant: str = "default", scopes: frozenset[str] = frozenset({"*"})) -> CallContext:
    principal = Principal(subject="tester", tenant=TenantId(tenant), scopes=scopes)
    return CallContext(principal=principal, request_id="r-1")


def a_step(action: Action) -> StepResult:
    return StepResult(
        action=action,
        status="ok",
        started_at=datetime(2026, 1, 1, tzinfo=UTC),
        duration_s=0.01,
        output="done",
    )


@dataclass(slots=True)
class FakeContext:
    """Makes `ToolContext`."""

    call: CallContext = field(default_factory=a_call)
    task_id: TaskId | None = None
    answer: Callable[[Action], StepResult] = a_step
    actions: list[tuple[Action, float]] = field(default_factory=list)
    saved: dict[str, bytes] = field(default_factory=dict)

    async def act(self, action: Action, *, timeout_s: float) -> StepResult:
        self.actions.append((action, timeout_s))
        return self.answer(action)

    async def save_artifact(self, name: str, media_type: str, data: bytes) -> ArtifactRef:
        self.saved[name] = data
        digest = Digest("sha256:" + sha256(data).hexdigest())
        return ArtifactRef(digest=digest, name=name, media_type=media_type, size_bytes=len(data))
