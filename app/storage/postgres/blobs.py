"""Bytes as rows of at most `CHUNK_BYTES`, where replicas share no file system."""

import sqlalchemy as sa

from app.domain.errors import NotFoundError
from app.domain.ids import Digest
from app.storage.postgres.database import MIGRATION_LOCK
from app.storage.schema import blobs, chunks
from app.storage.sql.artifacts import unclaimed
from app.storage.sql.database import Database

CHUNK_BYTES = 256 * 1024
SWEEP_LOCK = MIGRATION_LOCK + 1
"""Shared by those who claim bytes, exclusive for who drops unclaimed ones."""


class TableBlobs:
    """`Blobs` in the table `chunks`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def prepare(self, digest: Digest, data: bytes) -> None:
        """Nothing: the rows travel with the claim."""

    def place(self, db: sa.Connection, digest: Digest, data: bytes) -> None:
        """Insert the chunks unless the digest is known."""
        db.execute(sa.select(sa.func.pg_advisory_xact_lock_shared(SWEEP_LOCK)))
        if db.execute(sa.select(blobs.c.digest).where(blobs.c.digest == digest)).first() is not None:
            return
        rows = [
            {"digest": digest, "number": number, "body": data[start : start + CHUNK_BYTES]}
            for number, start in enumerate(range(0, len(data), CHUNK_BYTES))
        ]
        if rows:  # somebody may insert the same bytes right now: theirs are as good
            statement = "INSERT INTO chunks VALUES (:digest, :number, :body) ON CONFLICT DO NOTHING"
            db.execute(sa.text(statement), rows)

    async def read(self, digest: Digest, offset: int, length: int) -> bytes:
        """See `Blobs`."""
        first, last = offset // CHUNK_BYTES, (offset + length - 1) // CHUNK_BYTES
        query = sa.select(chunks.c.body).where(
            chunks.c.digest == digest, chunks.c.number.between(first, last)
        )
        parts = await self._database.read(lambda db: db.execute(query.order_by(chunks.c.number)).all())
        if not parts:
            raise NotFoundError("artifact", digest)
        start = offset - first * CHUNK_BYTES
        return b"".join(body for (body,) in parts)[start : start + length]

    async def drop_unclaimed(self, *, limit: int) -> int:
        """See `Blobs`."""

        def drop(db: sa.Connection) -> int:
            db.execute(sa.select(sa.func.pg_advisory_xact_lock(SWEEP_LOCK)))
            gone = [digest for (digest,) in db.execute(unclaimed(limit))]
            if gone:
                db.execute(sa.delete(chunks).where(chunks.c.digest.in_(gone)))
                db.execute(sa.delete(blobs).where(blobs.c.digest.in_(gone)))
            return len(gone)

        return await self._database.write(drop)
