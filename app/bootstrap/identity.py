"""Identities made elsewhere, and what browsers get: as the settings say."""

import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from app.domain.identity import CredentialKind, Principal, TenantId
from app.domain.loopback import is_loopback
from app.policy.authentication.anonymous import AnonymousDialects
from app.policy.authentication.brake import FailureBrake
from app.policy.authentication.browser import BrowserSessions, SessionRules
from app.policy.authentication.certificates import CertificateRule, Certificates
from app.policy.authentication.origins import Origins
from app.policy.authentication.standing import Standing, StandingByKind, while_it_lasts
from app.policy.authentication.tickets import StreamTickets
from app.settings import Settings
from app.settings.identity import OidcSettings
from app.storage.base import Stores

if TYPE_CHECKING:
    from app.policy.authentication.jwks import JwksKeys
    from app.policy.authentication.tokens import TokenAuthenticator


def cookie_is_secure(settings: Settings) -> bool:
    """Whether browsers reach the REST listener by https: as set, else unless it is plain and on loopback."""
    if settings.auth.browser.secure_cookie is not None:
        return settings.auth.browser.secure_cookie
    has_tls = settings.tls.certificate is not None and settings.rest.tls
    return has_tls or not is_loopback(settings.rest.host)


def build_tokens(
    oidc: OidcSettings, brake: FailureBrake | None
) -> "tuple[TokenAuthenticator, JwksKeys] | None":
    """The recogniser of tokens, and the keys it needs, which somebody must run; None without an issuer."""
    if not oidc.issuer:
        return None
    # Only here: who has no identity provider does not pay for its libraries at start.
    from app.policy.authentication.jwks import JwksKeys, JwksRules
    from app.policy.authentication.tokens import TokenAuthenticator, TokenRules

    keys = JwksKeys(
        JwksRules(
            issuer=oidc.issuer,
            jwks_url=oidc.jwks_url,
            ttl_s=oidc.jwks_ttl.total_seconds(),
            cooldown_s=oidc.jwks_cooldown.total_seconds(),
            timeout_s=oidc.jwks_timeout.total_seconds(),
        ),
        clock=time.monotonic,
    )
    rules = TokenRules(
        issuer=oidc.issuer,
        audiences=oidc.audiences,
        algorithms=oidc.algorithms,
        leeway_s=oidc.clock_skew.total_seconds(),
        subject_claim=oidc.subject_claim,
        tenant_claim=oidc.tenant_claim,
        scopes_claim=oidc.scopes_claim,
        required_claims=oidc.required_claims,
        default_tenant=None if oidc.default_tenant is None else TenantId(oidc.default_tenant),
    )
    return TokenAuthenticator(rules, keys, clock=time.time, brake=brake), keys


def build_certificates(settings: Settings) -> Certificates | None:
    """The recogniser of client certificates; None without rules."""
    if not settings.auth.certificates:
        return None
    rules = [
        CertificateRule(
            field=given.match,
            value=given.normal_value,
            prefix=given.prefix,
            subject=given.subject,
            tenant=TenantId(given.tenant),
            scopes=frozenset(given.scopes),
        )
        for given in settings.auth.certificates
    ]
    return Certificates(rules, _origins(settings, secure=True))


def build_anonymous(settings: Settings) -> AnonymousDialects:
    """Whom callers without credentials act as, where they may."""
    given = settings.auth.anonymous
    principal = Principal(
        subject=given.subject, tenant=TenantId(given.tenant), scopes=frozenset(given.scopes)
    )
    return AnonymousDialects(dict.fromkeys(settings.auth.anonymous_dialects, principal))


def build_checks(
    settings: Settings, *, keys: Standing, tokens: bool, certificates: Certificates | None
) -> dict[CredentialKind, Standing]:
    """Whether a credential that somebody came with earlier is still good: whom to ask, by its kind."""
    checks: dict[CredentialKind, Standing] = {"key": keys}
    if tokens:
        checks["token"] = while_it_lasts
    if certificates is not None:
        checks["certificate"] = certificates.stands
    if not settings.auth.configured:
        checks["none"] = while_it_lasts
    return checks


def build_sessions(
    settings: Settings,
    stores: Stores,
    checks: Mapping[CredentialKind, Standing],
    *,
    now: Callable[[], datetime],
    mint: Callable[[str], str],
) -> BrowserSessions:
    """Sessions of browsers."""
    browser = settings.auth.browser
    return BrowserSessions(
        stores.browser_sessions,
        SessionRules(lifetime=browser.session_ttl, idle=browser.session_idle),
        _origins(settings, secure=cookie_is_secure(settings)),
        now=now,
        mint=mint,
        stands=StandingByKind(checks),
    )


def build_tickets(
    settings: Settings,
    stores: Stores,
    checks: Mapping[CredentialKind, Standing],
    sessions: BrowserSessions,
    *,
    now: Callable[[], datetime],
) -> StreamTickets:
    """One-time tickets; pages that came with a session may ask for them, too."""
    return StreamTickets(
        stores.stream_tickets,
        now=now,
        stands=StandingByKind({**checks, "session": sessions.stands}),
        lifetime=settings.auth.browser.ticket_ttl,
    )


def _origins(settings: Settings, *, secure: bool) -> Origins:
    return Origins(settings.rest.cors_origins, secure=secure)
