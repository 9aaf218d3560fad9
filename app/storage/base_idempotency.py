"""What stores promise of calls that carry an idempotency key: which were carried out, and their answers."""

from datetime import datetime
from typing import Protocol

from app.domain.call import KeyedCall


class IdempotencyStore(Protocol):
    """Keyed calls of all tenants, but those that submit tasks: `TaskStore.create` keeps their keys."""

    async def begin(self, call: KeyedCall, now: datetime) -> bytes | None:
        """None: the caller is the owner now and carries the call out. Else the first answer.

        A call that expired, or whose owner let the lease run out, is begun anew.

        Raises:
            IdempotencyMismatchError: the key was used with another fingerprint.
            IdempotencyInProgressError: another owner carries it out.
        """
        ...

    async def renew(self, call: KeyedCall, leased_until: datetime) -> None:
        """Keep the lease. Nothing when the call is another owner's by now."""
        ...

    async def finish(self, call: KeyedCall, answer: bytes) -> None:
        """Keep the answer. Nothing when the call is another owner's by now."""
        ...

    async def release(self, call: KeyedCall) -> None:
        """Forget it: the key can be used again. Nothing when the call is another owner's by now."""
        ...
