"""What the store of API keys promises."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Protocol

from app.domain.credentials import ApiKey, KeyRecord
from app.domain.identity import TenantId
from app.domain.ids import KeyId
from app.domain.paging import Page

KeyDecision = Callable[[KeyRecord], KeyRecord]
"""What becomes of a key; pure, as it runs inside the transaction and possibly twice."""


class CredentialStore(Protocol):
    """API keys by digest: their texts never come here."""

    async def add(self, record: KeyRecord, *, max_keys: int) -> ApiKey:
        """Raises AlreadyExistsError (id or prefix), QuotaExceededError when the tenant has `max_keys`."""
        ...

    async def get(self, tenant: TenantId, key_id: KeyId) -> ApiKey:
        """Raises NotFoundError."""
        ...

    async def page(self, tenant: TenantId, *, size: int, cursor: str | None) -> Page[ApiKey]:
        """Newest first, with those that ended. Raises InvalidCursorError."""
        ...

    async def update(self, tenant: TenantId, key_id: KeyId, decide: KeyDecision) -> ApiKey:
        """Commit what `decide` makes of the key as it stands. Raises NotFoundError, or as `decide`."""
        ...

    async def by_prefix(self, prefix: str) -> KeyRecord | None:
        """The key of any tenant: for authentication only. That there is none takes the same work to tell."""
        ...

    async def by_id(self, key_id: KeyId) -> ApiKey | None:
        """The key of any tenant: for authentication only."""
        ...

    async def used(self, uses: Mapping[KeyId, datetime]) -> None:
        """Note when keys were last used, all in one transaction; an earlier time than the noted one changes
        nothing, and keys that are not there are ignored."""
        ...

    async def forget(self, *, ended_before: datetime) -> int:
        """Delete keys that were revoked or expired before that; returns how many."""
        ...
