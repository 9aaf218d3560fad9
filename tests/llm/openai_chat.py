"""OpenAI Chat Completions, which most other providers speak too."""

import json
from collections.abc import Iterator, Mapping

from tests.llm.script import Item, Turn
from tests.llm.wire import (
    Asked,
    Ids,
    Json,
    Refusal,
    SseEvent,
    bearer,
    images_in,
    pieces,
    retry_headers,
    text_of,
)

ERROR_TYPES = {401: "invalid_request_error", 403: "permission_error", 429: "rate_limit_error"}


class OpenAIChat:
    """`POST /v1/chat/completions`."""

    name = "openai-chat"
    paths = ("/v1/chat/completions",)

    def __init__(self, ids: Ids) -> None:
        self._ids = ids

    def read(self, path: str, body: Json) -> Asked:
        return Asked(
            model=body["model"],
            streamed=bool(body.get("stream")),
            items=tuple(
                Item(by_model=message["role"] == "assistant", text=text_of(message.get("content")))
                for message in body["messages"]
                if message["role"] not in ("system", "developer")
            ),
            tools=tuple(tool["function"]["name"] for tool in body.get("tools") or ()),
            images=images_in(body),
        )

    def credential(self, headers: Mapping[str, str]) -> str | None:
        return bearer(headers)

    def whole(self, turn: Turn, model: str) -> Json:
        message: Json = {"role": "assistant", "content": turn.text or None}
        if turn.tool_calls:
            message["tool_calls"] = self._tool_calls(turn)
        choice = {"index": 0, "message": message, "finish_reason": _finish_reason(turn)}
        return self._envelope(model, "chat.completion", [choice]) | {"usage": _usage(turn)}

    def events(self, turn: Turn, model: str) -> Iterator[SseEvent]:
        envelope = self._envelope(model, "chat.completion.chunk", [])

        def chunk(delta: Json, finish: str | None = None) -> SseEvent:
            choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
            return SseEvent(data=json.dumps(envelope | {"choices": choices}))

        yield chunk({"role": "assistant", "content": None})
        for piece in pieces(turn.text, turn.chunk_chars):
            yield chunk({"content": piece})
        for index, call in enumerate(self._tool_calls(turn)):
            arguments = call["function"]["arguments"]
            opening = call | {"index": index, "function": call["function"] | {"arguments": ""}}
            yield chunk({"tool_calls": [opening]})
            for piece in pieces(arguments, turn.chunk_chars):
                yield chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
        yield chunk({}, _finish_reason(turn))
        yield SseEvent(data=json.dumps(envelope | {"choices": [], "usage": _usage(turn)}))
        yield SseEvent(data="[DONE]")

    def refusal(self, status: int, turn: Turn) -> Refusal:
        error = {
            "message": turn.error_message,
            "type": ERROR_TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error"),
            "param": None,
            "code": turn.error_code,
        }
        return Refusal(status=status, body={"error": error}, headers=retry_headers(turn))

    def _envelope(self, model: str, kind: str, choices: list[Json]) -> Json:
        return {
            "id": self._ids.next("chatcmpl-"),
            "object": kind,
            "created": 0,
            "model": model,
            "choices": choices,
        }

    def _tool_calls(self, turn: Turn) -> list[Json]:
        return [
            {
                "id": self._ids.next("call_"),
                "type": "function",
                "function": {"name": call.name, "arguments": json.dumps(dict(call.arguments))},
            }
            for call in turn.tool_calls
        ]


def _finish_reason(turn: Turn) -> str:
    return "tool_calls" if turn.tool_calls else "stop"


def _usage(turn: Turn) -> Json:
    return {
        "prompt_tokens": turn.input_tokens,
        "completion_tokens": turn.output_tokens,
        "total_tokens": turn.input_tokens + turn.output_tokens,
    }
