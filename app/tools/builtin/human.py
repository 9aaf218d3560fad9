"""Asking the person behind the task."""

from app.domain.errors import UnsupportedError
from app.domain.tools import ToolInfo, ToolResult
from app.tools.base import ToolContext
from app.tools.builtin.schemas import parameters, text

REQUIRES_PERSON = "requires-person"
"""Tag of tools that only a person can carry out: an agent hands the call over and waits."""

INFO = ToolInfo(
    name="ask_user",
    title="Ask the user",
    description=(
        "Ask the user one question and wait for the answer. Requires a person: use it only when the task "
        "cannot go on without a decision or a fact that no other tool can give."
    ),
    parameters=parameters(
        {"question": text("The question, complete in itself.", min_length=1, max_length=2_000)},
        required=("question",),
    ),
    category="human",
    tags=(REQUIRES_PERSON,),
)


class AskUser:
    """`ask_user{question}`: a deferred call of the agent's loop, never run here."""

    @property
    def info(self) -> ToolInfo:
        return INFO

    async def run(self, arguments: dict[str, object], context: ToolContext) -> ToolResult:
        """Raises UnsupportedError: only a task can wait for a person."""
        del arguments, context
        raise UnsupportedError("ask_user requires a person: it can be called only by an agent, inside a task")
