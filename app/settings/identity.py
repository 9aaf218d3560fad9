"""Identities made elsewhere: tokens of an identity provider, client certificates; and what browsers get."""

from datetime import timedelta
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from app.domain.loopback import is_trustworthy_url
from app.policy.use_cases import is_scope
from app.settings.sections import Seconds, Section


def checked_scopes(scopes: tuple[str, ...]) -> tuple[str, ...]:
    """The scopes, all of which exist. Raises ValueError."""
    if unknown := [scope for scope in scopes if not is_scope(scope)]:
        raise ValueError(f"no such scope: {', '.join(unknown)} (docs/security.md lists them)")
    return scopes


class OidcSettings(Section):
    """Tokens (JWT) of an identity provider as credentials; on once `issuer` is set."""

    issuer: str = ""
    """Exactly as tokens name it in `iss`; its `/.well-known/openid-configuration` is read there. https only,
    or http on a loopback address."""
    audiences: tuple[str, ...] = ()
    """What `aud` of a token must name one of. Required: a token for somebody else must not work here."""
    jwks_url: str = ""
    """Where the provider's keys are. Empty: its metadata says it."""
    algorithms: tuple[
        Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"], ...
    ] = Field(default=("RS256", "PS256", "ES256", "EdDSA"), min_length=1)
    """How tokens may be signed. Symmetric algorithms and `none` cannot be allowed."""
    clock_skew: Seconds = Field(default=timedelta(seconds=30), le=timedelta(minutes=5))
    """How far the provider's clock may be from ours, for `exp`, `nbf` and `iat`."""
    subject_claim: str = Field(default="sub", min_length=1)
    """The claim that names the caller; dots lead into objects (`user.name`)."""
    tenant_claim: str = Field(default="tenant", min_length=1)
    """The claim that names its tenant."""
    scopes_claim: str = Field(default="scope", min_length=1)
    """The claim with its scopes: text with blanks between, or a list (`scp`, `realm_access.roles`)."""
    required_claims: tuple[str, ...] = ()
    """Claims that must be there, beside `exp`, `iss`, `aud` and the subject."""
    default_tenant: str | None = Field(default=None, min_length=1, max_length=64)
    """Of tokens that name none. Not set: these are refused."""
    jwks_ttl: Seconds = timedelta(hours=1)
    """How old the keys may get before they are fetched again, meanwhile the old ones are used."""
    jwks_cooldown: Seconds = timedelta(seconds=10)
    """From one fetch to the next, at least, also when tokens name keys that we do not know."""
    jwks_timeout: Seconds = timedelta(seconds=5)
    """Of one fetch; a call whose token names an unknown key waits that long at most."""

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if not self.issuer:
            return self
        if not self.audiences or not all(self.audiences):
            raise ValueError("auth.oidc.audiences is required with auth.oidc.issuer")
        for name, url in (("issuer", self.issuer), ("jwks_url", self.jwks_url)):
            if url and not is_trustworthy_url(url):
                raise ValueError(f"auth.oidc.{name} must be an https URL (or http on a loopback address)")
        return self


class CertificateSettings(Section):
    """Whom verified client certificates stand for that have some name."""

    match: Literal["fingerprint", "uri", "dns", "common_name"]
    value: str = Field(min_length=1)
    prefix: bool = False
    subject: str = Field(default="", max_length=128)
    tenant: str = Field(default="default", min_length=1, max_length=64)
    scopes: tuple[str, ...] = Field(default=("*",), min_length=1)

    _check_scopes = field_validator("scopes")(checked_scopes)

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        fingerprint = self.value.replace(":", "").lower()
        if self.match == "fingerprint" and (
            self.prefix or len(fingerprint) != 64 or not set(fingerprint) <= set("0123456789abcdef")
        ):
            raise ValueError("a fingerprint is the whole SHA-256 of the certificate, 64 hexadecimal digits")
        if self.prefix and self.match == "uri" and not self.value.endswith("/"):
            raise ValueError("a prefix of URIs must end with a slash, else it also fits longer names")
        if self.prefix and self.match == "dns":
            raise ValueError("names in DNS belong together by their end: list them one by one")
        return self

    @property
    def normal_value(self) -> str:
        """As certificates are told to us: no colons in fingerprints, small letters where case is none."""
        if self.match == "fingerprint":
            return self.value.replace(":", "").lower()
        return self.value.lower() if self.match == "dns" else self.value


class BrowserSettings(Section):
    """Sessions of browsers (a cookie) and one-time tickets for their event streams."""

    session_ttl: Seconds = timedelta(hours=12)
    """The longest that a session lasts; never longer than the key or token it was opened with."""
    session_idle: Seconds = timedelta(hours=1)
    """A session that is not used this long ends."""
    same_site: Literal["strict", "lax"] = "strict"
    """The cookie's `SameSite`. `lax`: it also comes along when a link on another site leads to ours."""
    secure_cookie: bool | None = None
    """Whether the cookie is for https only (then its name begins with `__Host-`). Not set: yes, unless the
    REST listener is on a loopback address and without TLS; set it behind a proxy that ends TLS there."""
    ticket_ttl: Seconds = Field(default=timedelta(seconds=30), le=timedelta(seconds=30))
    """How long a stream ticket waits to be used."""


class AnonymousSettings(Section):
    """Whom callers without credentials act as, in the dialects that `auth.anonymous_dialects` names."""

    subject: str = Field(default="anonymous", min_length=1, max_length=128)
    """What journals name them by."""
    tenant: str = Field(default="default", min_length=1, max_length=64)
    """Whose tasks they see: give them a tenant of their own where others have secrets."""
    scopes: tuple[str, ...] = ("tasks:*",)
    """What they may do."""

    _check_scopes = field_validator("scopes")(checked_scopes)
