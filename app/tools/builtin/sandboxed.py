"""Tools that are one action in the task's sandbox."""

from app.domain.errors import ToolFailedError
from app.domain.sandboxes import Action, StepResult
from app.domain.tools import ToolInfo, ToolResult
from app.tools.base import ToolContext

OPENING_S = 15.0
"""What a tool's time allows for opening the sandbox before its first step."""


class SandboxTool:
    """Passes its arguments on as an action, the optional ones filled in."""

    def __init__(
        self, info: ToolInfo, action: str, *, step_timeout_s: float, defaults: dict[str, object] | None = None
    ) -> None:
        self._info = info
        self._action = action
        self._step_timeout_s = step_timeout_s
        self._defaults = defaults or {}

    @property
    def info(self) -> ToolInfo:
        return self._info

    async def run(self, arguments: dict[str, object], context: ToolContext) -> ToolResult:
        """Act once. A step that failed is a failed call; a sandbox that failed raises."""
        action = Action(type=self._action, arguments=self._defaults | arguments)
        return result_of(await context.act(action, timeout_s=self._step_timeout_s))


def result_of(step: StepResult) -> ToolResult:
    """What the model is told about a step."""
    shown = (step.screenshot,) if step.screenshot is not None else ()
    ok = step.status == "ok"
    return ToolResult(
        output=step.output,
        ok=ok,
        data=step.data,
        artifacts=(*step.artifacts, *shown),
        error_reason=None if ok else step.error_reason or ToolFailedError.reason,
    )
