"""Certificates as values: what a listener shows, and whom a client's was made for."""

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from app.policy.admission import ClientCertificate

ClientCertificates = Literal["none", "optional", "required"]
"""Whether a listener asks its clients for a certificate, and serves those that have none."""
TlsVersion = Literal["1.2", "1.3"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerCertificate:
    """What a TLS listener shows (`chain`, leaf first, and its `key`) and the authorities it takes clients'
    certificates from, all PEM. Parts that serve take it as it is: whoever made it has checked it."""

    chain: bytes
    key: bytes
    client_ca: bytes | None = None

    def __repr__(self) -> str:
        """Without the key."""
        return f"ListenerCertificate({hashlib.sha256(self.chain).hexdigest()[:16]})"


@lru_cache(maxsize=1_024)
def client_certificate(der: bytes) -> ClientCertificate:
    """Whom a verified certificate names. Raises ValueError when it cannot be parsed (RFC 5280)."""
    parsed = x509.load_der_x509_certificate(der)
    common = parsed.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    try:
        names = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        names = x509.SubjectAlternativeName([])
    return ClientCertificate(
        fingerprint=hashlib.sha256(der).hexdigest(),
        common_name=str(common[0].value) if common else "",
        dns_names=tuple(names.get_values_for_type(x509.DNSName)),
        uris=tuple(names.get_values_for_type(x509.UniformResourceIdentifier)),
    )


@lru_cache(maxsize=1_024)
def client_certificate_of_pem(pem: bytes) -> ClientCertificate:
    """The same for PEM, in which gRPC gives it."""
    return client_certificate(x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER))
