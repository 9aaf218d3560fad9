"""Pictures in a conversation: stored as references to artifacts, given to the model as bytes."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace

from pydantic_ai.messages import (
    BinaryContent,
    ImageUrl,
    ModelMessage,
    ModelRequest,
    UserContent,
    UserPromptPart,
)

from app.domain.artifacts import ArtifactRef
from app.domain.errors import NotFoundError
from app.domain.ids import Digest

SCHEME = "artifact:"
CAPTION = "Picture from "
KEPT_IMAGES = 3
"""How many of the newest pictures the model is shown; the older ones cost tokens and mislead."""
MAX_IMAGE_BYTES = 5 * 1024 * 1024
"""What the strictest provider takes (Anthropic: 5 MB an image)."""
MEDIA_TYPES = frozenset({"image/png", "image/jpeg", "image/webp", "image/gif"})

ReadBytes = Callable[[Digest], Awaitable[bytes]]


def pictures(artifacts: Iterable[ArtifactRef]) -> list[ArtifactRef]:
    """Those a model can be shown, each once."""
    shown = {ref.digest: ref for ref in artifacts if ref.media_type in MEDIA_TYPES}
    return [ref for ref in shown.values() if ref.size_bytes <= MAX_IMAGE_BYTES]


def picture_prompt(tool: str, refs: Sequence[ArtifactRef]) -> UserPromptPart:
    """The pictures a call brought, as the message part that follows its result."""
    content: list[UserContent] = [f"{CAPTION}{tool}:"]
    content += [ImageUrl(url=SCHEME + ref.digest, media_type=ref.media_type) for ref in refs]
    return UserPromptPart(content=content)


def tool_of(part: UserPromptPart) -> str | None:
    """The tool that a picture part comes from; None for what a person said."""
    caption = part.content[0] if part.content and not isinstance(part.content, str) else None
    if not isinstance(caption, str) or not caption.startswith(CAPTION):
        return None
    return caption.removeprefix(CAPTION).removesuffix(":")


def is_reference(item: object) -> bool:
    """Whether it stands for an artifact's bytes."""
    return isinstance(item, ImageUrl) and item.url.startswith(SCHEME)


class Gallery:
    """Puts the bytes of the newest pictures in place of their references."""

    def __init__(self, read: ReadBytes, *, keep: int = KEPT_IMAGES) -> None:
        self._read = read
        self._keep = keep
        self._bytes: dict[str, bytes] = {}

    async def shown(self, messages: Sequence[ModelMessage]) -> list[ModelMessage]:
        """The conversation as the model is to see it; the one given is left as it is."""
        left, kept = self._keep, dict[str, bytes]()
        seen = list(messages)
        for index in range(len(seen) - 1, -1, -1):
            message = seen[index]
            if not isinstance(message, ModelRequest) or not _has_references(message):
                continue
            parts = list(message.parts)
            for place in range(len(parts) - 1, -1, -1):
                part = parts[place]
                if isinstance(part, UserPromptPart) and not isinstance(part.content, str):
                    content, left = await self._filled(part.content, left, kept)
                    parts[place] = replace(part, content=content)
            seen[index] = replace(message, parts=parts)
        self._bytes = kept
        return seen

    async def _filled(
        self, content: Sequence[UserContent], left: int, kept: dict[str, bytes]
    ) -> tuple[list[UserContent], int]:
        filled: list[UserContent] = []
        for item in reversed(content):
            if not isinstance(item, ImageUrl) or not is_reference(item):
                filled.append(item)
            elif left <= 0:
                filled.append("[an earlier picture, not shown any more]")
            else:
                left -= 1
                filled.append(await self._picture(item, kept))
        return filled[::-1], left

    async def _picture(self, item: ImageUrl, kept: dict[str, bytes]) -> UserContent:
        data = self._bytes.get(item.url)
        if data is None:
            try:
                data = await self._read(Digest(item.url.removeprefix(SCHEME)))
            except NotFoundError:
                return "[a picture that is not kept any more]"
        kept[item.url] = data
        return BinaryContent(data, media_type=item.media_type)


def _has_references(message: ModelRequest) -> bool:
    return any(
        isinstance(part, UserPromptPart)
        and not isinstance(part.content, str)
        and any(is_reference(item) for item in part.content)
        for part in message.parts
    )
