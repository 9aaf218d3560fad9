"""When keys were last used: noted for each call in memory, written now and then in one transaction."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from app.domain.errors import StorageUnavailableError
from app.domain.ids import KeyId
from app.policy.authentication.stored_keys import ID_PREFIX
from app.storage.base import CredentialStore

MAX_PENDING: Final = 10_000


class LastUses:
    """At most `max_pending` keys wait to be written; a use of one more is not noted, which harms nobody.

    `clock` tells seconds since 1970.
    """

    def __init__(
        self, store: CredentialStore, *, clock: Callable[[], float], max_pending: int = MAX_PENDING
    ) -> None:
        self._store = store
        self._clock = clock
        self._max = max_pending
        self._pending: dict[str, float] = {}

    def note(self, credential_id: str) -> None:
        """It was used now."""
        if credential_id in self._pending or len(self._pending) < self._max:
            self._pending[credential_id] = self._clock()

    async def flush(self) -> None:
        """Write what was noted. While the store is away it stays noted; nothing is raised."""
        noted, self._pending = self._pending, {}
        uses = {
            KeyId(key_id): datetime.fromtimestamp(at, UTC)
            for key_id, at in noted.items()
            if key_id.startswith(ID_PREFIX)  # those of the settings have no row
        }
        try:
            await self._store.used(uses)
        except StorageUnavailableError:
            self._pending = noted | self._pending
