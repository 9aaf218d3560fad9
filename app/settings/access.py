"""Who may call."""

from datetime import timedelta
from typing import Literal

from pydantic import Field, SecretStr, field_validator

from app.settings.identity import (
    AnonymousSettings,
    BrowserSettings,
    CertificateSettings,
    OidcSettings,
    checked_scopes,
)
from app.settings.sections import Seconds, Section


class KeySettings(Section):
    """One API key."""

    key: SecretStr = Field(min_length=16)
    subject: str = Field(min_length=1, max_length=128)
    tenant: str = Field(default="default", min_length=1, max_length=64)
    scopes: tuple[str, ...] = Field(default=("*",), min_length=1)

    _check_scopes = field_validator("scopes")(checked_scopes)


class AuthSettings(Section):
    """Who may call. Without credentials of any kind everybody on this machine is the local operator."""

    mode: Literal["auto", "required"] = "auto"
    """`required`: every call needs a credential, be it a key made with `agent-gateway keys create`. `auto`:
    only once something here says who may call (`auth.keys`, `auth.oidc`, `auth.certificates`); until then
    calls are open, on loopback only."""
    keys: tuple[KeySettings, ...] = ()
    """Keys that stand here instead of in the store: `[{"key": "...", "subject": "ci", "tenant": "default",
    "scopes": ["tasks:*"]}]`. A key has at least 16 characters; without `scopes` it may do everything."""
    key_cache: Seconds = timedelta(seconds=10)
    """How long a key that was looked up is known without asking the store: on other replicas, and after
    `agent-gateway keys revoke`, a revoked key is good for at most that much longer."""
    last_used_interval: Seconds = timedelta(seconds=30)
    """How often it is written when keys were last used."""
    max_failures_per_minute: int = Field(default=60, ge=0, le=100_000)
    """Different wrong credentials that one address may try; then unknown ones from there are refused for a
    while without a look (RATE_LIMITED). 0 does not count. Behind a proxy all callers have its address."""

    oidc: OidcSettings = OidcSettings()
    """Tokens of an identity provider."""
    certificates: tuple[CertificateSettings, ...] = ()
    """Whom verified client certificates stand for; the first that fits: `[{"match": "uri", "value":
    "spiffe://example.org/ci/", "prefix": true, "subject": "ci", "tenant": "ci", "scopes": ["tasks:*"]}]`.
    `match` is `fingerprint`, `uri`, `dns` or `common_name`; an empty `subject` takes the name that fitted."""
    browser: BrowserSettings = BrowserSettings()
    """Sessions and tickets."""
    anonymous_dialects: tuple[str, ...] = ()
    """Protocols of others (`autogen`) that may be called without credentials (bad ones are refused)."""
    anonymous: AnonymousSettings = AnonymousSettings()
    """Whom such callers act as."""

    @property
    def configured(self) -> bool:
        """Whether calls need a credential; if not, nobody but this machine may reach a listener."""
        return self.mode == "required" or bool(self.keys or self.oidc.issuer or self.certificates)
