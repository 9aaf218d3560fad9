"""How a conversation is stored, mended and shown; without a model."""

from pydantic_ai.messages import (
    BinaryContent,
    ImageUrl,
    ModelMessage,
    ModelRequest,
    ModelResponse,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)

from app.agents.images import Gallery, picture_prompt, pictures
from app.agents.transcript import append, decode, encode, mended, prompt, read_transcript, unanswered
from app.domain.artifacts import ArtifactRef
from app.domain.errors import NotFoundError
from app.domain.ids import Digest, TaskId


def asks(*ids: str) -> ModelResponse:
    return ModelResponse(parts=[ToolCallPart("add", '{"a": null}', call_id) for call_id in ids])


def returns(*ids: str) -> ModelRequest:
    return ModelRequest(parts=[ToolReturnPart("add", "3", call_id) for call_id in ids])


def a_picture(name: str, *, media_type: str = "image/png", size: int = 3) -> ArtifactRef:
    return ArtifactRef(digest=Digest(f"sha256:{name}"), name=name, media_type=media_type, size_bytes=size)


def contents(message: ModelMessage) -> list[object]:
    return [item for part in message.parts if isinstance(part, UserPromptPart) for item in part.content]


def test_what_is_stored_comes_back_as_it_was() -> None:
    said: list[ModelMessage] = [prompt("do it"), asks("c1"), returns("c1"), ModelResponse([TextPart("done")])]

    assert decode([encode(message) for message in said]) == said
    assert decode([]) == []


def test_open_calls_of_an_earlier_task_get_a_result() -> None:
    stored = [prompt("first"), asks("c1", "c2"), returns("c1"), prompt("second"), asks("c3")]

    messages = mended(stored, goes_on=True)

    assert [message.kind for message in messages] == ["request", "response", "request", "response"]
    parts = messages[2].parts
    assert [getattr(part, "outcome", "prompt") for part in parts] == ["success", "interrupted", "prompt"]
    assert [call.tool_call_id for call in unanswered(messages)] == ["c3"]


def test_a_task_that_starts_leaves_no_call_open() -> None:
    messages = mended([prompt("first"), asks("c1")], goes_on=False)

    assert unanswered(messages) == []
    assert len(messages) == 3


def test_results_that_were_stored_in_pieces_become_one_message() -> None:
    messages: list[ModelMessage] = [prompt("do it"), asks("c1", "c2")]
    append(messages, ModelRequest(parts=[ToolReturnPart("look", "", "c1"), picture_prompt("look", [])]))

    assert [call.tool_call_id for call in unanswered(messages)] == ["c2"]
    append(messages, returns("c2"))

    assert unanswered(messages) == []
    assert [part.part_kind for part in messages[-1].parts] == ["tool-return", "tool-return", "user-prompt"]


async def test_the_model_sees_the_newest_pictures_only() -> None:
    refs = [a_picture(str(number)) for number in range(5)]
    messages: list[ModelMessage] = [ModelRequest(parts=[picture_prompt("look", [ref])]) for ref in refs]
    read: list[str] = []

    async def read_bytes(digest: Digest) -> bytes:
        read.append(digest)
        if digest == refs[3].digest:
            raise NotFoundError("artifact", digest)
        return b"png"

    gallery = Gallery(read_bytes)
    seen = await gallery.shown(messages)
    again = await gallery.shown(messages)

    shown = [contents(message)[1] for message in seen]
    assert [isinstance(item, BinaryContent) for item in shown] == [False, False, True, False, True]
    assert "not kept" in str(shown[3])
    assert again == seen
    assert [contents(message)[1] for message in messages] == [
        ImageUrl(url=f"artifact:{ref.digest}", media_type="image/png") for ref in refs
    ]
    assert sorted(read) == sorted([refs[2].digest, refs[3].digest, refs[4].digest, refs[3].digest])


def test_only_what_a_model_can_be_shown_is_a_picture() -> None:
    shown = a_picture("a")
    refs = [shown, shown, a_picture("b", media_type="text/plain"), a_picture("c", size=6_000_000)]

    assert pictures(refs) == [shown]


def test_a_person_reads_what_was_said_called_and_returned() -> None:
    said: list[ModelMessage] = [
        prompt("look"),
        ModelResponse([ThinkingPart("hm"), TextPart("I look."), ToolCallPart("look", None, "c1")]),
        ModelRequest(parts=[ToolReturnPart("look", "seen", "c1"), picture_prompt("look", [a_picture("a")])]),
        ModelResponse([TextPart("A dot.")]),
    ]

    entries = read_transcript([(TaskId("t"), encode(message)) for message in said])

    assert [(entry.role, entry.tool, entry.text) for entry in entries] == [
        ("user", None, "look"),
        ("assistant", None, "I look."),
        ("assistant", "look", "{}"),
        ("tool", "look", "seen"),
        ("tool", "look", "[image sha256:a]"),
        ("assistant", None, "A dot."),
    ]
    assert all(entry.at is not None for entry in entries)
