"""What every tool promises, and what it is given."""

from typing import Protocol

from app.domain.artifacts import ArtifactRef
from app.domain.call import CallContext
from app.domain.ids import TaskId
from app.domain.sandboxes import Action, StepResult
from app.domain.tools import ToolInfo, ToolResult


class ToolContext(Protocol):
    """The world of one tool call: whose it is, and the sandbox it may act in."""

    @property
    def call(self) -> CallContext: ...

    @property
    def task_id(self) -> TaskId | None: ...

    async def act(self, action: Action, *, timeout_s: float) -> StepResult:
        """Act in the task's sandbox, opening it first if need be.

        Each call is one step: counted against the step limit, a `sandbox.step` span, a
        `step.finished` event. Raises what `OpenSandbox.act` raises, and StepLimitError.
        """
        ...

    async def save_artifact(self, name: str, media_type: str, data: bytes) -> ArtifactRef:
        """Keep bytes under their digest; in a task also an `artifact.created` event."""
        ...


class Tool(Protocol):
    """One tool. Arguments were validated against `info.parameters` before `run`."""

    @property
    def info(self) -> ToolInfo: ...

    async def run(self, arguments: dict[str, object], context: ToolContext) -> ToolResult:
        """Do it. A DomainError it raises is told to the model as a failed call.

        Must not block the event loop; cancelling it stops what it started.
        """
        ...
