"""OpenAI Responses."""

import itertools
import json
from collections.abc import Iterator, Mapping

from tests.llm.openai_chat import OpenAIChat
from tests.llm.script import Item, ToolCall, Turn
from tests.llm.wire import Asked, Ids, Json, Refusal, SseEvent, bearer, images_in, pieces, text_of

MODEL_ITEMS = {"function_call", "reasoning", "computer_call", "custom_tool_call"}
"""Input items that are the model's own, besides messages with the role `assistant`."""


class OpenAIResponses:
    """`POST /v1/responses`."""

    name = "openai-responses"
    paths = ("/v1/responses",)

    def __init__(self, ids: Ids) -> None:
        self._ids = ids

    def read(self, path: str, body: Json) -> Asked:
        given = body["input"]
        items = [{"role": "user", "content": given}] if isinstance(given, str) else given
        return Asked(
            model=body["model"],
            streamed=bool(body.get("stream")),
            items=tuple(
                Item(
                    by_model=item.get("role") == "assistant" or item.get("type") in MODEL_ITEMS,
                    text=text_of(item.get("content")),
                )
                for item in items
                if item.get("role") not in ("system", "developer")
            ),
            tools=tuple(tool["name"] for tool in body.get("tools") or () if tool["type"] == "function"),
            images=images_in(body),
        )

    def credential(self, headers: Mapping[str, str]) -> str | None:
        return bearer(headers)

    def whole(self, turn: Turn, model: str) -> Json:
        return self._response(model, "completed", self._output(turn), turn)

    def events(self, turn: Turn, model: str) -> Iterator[SseEvent]:
        numbers = itertools.count()

        def event(kind: str, **fields: object) -> SseEvent:
            data = {"type": kind, "sequence_number": next(numbers), **fields}
            return SseEvent(name=kind, data=json.dumps(data))

        output = self._output(turn)
        begun = self._response(model, "in_progress", [], None)
        yield event("response.created", response=begun)
        yield event("response.in_progress", response=begun)
        for index, item in enumerate(output):
            place = {"item_id": item["id"], "output_index": index}
            if item["type"] == "message":
                yield event("response.output_item.added", output_index=index, item=item | {"content": []})
                part = item["content"][0]
                yield event("response.content_part.added", **place, content_index=0, part=part | {"text": ""})
                for piece in pieces(part["text"], turn.chunk_chars):
                    yield event(
                        "response.output_text.delta", **place, content_index=0, delta=piece, logprobs=[]
                    )
                yield event(
                    "response.output_text.done", **place, content_index=0, text=part["text"], logprobs=[]
                )
                yield event("response.content_part.done", **place, content_index=0, part=part)
            else:
                yield event("response.output_item.added", output_index=index, item=item | {"arguments": ""})
                for piece in pieces(item["arguments"], turn.chunk_chars):
                    yield event("response.function_call_arguments.delta", **place, delta=piece)
                yield event(
                    "response.function_call_arguments.done",
                    **place,
                    name=item["name"],
                    arguments=item["arguments"],
                )
            yield event("response.output_item.done", output_index=index, item=item)
        done = begun | self._response(model, "completed", output, turn) | {"id": begun["id"]}
        yield event("response.completed", response=done)

    def refusal(self, status: int, turn: Turn) -> Refusal:
        return OpenAIChat(self._ids).refusal(status, turn)

    def _output(self, turn: Turn) -> list[Json]:
        text = [self._message(turn.text)] if turn.text else []
        return text + [self._call(call) for call in turn.tool_calls]

    def _message(self, text: str) -> Json:
        part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
        return {
            "id": self._ids.next("msg_"),
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [part],
        }

    def _call(self, call: ToolCall) -> Json:
        return {
            "id": self._ids.next("fc_"),
            "type": "function_call",
            "call_id": self._ids.next("call_"),
            "name": call.name,
            "arguments": json.dumps(dict(call.arguments)),
            "status": "completed",
        }

    def _response(self, model: str, status: str, output: list[Json], turn: Turn | None) -> Json:
        usage = turn and {
            "input_tokens": turn.input_tokens,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": turn.output_tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": turn.input_tokens + turn.output_tokens,
        }
        return {
            "id": self._ids.next("resp_"),
            "object": "response",
            "created_at": 0,
            "model": model,
            "status": status,
            "output": output,
            "usage": usage,
            "error": None,
            "incomplete_details": None,
            "instructions": None,
            "metadata": {},
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
        }
