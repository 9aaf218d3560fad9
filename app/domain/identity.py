"""Who calls: tenant, principal, scopes."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, NewType

TenantId = NewType("TenantId", str)

DEFAULT_TENANT = TenantId("default")

CredentialKind = Literal["none", "key", "token", "certificate", "session", "ticket"]
"""What a caller showed: an API key, a JWT, a client certificate, a browser session, a stream ticket."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """An authenticated caller. Everything it may see carries its `tenant`.

    `credential_id` names the credential without telling it (a key's id, a token's `jti`); `expires_at` is
    when that ends, None when it does not by itself.
    """

    subject: str
    tenant: TenantId = DEFAULT_TENANT
    scopes: frozenset[str] = field(default_factory=lambda: frozenset({"*"}))
    credential: CredentialKind = "none"
    credential_id: str = ""
    expires_at: datetime | None = None

    def may(self, scope: str) -> bool:
        """Whether the scope (`tasks:read`), its whole room (`tasks:*`) or everything (`*`) was granted.

        Also answers whether `tasks:*` or `*` itself was, so it says what may be granted on.
        """
        scopes = self.scopes
        return "*" in scopes or scope in scopes or f"{scope.partition(':')[0]}:*" in scopes
