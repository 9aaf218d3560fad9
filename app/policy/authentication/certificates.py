"""Client certificates as identities: rules from the settings say whom a verified one stands for."""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from app.domain.errors import PermissionDeniedError
from app.domain.identity import Principal, TenantId
from app.policy.admission import CallHead, ClientCertificate
from app.policy.authentication.origins import SAFE_METHODS, Origins

MAX_NAME_CHARS: Final = 256
CertificateField = Literal["fingerprint", "uri", "dns", "common_name"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateRule:
    """Whom certificates stand for whose `field` is `value`, or starts with it when `prefix` is set.

    A certificate may have several names; one that fits is enough. An empty `subject` takes that name.
    """

    field: CertificateField
    value: str
    prefix: bool = False
    subject: str = ""
    tenant: TenantId
    scopes: frozenset[str]

    def fitting_name(self, certificate: ClientCertificate) -> str | None:
        """The name by which the rule knows the certificate; None when it does not."""
        fitting = (name for name in self._names(certificate) if self._fits(name))
        return next((name for name in fitting if len(name) <= MAX_NAME_CHARS and name.isprintable()), None)

    def still_makes(self, principal: Principal) -> bool:
        """Whether a certificate could stand for that principal by this rule."""
        named = self.subject == principal.subject if self.subject else self._fits(principal.subject)
        return named and self.tenant == principal.tenant and self.scopes == principal.scopes

    def _names(self, certificate: ClientCertificate) -> tuple[str, ...]:
        match self.field:
            case "fingerprint":
                return (certificate.fingerprint.lower(),)
            case "uri":
                return certificate.uris
            case "dns":
                return tuple(name.lower() for name in certificate.dns_names)
            case "common_name":
                return (certificate.common_name,) if certificate.common_name else ()

    def _fits(self, name: str) -> bool:
        if self.prefix:
            return name.startswith(self.value) and len(name) > len(self.value)
        return hmac.compare_digest(name.encode(), self.value.encode())


class Certificates:
    """The first rule that fits decides. A certificate that no rule knows says nothing about its holder.

    TLS has verified it before: the chain, the dates, and that the caller holds its key.
    """

    def __init__(self, rules: Sequence[CertificateRule], origins: Origins) -> None:
        self._rules = tuple(rules)
        self._origins = origins

    async def recognise(self, head: CallHead) -> Principal | None:
        """See `Recogniser`. Raises PermissionDeniedError when a page of another origin would change
        something: browsers show certificates on their own accord.
        """
        try:
            certificate = head.peer.certificate
        except ValueError:  # OpenSSL took what our parser does not: it names nobody
            return None
        if certificate is None:
            return None
        for rule in self._rules:
            name = rule.fitting_name(certificate)
            if name is not None:
                self._check_origin(head)
                return Principal(
                    subject=rule.subject or name,
                    tenant=rule.tenant,
                    scopes=rule.scopes,
                    credential="certificate",
                    credential_id=certificate.fingerprint,
                )
        return None

    async def stands(self, principal: Principal) -> bool:
        """Whether some rule still makes such a principal."""
        return any(rule.still_makes(principal) for rule in self._rules)

    def _check_origin(self, head: CallHead) -> None:
        changes = head.protocol == "rest" and head.http_method not in SAFE_METHODS
        if changes and self._origins.from_other_page(head.metadata):
            raise PermissionDeniedError("a page of another origin may change nothing here")
