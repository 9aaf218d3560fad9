"""Artifacts: what stands in answers and events for bytes."""

from collections.abc import Iterable
from datetime import datetime

from pydantic import Field

from app.domain.artifacts import Artifact, ArtifactRef
from rest_api.schemas.base import Out


class ArtifactOut(Out):
    """Bytes kept by content; `GET /v1/artifacts/{digest}/content` has them."""

    digest: str = Field(examples=["sha256:" + "0" * 64])
    """`sha256:` and 64 lower-case hex digits."""
    name: str
    media_type: str
    size_bytes: int

    @classmethod
    def from_domain(cls, ref: ArtifactRef) -> "ArtifactOut":
        """The reference in an event or result."""
        return cls(digest=ref.digest, name=ref.name, media_type=ref.media_type, size_bytes=ref.size_bytes)

    @classmethod
    def list_of(cls, refs: Iterable[ArtifactRef]) -> "list[ArtifactOut]":
        """Several of them."""
        return [cls.from_domain(ref) for ref in refs]


class GetArtifactOut(Out):
    """One artifact's description."""

    artifact: ArtifactOut
    create_time: datetime

    @classmethod
    def from_domain(cls, artifact: Artifact) -> "GetArtifactOut":
        """The description of a tenant's artifact."""
        return cls(artifact=ArtifactOut.from_domain(artifact.ref), create_time=artifact.created_at)


class ListArtifactsOut(Out):
    """What a task made, in the order it was made."""

    artifacts: list[ArtifactOut]
