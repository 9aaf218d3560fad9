"""Python in the task's sandbox."""

from app.domain.tools import Danger, ToolInfo
from app.tools.base import Tool
from app.tools.builtin.sandboxed import OPENING_S, SandboxTool
from app.tools.builtin.schemas import parameters, text

STEP_TIMEOUT_S = 30.0
MAX_CODE_CHARS = 100_000


def python() -> Tool:
    """`python{code}`: the sandbox action `run_code`."""
    info = ToolInfo(
        name="python",
        title="Run Python",
        description=(
            "Run Python code in the sandbox and return what it prints, and the value of its last line if "
            "that is an expression. The code has no network and sees only the workspace's files; third-party "
            "packages and parts of the standard library may be missing."
        ),
        parameters=parameters(
            {"code": text("Python source.", min_length=1, max_length=MAX_CODE_CHARS)}, required=("code",)
        ),
        category="code",
        tags=("python", "execute"),
        danger=Danger.CAUTION,
        timeout_s=STEP_TIMEOUT_S + OPENING_S,
        needs_sandbox=True,
    )
    return SandboxTool(info, "run_code", step_timeout_s=STEP_TIMEOUT_S)
