"""An artifact's bytes as an HTTP answer: ranges, validators, a safe name."""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.domain.artifacts import ArtifactRef
from app.domain.call import CallContext
from app.service.artifacts import CHUNK_BYTES, ArtifactUseCases
from rest_api.disconnect import until_gone
from rest_api.errors import HttpError

_RANGE: Final = re.compile(r"bytes=\s*([0-9]{0,18})\s*-\s*([0-9]{0,18})\s*")
_MEDIA_TYPE: Final = re.compile(
    r"[A-Za-z0-9!#$&^_.+-]{1,100}/[A-Za-z0-9!#$&^_.+-]{1,100}(; ?charset=[\w-]{1,40})?"
)
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9 ._()-]")


def entity_tag(ref: ArtifactRef) -> str:
    """The digest: bytes under it never change."""
    return f'"{ref.digest}"'


def content_headers(ref: ArtifactRef) -> dict[str, str]:
    """What is told of the bytes. They came from programs and models: never to be run in a browser."""
    media_type = ref.media_type if _MEDIA_TYPE.fullmatch(ref.media_type) else "application/octet-stream"
    return {
        "Content-Type": media_type,
        "Content-Disposition": _disposition(ref.name),
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Cache-Control": "private, max-age=31536000, immutable",
        "ETag": entity_tag(ref),
        "Accept-Ranges": "bytes",
    }


def requested_range(value: str | None, if_range: str | None, ref: ArtifactRef) -> range | None:
    """The bytes asked for; None is all: `Range` is absent, no single range, or of other bytes (RFC 9110).

    Raises HttpError 416 when it begins beyond the end.
    """
    size = ref.size_bytes
    found = _RANGE.fullmatch(value.strip()) if value else None
    if found is None or (if_range is not None and if_range.strip() != entity_tag(ref)):
        return None
    first, last = found.groups()
    if not first and not last:
        return None
    if not first:
        part = range(max(0, size - int(last)), size)
    else:
        if last and int(last) < int(first):
            return None
        part = range(int(first), min(int(last), size - 1) + 1 if last else size)
    if not part:
        raise HttpError(
            416,
            "RANGE_NOT_SATISFIABLE",
            f"the artifact has {size} bytes",
            headers={"Content-Range": f"bytes */{size}"},
        )
    return part


class ArtifactContent(Response):
    """Sends a part of an artifact chunk by chunk; stops reading when the client leaves.

    `first` is the chunk at the part's start: reading it before the status line is sent means that
    what cannot be read is told as a problem. Bytes that vanish in mid-answer cut the connection.
    """

    def __init__(
        self,
        artifacts: ArtifactUseCases,
        call: CallContext,
        ref: ArtifactRef,
        part: range | None,
        first: bytes,
        *,
        headers: Mapping[str, str],
    ) -> None:
        super().__init__(status_code=200 if part is None else 206, headers=headers)
        if part is None:
            part = range(ref.size_bytes)
        else:
            self.headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{ref.size_bytes}"
        self.headers["Content-Length"] = str(len(part))
        self._artifacts = artifacts
        self._call = call
        self._ref = ref
        self._part = part
        self._first = first

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it; a HEAD gets the headers only."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        if scope["method"] == "HEAD":
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        if len(self._first) == len(self._part):
            await send({"type": "http.response.body", "body": self._first, "more_body": False})
            return
        await until_gone(receive, self._send_chunks(send))

    async def _send_chunks(self, send: Send) -> None:
        chunk, at = self._first, self._part.start
        while True:
            at += len(chunk)
            left = self._part.stop - at
            await send({"type": "http.response.body", "body": chunk, "more_body": left > 0})
            if left <= 0:
                return
            chunk = await self._artifacts.read(
                self._call, self._ref.digest, offset=at, length=min(CHUNK_BYTES, left)
            )
            if not chunk:
                raise OSError(f"artifact {self._ref.digest} ends before its size")


def _disposition(name: str) -> str:
    plain = _UNSAFE.sub("_", name.rpartition("/")[2])[:100].strip(" .") or "artifact"
    full = quote(name.rpartition("/")[2][:200].encode("utf-8", "replace"), safe="")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{full or plain}"
