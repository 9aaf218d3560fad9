"""Carrying out the tool calls of a turn, and telling the model and the journal what came of them."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic

import pydantic_core
from pydantic_ai.messages import ModelRequest, ToolCallPart, ToolReturnPart

from app.agents.base import Run
from app.agents.images import picture_prompt, pictures
from app.agents.ports import Tools
from app.agents.reporting import Reporter
from app.agents.toolset import Toolset
from app.domain.artifacts import ArtifactRef
from app.domain.call import CallContext
from app.domain.errors import (
    BudgetExceededError,
    DomainError,
    InternalError,
    InvalidRequestError,
    StaleOwnerError,
    StorageUnavailableError,
)
from app.domain.events import MAX_EVENT_TEXT_CHARS, ToolCalled, ToolReturned
from app.domain.ids import TaskId
from app.domain.run_errors import (
    CostLimitError,
    StepLimitError,
    TaskTimeoutError,
    TokenLimitError,
)
from app.domain.sandboxes import Action, StepResult
from app.domain.tools import ToolResult
from app.telemetry import spans
from app.telemetry.tracing import Tracing
from app.tools.base import ToolContext

log = logging.getLogger(__name__)
MAX_OUTPUT_CHARS = 64_000
"""What the model is shown of one result; a longer one would push the task itself out of its context."""
MAX_PARALLEL_CALLS = 8
MAX_TOOL_NAME_CHARS = 200
"""A model may name anything; no tool of ours has a longer name."""
MAX_SHOWN_ARGUMENT_CHARS = 1_000

ENDS_THE_RUN = (
    BudgetExceededError,
    StaleOwnerError,
    StepLimitError,
    TokenLimitError,
    CostLimitError,
    StorageUnavailableError,
    TaskTimeoutError,
)
"""What is not the tool's failure but the end of the run, wherever it comes up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """One call's outcome: for the model (`part`), and the pictures it is to be shown.

    `usable` is False when the call itself was wrong, so that nothing was done.
    """

    part: ToolReturnPart
    images: tuple[ArtifactRef, ...] = ()
    usable: bool = True


class Caller:
    """Carries out tool calls of one run."""

    def __init__(
        self, run: Run, reporter: Reporter, tools: Tools, toolset: Toolset, *, tracing: Tracing
    ) -> None:
        self._run = run
        self._reporter = reporter
        self._tools = tools
        self._toolset = toolset
        self._tracing = tracing

    async def carry_out(self, calls: Sequence[ToolCallPart], turn: int) -> list[Returned]:
        """Several calls at once, results in the order of the calls.

        What a tool fails with is told to the model. Raises only what ends the run; the calls still
        running are cancelled then.
        """
        if len(calls) == 1:
            return [await self._one(calls[0], turn)]
        gate = asyncio.Semaphore(MAX_PARALLEL_CALLS)

        async def one(call: ToolCallPart) -> Returned:
            async with gate:
                return await self._one(call, turn)

        try:
            async with asyncio.TaskGroup() as group:
                running = [group.create_task(one(call)) for call in calls]
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None
        return [task.result() for task in running]

    def told(
        self, call: ToolCallPart, turn: int, result: ToolResult, *, denied: bool = False, usable: bool = True
    ) -> Returned:
        """Journal an outcome and put it in words for the model."""
        output = shortened(result.output, MAX_OUTPUT_CHARS)
        outcome = "denied" if denied else "ok" if result.ok else "failed"
        self._reporter.note(
            ToolReturned(
                turn=turn,
                call_id=call.tool_call_id,
                tool=shortened(call.tool_name, MAX_TOOL_NAME_CHARS),
                outcome=outcome,
                output=shortened(output, MAX_EVENT_TEXT_CHARS),
                duration_s=round(result.duration_s, 6),
                error_reason=result.error_reason,
            )
        )
        part = ToolReturnPart(
            tool_name=call.tool_name,
            content=output,
            tool_call_id=call.tool_call_id,
            outcome="denied" if denied else "success" if result.ok else "failed",
        )
        return Returned(part=part, images=tuple(pictures(result.artifacts)), usable=usable)

    async def _one(self, call: ToolCallPart, turn: int) -> Returned:
        began = monotonic()
        plan = spans.execute_tool(shortened(call.tool_name, MAX_TOOL_NAME_CHARS), call_id=call.tool_call_id)
        with self._tracing.span(plan) as span:
            world = _World(self._run.for_call(call.tool_call_id), self._reporter)
            result, usable = await self._result(call, world)
            if world.ended_by is not None:
                raise world.ended_by  # a tool may have taken it for a failure of its own
            if not result.ok:
                span.fail(result.error_reason or "TOOL_FAILED")
        timed = ToolResult(
            output=result.output,
            ok=result.ok,
            artifacts=(*world.screenshots, *result.artifacts),
            error_reason=result.error_reason,
            duration_s=monotonic() - began,
        )
        return self.told(call, turn, timed, usable=usable)

    async def _result(self, call: ToolCallPart, world: "_World") -> tuple[ToolResult, bool]:
        """What came of it, and whether the call was one that could be carried out at all."""
        name = call.tool_name
        if self._toolset.find(name) is None:
            known = ", ".join(self._toolset.names) or "none"
            named = shortened(name, MAX_TOOL_NAME_CHARS)
            return failed("NOT_FOUND", f"There is no tool {named!r} here. Available: {known}."), False
        try:
            arguments = dict(call.args_as_dict(raise_if_invalid=True))
        except (ValueError, AssertionError):
            return failed("INVALID_REQUEST", "The arguments are not a JSON object. Call again."), False
        try:
            return await self._tools.execute(name, arguments, world), True
        except ENDS_THE_RUN:
            raise
        except InvalidRequestError as error:
            return not_as_described(error), False
        except DomainError as error:
            return failed(error.reason, _in_words(error)), True
        except Exception:
            log.exception("unexpected error in tool %s", name)
            return failed(InternalError.reason, "The tool failed with an internal error."), True


class _World:
    """The tool's world: what it does is journaled after the call that asked for it."""

    def __init__(self, inner: ToolContext, reporter: Reporter) -> None:
        self._inner = inner
        self._reporter = reporter
        self.screenshots: tuple[ArtifactRef, ...] = ()
        self.ended_by: DomainError | None = None

    @property
    def call(self) -> CallContext:
        return self._inner.call

    @property
    def task_id(self) -> TaskId | None:
        return self._inner.task_id

    async def act(self, action: Action, *, timeout_s: float) -> StepResult:
        try:
            await self._reporter.flush()
            result = await self._inner.act(action, timeout_s=timeout_s)
        except ENDS_THE_RUN as error:
            self.ended_by = error
            raise
        if result.screenshot is not None:
            self.screenshots = (result.screenshot,)  # the last look is the one that counts
        return result

    async def save_artifact(self, name: str, media_type: str, data: bytes) -> ArtifactRef:
        try:
            await self._reporter.flush()
            return await self._inner.save_artifact(name, media_type, data)
        except ENDS_THE_RUN as error:
            self.ended_by = error
            raise


def called(call: ToolCallPart, turn: int) -> ToolCalled:
    """The event of a call."""
    return ToolCalled(
        turn=turn,
        call_id=call.tool_call_id,
        tool=shortened(call.tool_name, MAX_TOOL_NAME_CHARS),
        arguments_json=shown_arguments(call),
    )


def results_message(returned: Sequence[Returned]) -> ModelRequest:
    """The results of a turn as one message, pictures after them."""
    parts = [one.part for one in returned]
    looks = [picture_prompt(one.part.tool_name, one.images) for one in returned if one.images]
    return ModelRequest(parts=[*parts, *looks])


def failed(reason: str, message: str) -> ToolResult:
    """A call that did not work, in words for the model."""
    return ToolResult(output=message, ok=False, error_reason=reason)


def not_as_described(error: InvalidRequestError) -> ToolResult:
    """Arguments that the tool's schema does not allow, so that the model can correct them."""
    wrong = "; ".join(f"{item.field}: {item.description}" for item in error.violations) or error.message
    return failed(error.reason, f"Wrong arguments. {wrong}. Correct them and call again.")


def shortened(text: str, limit: int) -> str:
    """At most `limit` characters, saying how many are missing."""
    if len(text) <= limit:
        return text
    note = f"\n[{len(text) - limit} more characters]"
    return text[: max(0, limit - len(note))] + note[:limit]


def shown_arguments(call: ToolCallPart) -> str:
    """The arguments as a JSON object that fits into an event; long values are shortened."""
    text = call.args_as_json_str()
    if len(text) <= MAX_EVENT_TEXT_CHARS:
        return text
    brief = {name: _brief(value) for name, value in call.args_as_dict().items()}
    text = pydantic_core.to_json(brief).decode()
    if len(text) <= MAX_EVENT_TEXT_CHARS:
        return text
    head = shortened(call.args_as_json_str(), MAX_SHOWN_ARGUMENT_CHARS)
    return pydantic_core.to_json({"shortened": head}).decode()


def _brief(value: object) -> object:
    if isinstance(value, bool | int | float) or value is None:
        return value
    text = value if isinstance(value, str) else pydantic_core.to_json(value).decode()
    return shortened(text, MAX_SHOWN_ARGUMENT_CHARS)


def _in_words(error: DomainError) -> str:
    """The message, and what its facts add (`closest`, `install`)."""
    hints = [f"{name}: {error.facts[name]}" for name in ("closest", "install") if error.facts.get(name)]
    return "; ".join([error.message, *hints])
