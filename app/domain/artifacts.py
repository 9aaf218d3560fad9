"""Bytes kept by content: files and screenshots travel by digest, never inside events."""

from dataclasses import dataclass
from datetime import datetime

from app.domain.identity import TenantId
from app.domain.ids import Digest, TaskId


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactRef:
    """What an event or a result carries in place of the bytes."""

    digest: Digest
    name: str
    media_type: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A tenant's claim on stored bytes; the same digest may be claimed by many tasks."""

    ref: ArtifactRef
    tenant: TenantId
    task_id: TaskId | None
    created_at: datetime
