"""Keys from the settings: known from the first moment, gone with the next start."""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, replace

from app.domain.identity import Principal
from app.domain.secrets import Secret
from app.policy.authentication.presented import token_digest


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticKey:
    """A key from the settings and the principal it stands for."""

    principal: Principal
    key: Secret


class StaticKeys:
    """Only digests are held, and every one is compared, so that neither memory nor time tells a key."""

    def __init__(self, keys: Sequence[StaticKey]) -> None:
        self._keys = [
            (
                token_digest(given.key.reveal()),
                replace(given.principal, credential="key", credential_id=f"static-{number}"),
            )
            for number, given in enumerate(keys)
        ]

    def look_up(self, digest: bytes) -> Principal | None:
        """Whom the key with that digest stands for."""
        found: Principal | None = None
        for known, principal in self._keys:
            if hmac.compare_digest(known, digest):
                found = principal
        return found

    def stands(self, principal: Principal) -> bool:
        """Whether the key that this principal once showed is still in the settings, and still its own."""
        return any(principal == known for _, known in self._keys)
