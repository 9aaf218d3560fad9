"""JSON web tokens of an identity provider (OpenID Connect, RFC 9068): whose they are, and whether they hold.

Which algorithms count is ours to say, never the token's, and only asymmetric ones can be said (RFC 8725).
"""

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal, Protocol

import jwt
from jwt import PyJWK
from jwt.exceptions import InvalidAlgorithmError, PyJWTError

from app.domain.errors import UnauthenticatedError
from app.domain.identity import Principal, TenantId
from app.policy.admission import CallHead
from app.policy.authentication.brake import FailureBrake
from app.policy.authentication.presented import presented_token, refused, token_digest
from app.policy.authentication.verified import VerifiedTokens

log = logging.getLogger(__name__)

Algorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"
]  # fmt: skip
MAX_TOKEN_CHARS: Final = 16 * 1024
MAX_SUBJECT_CHARS: Final = 128
MAX_TENANT_CHARS: Final = 64
MAX_SCOPES: Final = 256
_STARTS: Final = "eyJ"
"""Every JSON object that begins a compact serialisation does: base64url of `{"`."""


class SigningKeys(Protocol):
    """Where the keys come from."""

    @property
    def generation(self) -> int:
        """Rises when the keys are others than before."""
        ...

    def keep_fresh(self) -> None:
        """Look now and then for new ones; never waits."""
        ...

    async def find(self, kid: str | None, algorithm: str) -> PyJWK | None:
        """The key for a token's head. Raises IdentityProviderUnavailableError."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRules:
    """What a token must be, and which of its claims say what.

    A claim is named as it is, or as a path with dots (`realm_access.roles`). Without `default_tenant` a
    token that names no tenant is refused. `leeway_s` is how far the clocks may be apart.
    """

    issuer: str
    audiences: tuple[str, ...]
    algorithms: tuple[Algorithm, ...] = ("RS256", "PS256", "ES256", "EdDSA")
    leeway_s: float = 30.0
    subject_claim: str = "sub"
    tenant_claim: str = "tenant"
    scopes_claim: str = "scope"
    required_claims: tuple[str, ...] = ()
    default_tenant: TenantId | None = None


class _UnfitError(Exception):
    """The token is good, but says not what we need to know."""


class TokenAuthenticator:
    """The `Recogniser` of JWTs. What was verified is remembered, by digest, until it expires."""

    def __init__(
        self,
        rules: TokenRules,
        keys: SigningKeys,
        *,
        clock: Callable[[], float],
        brake: FailureBrake | None = None,
    ) -> None:
        """`clock`: seconds since 1970."""
        self._rules = rules
        self._keys = keys
        self._clock = clock
        self._brake = brake
        self._allowed = frozenset[str](rules.algorithms)
        self._required = ["exp", "iss", "aud", *rules.required_claims]
        self._generation = keys.generation
        self._verified = self._none_verified()

    async def recognise(self, head: CallHead) -> Principal | None:
        """See `Recogniser`. Raises IdentityProviderUnavailableError while no key could ever be fetched."""
        token = presented_token(head.metadata)
        if not (token.startswith(_STARTS) and token.count(".") == 2):
            return None  # a key, perhaps
        self._keys.keep_fresh()
        self._forget_what_other_keys_signed()
        digest = token_digest(token)
        return self._verified.known(digest) or await self._look_at(head, token, digest)

    async def _look_at(self, head: CallHead, token: str, digest: bytes) -> Principal:
        if self._brake is not None and not self._verified.was_good(digest):
            self._brake.check(head.peer)
        try:
            if len(token) > MAX_TOKEN_CHARS:
                raise _UnfitError("it is too long")
            principal = self._principal_of(await self._claims_of(token), digest)
        except (PyJWTError, _UnfitError) as error:
            raise self._refused(head, _reason(error)) from None
        except (ValueError, TypeError, OverflowError, OSError, RecursionError) as error:
            raise self._refused(head, type(error).__name__) from None  # what a parser tripped over
        self._forget_what_other_keys_signed()  # the key may have come with a set that is new
        self._verified.keep(digest, principal, until=principal.expires_at)
        return principal

    async def _claims_of(self, token: str) -> dict[str, Any]:
        head = jwt.get_unverified_header(token)
        algorithm, kid = head.get("alg"), head.get("kid")
        if algorithm not in self._allowed:
            raise InvalidAlgorithmError
        key = await self._keys.find(kid, str(algorithm))
        if key is None:
            raise _UnfitError("no key of the provider has its kid and alg")
        return jwt.decode(
            token,
            key,
            algorithms=self._rules.algorithms,
            audience=self._rules.audiences,
            issuer=self._rules.issuer,
            leeway=self._rules.leeway_s,
            options={"require": self._required},
        )

    def _principal_of(self, claims: Mapping[str, Any], digest: bytes) -> Principal:
        rules = self._rules
        tenant = claim_at(claims, rules.tenant_claim)
        if tenant is None and rules.default_tenant is not None:
            tenant = rules.default_tenant
        token_id = claims.get("jti")
        return Principal(
            subject=_name(claim_at(claims, rules.subject_claim), rules.subject_claim, MAX_SUBJECT_CHARS),
            tenant=TenantId(_name(tenant, rules.tenant_claim, MAX_TENANT_CHARS)),
            scopes=_scopes(claim_at(claims, rules.scopes_claim)),
            credential="token",
            credential_id=token_id[:128] if isinstance(token_id, str) else digest.hex()[:16],
            expires_at=datetime.fromtimestamp(int(claims["exp"]) + rules.leeway_s, UTC),
        )

    def _forget_what_other_keys_signed(self) -> None:
        if self._generation != self._keys.generation:
            self._generation = self._keys.generation
            self._verified = self._none_verified()

    def _none_verified(self) -> VerifiedTokens:
        return VerifiedTokens(clock=self._clock, ttl_s=math.inf)

    def _refused(self, head: CallHead, why: str) -> UnauthenticatedError:
        log.info("a token was refused: %s", why)
        if self._brake is not None:
            self._brake.failed(head.peer)
        return refused()


def claim_at(claims: Mapping[str, Any], name: str) -> Any:
    """A claim by its name, else by a path with dots through nested objects; None without one."""
    if name in claims:
        return claims[name]
    found: Any = claims
    for part in name.split("."):
        if not isinstance(found, Mapping):
            return None
        found = found.get(part)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return found  # pyright: ignore[reportUnknownVariableType]


def _name(value: object, claim: str, longest: int) -> str:
    if value is None:
        raise _UnfitError(f"it has no claim {claim}")
    if not isinstance(value, str) or not value.isprintable() or not 0 < len(value) <= longest:
        raise _UnfitError(f"its claim {claim} is no name")
    return value


def _scopes(value: object) -> frozenset[str]:
    """A string with blanks between (RFC 8693, section 4.2) or a list of strings; none without it."""
    match value:
        case None:
            return frozenset()
        case str():
            scopes: list[Any] = value.split()
        case list():
            scopes = list(value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
        case _:
            raise _UnfitError("its scopes are neither text nor a list")
    if len(scopes) > MAX_SCOPES or not all(
        isinstance(scope, str) and scope.isprintable() for scope in scopes
    ):
        raise _UnfitError("its scopes are too many, or not text")
    return frozenset(scopes)


def _reason(error: Exception) -> str:
    """Why, in words that hold nothing of the token: the library's own may quote it."""
    return str(error) if isinstance(error, _UnfitError) else type(error).__name__
