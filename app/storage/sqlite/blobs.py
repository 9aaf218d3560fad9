"""Bytes as files named by their digest: `artifacts/ab/<64 hex digits>`.

A file is written beside its place, synced, and renamed into it, so what has the name is whole.
The row that claims it commits later; a crash in between leaves a file nobody claims.
"""

import asyncio
import os
import tempfile
from pathlib import Path

import sqlalchemy as sa

from app.domain.errors import NotFoundError, StorageUnavailableError
from app.domain.ids import Digest
from app.storage.schema import blobs
from app.storage.sql.artifacts import unclaimed
from app.storage.sql.database import Database


class FileBlobs:
    """`Blobs` in a directory that only this process writes to."""

    def __init__(self, database: Database, directory: Path) -> None:
        self._database = database
        self._directory = directory

    async def prepare(self, digest: Digest, data: bytes) -> None:
        """Write the file without holding the database up."""
        await asyncio.to_thread(self._write, digest, data)

    def place(self, db: sa.Connection, digest: Digest, data: bytes) -> None:
        """Write it again if a sweep took it since; sweeps and this exclude each other."""
        self._write(digest, data)

    async def read(self, digest: Digest, offset: int, length: int) -> bytes:
        """See `Blobs`."""
        return await asyncio.to_thread(self._read, digest, offset, length)

    async def drop_unclaimed(self, *, limit: int) -> int:
        """Rows first and files after the commit: a crash in between leaks a file, and loses none."""

        def forget(db: sa.Connection) -> list[Digest]:
            gone = [Digest(digest) for (digest,) in db.execute(unclaimed(limit))]
            db.execute(sa.delete(blobs).where(blobs.c.digest.in_(gone)))
            return gone

        def unlink(db: sa.Connection) -> None:
            query = sa.select(blobs.c.digest).where(blobs.c.digest.in_(gone))
            claimed_again = set(db.execute(query).scalars())
            for digest in gone:
                if digest not in claimed_again:
                    self._path(digest).unlink(missing_ok=True)

        gone = await self._database.write(forget)
        if gone:
            await self._database.write(unlink)
        return len(gone)

    def _path(self, digest: Digest) -> Path:
        name = digest.removeprefix("sha256:")
        return self._directory / name[:2] / name

    def _write(self, digest: Digest, data: bytes) -> None:
        path = self._path(digest)
        if path.exists():
            return
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.parent.mkdir(mode=0o700, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".new-", delete=False) as file:
                try:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                    os.replace(file.name, path)  # noqa: PTH105 - the name is a str here
                except BaseException:
                    Path(file.name).unlink(missing_ok=True)
                    raise
            _sync_directory(path.parent)
        except OSError as error:
            raise StorageUnavailableError(f"cannot keep an artifact: {error.strerror}") from error

    def _read(self, digest: Digest, offset: int, length: int) -> bytes:
        try:
            with self._path(digest).open("rb") as file:
                file.seek(offset)
                return file.read(length)
        except FileNotFoundError:
            raise NotFoundError("artifact", digest) from None
        except OSError as error:
            raise StorageUnavailableError(f"cannot read an artifact: {error.strerror}") from error


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
