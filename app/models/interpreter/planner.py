"""The deterministic planner as a model: what a language model would decide, decided by the grammar.

It keeps nothing between turns: each turn reads the conversation anew, so a task can go on in
another process, after a restart or after a person answered.
"""

import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from pydantic_ai import RunContext
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models import Model, ModelRequestParameters, StreamedResponse
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, FunctionModel, FunctionStreamedResponse
from pydantic_ai.settings import ModelSettings
from pydantic_ai.usage import RequestUsage

from app.models.interpreter.answers import answer, beside
from app.models.interpreter.grammar import plan_of
from app.models.interpreter.history import now_of
from app.models.interpreter.observation import Observations
from app.models.interpreter.plan import Call, Plan
from app.models.interpreter.refusals import no_tool
from app.models.providers import INTERPRETER

_STREAMED_PIECE = re.compile(r"(?s).{1,32}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One turn: a text, and the call it goes with; without a call the text is the answer."""

    text: str
    call: ToolCallPart | None = None


def interpreter_model() -> Model:
    """The planner. It needs no network and no key, uses no tokens and costs nothing.

    Its calls raise DomainErrors: NotUnderstoodError and NotConfiguredError before any tool is
    called, ToolFailedError and PostconditionError after one.
    """
    return _Interpreter()


def decide(messages: Sequence[ModelMessage], tools: Iterable[str]) -> Decision:
    """The next turn, from the conversation and the names of the tools there are."""
    now = now_of(messages)
    plan = plan_of(now.instruction, earlier=now.earlier)
    _require_tools(plan, frozenset(tools))
    calls = plan.calls
    seen = Observations()
    for call, returned in zip(calls, now.returns, strict=False):
        seen.add(call, returned)
    if len(now.returns) >= len(calls):
        return Decision(text=answer(plan, seen))
    call = calls[len(now.returns)]
    arguments = seen.arguments_of(call)
    part = ToolCallPart(tool_name=call.tool, args=arguments, tool_call_id=f"call_{uuid4().hex}")
    return Decision(text=beside(call, arguments), call=part)


def _require_tools(plan: Plan, tools: frozenset[str]) -> None:
    for step in plan.steps:
        if isinstance(step, Call) and step.tool not in tools:
            raise no_tool(step.clause, step.tool)


def _names(info: AgentInfo) -> list[str]:
    return [tool.name for tool in info.function_tools]


async def _whole(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
    decision = decide(messages, _names(info))
    call = [decision.call] if decision.call is not None else []
    return ModelResponse(parts=[TextPart(decision.text), *call])


async def _in_pieces(
    messages: list[ModelMessage], info: AgentInfo
) -> AsyncIterator[str | dict[int, DeltaToolCall]]:
    async for piece in _pieces(decide(messages, _names(info))):
        yield piece


async def _pieces(decision: Decision) -> AsyncIterator[str | dict[int, DeltaToolCall]]:
    for piece in _STREAMED_PIECE.findall(decision.text):
        yield piece
    if (call := decision.call) is not None:
        arguments = call.args_as_json_str()
        yield {0: DeltaToolCall(name=call.tool_name, json_args=arguments, tool_call_id=call.tool_call_id)}


class _FreeStream(FunctionStreamedResponse):
    """A stream without the token estimate that FunctionModel makes for tests."""

    @property
    def usage(self) -> RequestUsage:
        return RequestUsage()


class _Interpreter(FunctionModel):
    """FunctionModel with true usage, which is none."""

    def __init__(self) -> None:
        super().__init__(_whole, stream_function=_in_pieces, model_name=INTERPRETER)

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        response = await super().request(messages, model_settings, model_request_parameters)
        response.usage = RequestUsage()
        return response

    @asynccontextmanager
    async def request_stream(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
        run_context: RunContext[Any] | None = None,
    ) -> AsyncGenerator[StreamedResponse]:
        del model_settings, run_context
        tools = model_request_parameters.declared_function_tools
        decision = decide(messages, [tool.name for tool in tools])  # refusals come before the stream begins
        yield _FreeStream(
            model_request_parameters=model_request_parameters,
            _model_name=self.model_name,
            _iter=_pieces(decision),
        )
