"""What a model call can use at most, before it is made.

The output has a bound that the provider keeps. The input is told by the provider for the last answer;
only what was said since is estimated, from its bytes and on the high side.
"""

from collections.abc import Iterable, Sequence

from pydantic_ai.messages import (
    ModelMessage,
    ModelResponse,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.usage import RequestUsage
from pydantic_core import to_json

from app.agents.usage import CallUsage, usage_of
from app.models.base import ModelSource, ResolvedModel

BYTES_PER_TOKEN = 2
"""English has about 4, code 3, most other scripts 2 to 3."""
IMAGE_TOKENS = 2_000
"""More than what OpenAI, Anthropic and Gemini count for a picture of a screen."""
MESSAGE_TOKENS = 16
"""What a provider wraps around each message."""


class Estimator:
    """Estimates the calls of one run, whose model, tools and instructions stay the same."""

    def __init__(
        self, models: ModelSource, resolved: ResolvedModel, parameters: ModelRequestParameters
    ) -> None:
        self._models = models
        self._resolved = resolved
        self._parameters = parameters
        self._standing: int | None = None

    def most(self, messages: Sequence[ModelMessage], *, max_output_tokens: int) -> CallUsage:
        """The usage of a call with these messages when its answer is as long as it may be."""
        usage = RequestUsage(input_tokens=self._input(messages), output_tokens=max_output_tokens)
        return usage_of(self._models, self._resolved, usage)

    def _input(self, messages: Sequence[ModelMessage]) -> int:
        for place in range(len(messages) - 1, -1, -1):
            message = messages[place]
            if isinstance(message, ModelResponse) and message.usage.input_tokens:
                known = message.usage.input_tokens + message.usage.output_tokens
                return known + _tokens_of(messages[place + 1 :])
        if self._standing is None:
            self._standing = _tokens(_json(self._parameters))
        return self._standing + _tokens_of(messages)


def _tokens_of(messages: Iterable[ModelMessage]) -> int:
    return sum(MESSAGE_TOKENS + sum(map(_tokens_of_part, message.parts)) for message in messages)


def _tokens_of_part(part: object) -> int:
    match part:
        case UserPromptPart(content=str(text)) | TextPart(content=text) | ThinkingPart(content=text):
            return _tokens(text.encode())
        case UserPromptPart(content=content):
            return sum(_tokens(item.encode()) if isinstance(item, str) else IMAGE_TOKENS for item in content)
        case ToolReturnPart():
            return _tokens(part.tool_name.encode()) + _tokens(_json(part.content))
        case ToolCallPart():
            return _tokens(part.tool_name.encode()) + _tokens(part.args_as_json_str().encode())
        case _:
            return _tokens(_json(part))


def _json(value: object) -> bytes:
    return to_json(value, serialize_unknown=True, bytes_mode="base64")


def _tokens(text: bytes) -> int:
    return len(text) // BYTES_PER_TOKEN + 1
