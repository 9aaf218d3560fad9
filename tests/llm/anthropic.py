"""Anthropic Messages."""

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

ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}


class AnthropicMessages:
    """`POST /v1/messages`."""

    name = "anthropic"
    paths = ("/v1/messages",)

    def __init__(self, ids: Ids) -> None:
        self._ids = ids

    def read(self, path: str, body: Json) -> Asked:
        return Asked(
            model=body["model"],
            streamed=bool(body.get("stream")),
            items=tuple(
                Item(by_model=message["role"] == "assistant", text=text_of(message["content"]))
                for message in body["messages"]
            ),
            tools=tuple(tool["name"] for tool in body.get("tools") or ()),
            images=images_in(body),
        )

    def credential(self, headers: Mapping[str, str]) -> str | None:
        return headers.get("x-api-key") or bearer(headers)

    def whole(self, turn: Turn, model: str) -> Json:
        return self._message(model) | {
            "content": self._blocks(turn),
            "stop_reason": _stop_reason(turn),
            "usage": {"input_tokens": turn.input_tokens, "output_tokens": turn.output_tokens},
        }

    def events(self, turn: Turn, model: str) -> Iterator[SseEvent]:
        usage = {"input_tokens": turn.input_tokens, "output_tokens": 1}
        yield _event("message_start", message=self._message(model) | {"content": [], "usage": usage})
        for index, block in enumerate(self._blocks(turn)):
            yield from _block_events(index, block, turn.chunk_chars)
        yield _event(
            "message_delta",
            delta={"stop_reason": _stop_reason(turn), "stop_sequence": None},
            usage={"output_tokens": turn.output_tokens},
        )
        yield _event("message_stop")

    def refusal(self, status: int, turn: Turn) -> Refusal:
        error = {
            "type": turn.error_code or ERROR_TYPES.get(status, "api_error"),
            "message": turn.error_message,
        }
        body = {"type": "error", "error": error, "request_id": self._ids.next("req_")}
        return Refusal(status=status, body=body, headers=retry_headers(turn))

    def _message(self, model: str) -> Json:
        return {
            "id": self._ids.next("msg_"),
            "type": "message",
            "role": "assistant",
            "model": model,
            "stop_reason": None,
            "stop_sequence": None,
        }

    def _blocks(self, turn: Turn) -> list[Json]:
        text: list[Json] = [{"type": "text", "text": turn.text}] if turn.text else []
        return text + [
            {
                "type": "tool_use",
                "id": self._ids.next("toolu_"),
                "name": call.name,
                "input": dict(call.arguments),
            }
            for call in turn.tool_calls
        ]


def _stop_reason(turn: Turn) -> str:
    return "tool_use" if turn.tool_calls else "end_turn"


def _event(name: str, **fields: object) -> SseEvent:
    return SseEvent(name=name, data=json.dumps({"type": name, **fields}))


def _block_events(index: int, block: Json, chunk_chars: int) -> Iterator[SseEvent]:
    if block["type"] == "text":
        opening, kind, key, text = {"text": ""}, "text_delta", "text", block["text"]
    else:
        opening, kind, key, text = (
            {"input": {}},
            "input_json_delta",
            "partial_json",
            json.dumps(block["input"]),
        )
    yield _event("content_block_start", index=index, content_block=block | opening)
    for piece in pieces(text, chunk_chars):
        yield _event("content_block_delta", index=index, delta={"type": kind, key: piece})
    yield _event("content_block_stop", index=index)
