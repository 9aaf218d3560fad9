"""One question to the model: its text as it comes, its answer when it is whole."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from pydantic_ai import exceptions as ai
from pydantic_ai.messages import (
    ModelMessage,
    ModelResponse,
    ModelResponseStreamEvent,
    PartDeltaEvent,
    PartStartEvent,
    TextPart,
    TextPartDelta,
    ThinkingPartDelta,
    ToolCallPart,
    ToolCallPartDelta,
)
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.models.function import FunctionModel
from pydantic_ai.settings import ModelSettings

from app.domain.run_errors import ModelAnswerError, ModelRejectedError, ModelUnavailableError
from app.models.base import ModelSource, ResolvedModel

MAX_ANSWER_CHARS = 4_000_000
"""An endpoint that a caller names may never stop talking."""
PART_CHARS = 200

Hear = Callable[[str], Awaitable[None]]
"""Told each piece of text as it arrives; the pieces concatenate to `text_of` the answer."""


async def ask(
    models: ModelSource,
    resolved: ResolvedModel,
    messages: list[ModelMessage],
    parameters: ModelRequestParameters,
    *,
    hear: Hear,
) -> ModelResponse:
    """Send the conversation and return the answer.

    Raises DomainErrors of the model family. Cancelling it closes the connection to the provider.
    """
    model, settings = resolved.model, resolved.settings or None
    try:
        prepared = model.prepare_messages(messages, parameters)
        if _answers_whole(model):
            response = await model.request(prepared, settings, parameters)
            if text := text_of(response):
                await hear(text)
        else:
            response = await _streamed(model, prepared, settings, parameters, hear)
    except ai.UserError:
        # What this provider cannot be sent at all, such as a kind of content it has no field for.
        raise ModelRejectedError(
            f"the conversation cannot be put to {resolved.spec.reference}", model=resolved.spec.reference
        ) from None
    except ai.AgentRunError as error:
        # A model that answers in this process has no wrapper that translates its errors.
        raise models.error_of(resolved.spec, error) or error from None
    if response.state == "incomplete":
        raise ModelUnavailableError(
            f"the answer of {resolved.spec.reference} was cut off", model=resolved.spec.reference
        )
    return response


def text_of(response: ModelResponse) -> str:
    """What the model said, without its thinking and its tool calls."""
    return "".join(part.content for part in response.parts if isinstance(part, TextPart))


def calls_of(response: ModelResponse) -> list[ToolCallPart]:
    """The tool calls, in the model's order."""
    return [part for part in response.parts if isinstance(part, ToolCallPart)]


def with_own_ids(response: ModelResponse, taken: set[str], turn: int) -> ModelResponse:
    """The response with call ids that occur nowhere else in the conversation; adds them to `taken`.

    Some servers count calls from 0 in every answer. An id must name one call only, else an approval
    could be taken for that of another call. The provider is shown our ids, so it meets them again.
    """
    parts, renamed = list(response.parts), False
    for index, part in enumerate(parts):
        if not isinstance(part, ToolCallPart):
            continue
        call_id = part.tool_call_id
        if not call_id or call_id in taken:
            call_id = f"call_{turn}_{index}"
            while call_id in taken:
                call_id += "x"
            parts[index] = replace(part, tool_call_id=call_id)
            renamed = True
        taken.add(call_id)
    return replace(response, parts=parts) if renamed else response


def final_text(response: ModelResponse, reference: str) -> str:
    """The text of an answer without tool calls. Raises ModelAnswerError, ModelRejectedError for none."""
    text = text_of(response)
    if text.strip():
        return text
    if response.finish_reason == "content_filter":
        raise ModelRejectedError(f"{reference} refused the content", model=reference, cause="content_filter")
    if response.finish_reason == "length":
        raise ModelAnswerError(
            f"{reference} stopped at its output token limit", model=reference, cause="output_limit"
        )
    raise ModelAnswerError(f"{reference} gave an empty answer", model=reference, cause="empty")


def _answers_whole(model: Model) -> bool:
    """Whether it is a planner in this process that has no stream to offer."""
    return isinstance(model, FunctionModel) and model.stream_function is None


async def _streamed(
    model: Model,
    messages: list[ModelMessage],
    settings: ModelSettings | None,
    parameters: ModelRequestParameters,
    hear: Hear,
) -> ModelResponse:
    chars = 0
    async with model.request_stream(messages, settings, parameters) as stream:
        async for event in stream:
            chars += _chars_of(event)
            if chars > MAX_ANSWER_CHARS:
                raise ModelAnswerError("the answer of the model does not end", cause="too_long")
            match event:
                case PartStartEvent(part=TextPart(content=text)) if text:
                    await hear(text)
                case PartDeltaEvent(delta=TextPartDelta(content_delta=text)) if text:
                    await hear(text)
                case _:
                    pass
    return stream.get()


def _chars_of(event: ModelResponseStreamEvent) -> int:
    """How much an event adds to an answer, which is kept in memory until it ends."""
    match event:
        case PartDeltaEvent(delta=TextPartDelta(content_delta=str(text))):
            return len(text)
        case PartDeltaEvent(delta=ThinkingPartDelta(content_delta=str(text))):
            return len(text)
        case PartDeltaEvent(delta=ToolCallPartDelta(args_delta=str(text))):
            return len(text)
        case PartStartEvent():
            return PART_CHARS
        case _:
            return 0


def call_ids(messages: Sequence[ModelMessage]) -> set[str]:
    """The ids of every tool call in a conversation."""
    return {
        part.tool_call_id
        for message in messages
        if isinstance(message, ModelResponse)
        for part in calls_of(message)
    }
