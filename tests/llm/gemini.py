"""Gemini generateContent and streamGenerateContent."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from tests.llm.script import Item, Turn
from tests.llm.wire import Asked, Ids, Json, Refusal, SseEvent, images_in, pieces, text_of

STATUSES = {
    400: "INVALID_ARGUMENT",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


class Gemini:
    """`POST /v1beta/models/{model}:generateContent` and `:streamGenerateContent?alt=sse`."""

    name = "gemini"
    paths = ("/v1beta/models/{call:path}",)

    def __init__(self, ids: Ids) -> None:
        self._ids = ids

    def read(self, path: str, body: Json) -> Asked:
        model, _, method = path.rpartition("/")[2].partition(":")
        return Asked(
            model=model,
            streamed=method == "streamGenerateContent",
            items=tuple(
                Item(by_model=content.get("role") == "model", text=text_of(content["parts"]))
                for content in body["contents"]
            ),
            tools=tuple(
                declared["name"]
                for tool in body.get("tools") or ()
                for declared in tool.get("functionDeclarations", ())
            ),
            images=images_in(body),
        )

    def credential(self, headers: Mapping[str, str]) -> str | None:
        return headers.get("x-goog-api-key")

    def whole(self, turn: Turn, model: str) -> Json:
        text: list[Json] = [{"text": turn.text}] if turn.text else []
        return self._answer(turn, model, text + _function_calls(turn), finish="STOP")

    def events(self, turn: Turn, model: str) -> Iterator[SseEvent]:
        parts: list[Json] = [{"text": piece} for piece in pieces(turn.text, turn.chunk_chars)]
        parts += _function_calls(turn)
        envelope = self._answer(turn, model, [])
        for number, part in enumerate(parts, start=1):
            finish = "STOP" if number == len(parts) else None
            chunk = self._answer(turn, model, [part], finish=finish) | {"responseId": envelope["responseId"]}
            yield SseEvent(data=json.dumps(chunk))

    def refusal(self, status: int, turn: Turn) -> Refusal:
        details: list[Json] = []
        if turn.retry_after is not None:
            details.append(
                {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{turn.retry_after}s"}
            )
        if status == 401:
            # Gemini answers a wrong key with 400 INVALID_ARGUMENT and this reason, never with 401.
            details.append({"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"})
            status = 400
        error: dict[str, Any] = {
            "code": status,
            "message": turn.error_message,
            "status": turn.error_code or STATUSES.get(status, "UNKNOWN"),
            "details": details,
        }
        return Refusal(status=status, body={"error": error}, headers={})

    def _answer(self, turn: Turn, model: str, parts: list[Json], *, finish: str | None = None) -> Json:
        candidate: Json = {"content": {"role": "model", "parts": parts}, "index": 0}
        if finish is not None:
            candidate["finishReason"] = finish
        return {
            "candidates": [candidate],
            "usageMetadata": {
                "promptTokenCount": turn.input_tokens,
                "candidatesTokenCount": turn.output_tokens,
                "totalTokenCount": turn.input_tokens + turn.output_tokens,
            },
            "modelVersion": model,
            "responseId": self._ids.next("gem"),
        }


def _function_calls(turn: Turn) -> list[Json]:
    return [{"functionCall": {"name": call.name, "args": dict(call.arguments)}} for call in turn.tool_calls]
