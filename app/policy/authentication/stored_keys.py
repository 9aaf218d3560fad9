"""Keys from the store: looked up by prefix, compared by digest."""

from collections.abc import Callable
from datetime import datetime

from app.domain.credentials import ApiKey, good_until, prefix_of
from app.domain.identity import Principal
from app.domain.ids import KeyId
from app.storage.base import CredentialStore

ID_PREFIX = "key_"


class StoredKeys:
    """Asks the store each time; who remembers the answer is `ApiKeys`."""

    def __init__(self, store: CredentialStore, *, now: Callable[[], datetime]) -> None:
        self._store = store
        self._now = now

    async def look_up(self, token: str, digest: bytes) -> tuple[Principal, datetime | None] | None:
        """Whom the key stands for and until when; None when it opens nothing. Raises StorageUnavailableError.

        What reads like a key of ours costs one look-up and two comparisons, whether there is such a prefix or
        not. What does not (its checksum is public) is told without asking the store.
        """
        prefix = prefix_of(token)
        if prefix is None:
            return None
        record = await self._store.by_prefix(prefix)
        good, until = good_until(record, digest, self._now())
        return (_principal_of(record.key, until), until) if good and record is not None else None

    async def stands(self, principal: Principal) -> bool:
        """Whether the key that this principal once showed was neither revoked nor has expired since."""
        key = await self._store.by_id(KeyId(principal.credential_id))
        return key is not None and key.tenant == principal.tenant and not key.ended(self._now())


def _principal_of(key: ApiKey, until: datetime | None) -> Principal:
    return Principal(
        subject=key.subject,
        tenant=key.tenant,
        scopes=key.scopes,
        credential="key",
        credential_id=key.id,
        expires_at=until,
    )
