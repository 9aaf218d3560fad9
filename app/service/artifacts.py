"""Use cases of artifacts."""

from collections.abc import Sequence

from app.domain.artifacts import Artifact
from app.domain.call import CallContext
from app.domain.errors import InvalidRequestError
from app.domain.ids import Digest, TaskId
from app.storage.base import ArtifactStore, TaskStore

CHUNK_BYTES = 256 * 1024


class ArtifactUseCases:
    """Bytes by digest, within the tenant."""

    def __init__(self, store: ArtifactStore, tasks: TaskStore) -> None:
        self._store = store
        self._tasks = tasks

    async def get(self, call: CallContext, digest: Digest) -> Artifact:
        """Raises NotFoundError."""
        return await self._store.get(call.tenant, digest)

    async def of_task(self, call: CallContext, task_id: TaskId) -> Sequence[Artifact]:
        """What a task made. Raises NotFoundError."""
        await self._tasks.get(call.tenant, task_id)
        return await self._store.of_task(call.tenant, task_id)

    async def read(
        self, call: CallContext, digest: Digest, *, offset: int = 0, length: int = CHUNK_BYTES
    ) -> bytes:
        """At most `length` bytes from `offset`; empty at the end.

        Raises NotFoundError, InvalidRequestError (negative, or a length over `CHUNK_BYTES`).
        """
        if offset < 0:
            raise InvalidRequestError.of("offset", "must be 0 or more", "OUT_OF_RANGE")
        if not 0 <= length <= CHUNK_BYTES:
            raise InvalidRequestError.of("length", f"must be from 0 to {CHUNK_BYTES}", "OUT_OF_RANGE")
        return await self._store.read(call.tenant, digest, offset=offset, length=length)
