"""`ArtifactStore` for both makes: claims are rows, the bytes lie where the make keeps them."""

import asyncio
import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Protocol

import sqlalchemy as sa

from app.domain.artifacts import Artifact, ArtifactRef
from app.domain.errors import NotFoundError, QuotaExceededError
from app.domain.identity import TenantId
from app.domain.ids import Digest, TaskId
from app.storage.codec import from_us, to_us
from app.storage.schema import blobs, claims
from app.storage.sql.database import Database, Row


class Blobs(Protocol):
    """Where bytes lie, by digest."""

    async def prepare(self, digest: Digest, data: bytes) -> None:
        """Do beforehand what is slow; nothing may depend on it yet."""
        ...

    def place(self, db: sa.Connection, digest: Digest, data: bytes) -> None:
        """Make sure that the bytes are there, durably, before the transaction of `db` commits."""
        ...

    async def read(self, digest: Digest, offset: int, length: int) -> bytes:
        """At most `length` bytes from `offset`. Raises NotFoundError when they are gone."""
        ...

    async def drop_unclaimed(self, *, limit: int) -> int:
        """Delete bytes that nobody claims; returns how many digests went."""
        ...


_SELECT = sa.select(claims, blobs.c.size_bytes).join(blobs, blobs.c.digest == claims.c.digest)
_PUT_BLOB = sa.text("INSERT INTO blobs (digest, size_bytes) VALUES (:digest, :size) ON CONFLICT DO NOTHING")
_PUT_CLAIM = sa.text(
    "INSERT INTO claims (tenant, digest, task_id, name, media_type, created_at)"
    " VALUES (:tenant, :digest, :task_id, :name, :media_type, :created_at) ON CONFLICT DO NOTHING"
)


class SqlArtifactStore:
    """See `ArtifactStore`."""

    def __init__(self, database: Database, blobs: Blobs, *, max_bytes: int) -> None:
        self._database = database
        self._blobs = blobs
        self._max_bytes = max_bytes

    async def put(
        self, tenant: TenantId, data: bytes, *, name: str, media_type: str, task_id: TaskId | None
    ) -> ArtifactRef:
        """See `ArtifactStore`."""
        if len(data) > self._max_bytes:
            raise QuotaExceededError(
                f"{len(data)} bytes are more than an artifact may have", limit_bytes=self._max_bytes
            )
        sha = await asyncio.to_thread(hashlib.sha256, data)
        digest = Digest(f"sha256:{sha.hexdigest()}")
        claim = {
            "tenant": tenant,
            "digest": digest,
            "task_id": task_id or "",
            "name": name.encode(),
            "media_type": media_type.encode(),
            "created_at": to_us(datetime.now(UTC)),
        }
        await self._blobs.prepare(digest, data)

        def keep(db: sa.Connection) -> None:
            self._blobs.place(db, digest, data)
            db.execute(_PUT_BLOB, {"digest": digest, "size": len(data)})
            db.execute(_PUT_CLAIM, claim)

        await self._database.write(keep)
        return ArtifactRef(digest=digest, name=name, media_type=media_type, size_bytes=len(data))

    async def get(self, tenant: TenantId, digest: Digest) -> Artifact:
        """See `ArtifactStore`."""
        found = await self._claims(claims.c.tenant == tenant, claims.c.digest == digest, limit=1)
        if not found:
            raise NotFoundError("artifact", digest)
        return found[0]

    async def read(
        self, tenant: TenantId, digest: Digest, *, offset: int = 0, length: int | None = None
    ) -> bytes:
        """See `ArtifactStore`."""
        size = (await self.get(tenant, digest)).ref.size_bytes
        left = max(0, size - offset)
        wanted = left if length is None else min(left, length)
        return await self._blobs.read(digest, offset, wanted) if wanted > 0 else b""

    async def of_task(self, tenant: TenantId, task_id: TaskId) -> list[Artifact]:
        """See `ArtifactStore`."""
        return await self._claims(claims.c.tenant == tenant, claims.c.task_id == task_id)

    async def _claims(self, *where: sa.ColumnElement[bool], limit: int | None = None) -> list[Artifact]:
        query = _SELECT.where(*where).order_by(claims.c.id).limit(limit)

        def fetch(db: sa.Connection) -> Sequence[Row]:
            return db.execute(query).all()

        return [_artifact_of(row) for row in await self._database.read(fetch)]


def _artifact_of(row: Row) -> Artifact:
    ref = ArtifactRef(
        digest=row.digest,
        name=row.name.decode(),
        media_type=row.media_type.decode(),
        size_bytes=row.size_bytes,
    )
    return Artifact(
        ref=ref, tenant=row.tenant, task_id=row.task_id or None, created_at=from_us(row.created_at)
    )


def unclaimed(limit: int) -> sa.Select[str]:
    """The digests that no claim names."""
    claimed = sa.exists().where(claims.c.digest == blobs.c.digest)
    return sa.select(blobs.c.digest).where(~claimed).limit(limit)
