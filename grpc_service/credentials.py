"""TLS of the gRPC listener: credentials whose certificate is replaced while the server runs."""

import threading
from typing import Any

import grpc

from app.policy.certificates import ListenerCertificate


class ServerTls:
    """The certificate of handshakes that begin now. Connections keep the one they began with.

    gRPC asks for it in each handshake, on a thread of its own, and keeps what it was given last.
    Clients' certificates are required or not asked for: gRPC's Python offers nothing between.
    """

    def __init__(self, certificate: ListenerCertificate, *, require_clients: bool = False) -> None:
        self._require_clients = require_clients
        self._initial = certificate
        self._next: ListenerCertificate | None = None
        self._lock = threading.Lock()

    def replace(self, certificate: ListenerCertificate) -> None:
        """Use another from the next handshake on."""
        with self._lock:
            self._next = certificate

    def credentials(self) -> grpc.ServerCredentials:
        """For `add_secure_port`."""
        return grpc.dynamic_ssl_server_credentials(
            self._configuration(self._initial),
            self._fetch,
            require_client_authentication=self._require_clients,
        )

    def _fetch(self) -> Any:
        """The new one, once; None for no change."""
        with self._lock:
            found, self._next = self._next, None
        return None if found is None else self._configuration(found)

    def _configuration(self, certificate: ListenerCertificate) -> Any:
        roots = certificate.client_ca if self._require_clients else None
        return grpc.ssl_server_certificate_configuration([(certificate.key, certificate.chain)], roots)
