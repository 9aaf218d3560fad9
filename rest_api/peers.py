"""The other end of a request's connection, as admission wants to know it."""

import ssl

from starlette.types import Scope

from app.policy.admission import ClientCertificate
from app.policy.certificates import client_certificate

TLS = "agentgateway.tls"
"""Where the HTTP protocol leaves a connection's `ssl.SSLObject`; absent without TLS."""


class HttpPeer:
    """Reads the request's scope only when asked: most requests never do."""

    __slots__ = ("_scope",)

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    @property
    def address(self) -> str:
        """The client's, also behind proxies that are trusted (`rest_api.forwarding`)."""
        client = self._scope.get("client")
        return client[0] if client else ""

    @property
    def certificate(self) -> ClientCertificate | None:
        """From the TLS connection; OpenSSL has verified it. A proxy's own, behind one that ends TLS."""
        connection: ssl.SSLObject | None = self._scope.get(TLS)
        der = connection.getpeercert(binary_form=True) if connection is not None else None
        return client_certificate(der) if der else None
