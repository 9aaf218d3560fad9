"""The certificate that listeners show, and the ones they ask for."""

from datetime import timedelta
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from app.settings.sections import Seconds, Section

ClientCertificateRule = Literal["none", "optional", "required"]


class TlsSettings(Section):
    """TLS on host and port of both listeners (`grpc.tls`, `rest.tls` switch it off for one)."""

    certificate: Path | None = None
    """PEM, the listener's own certificate first, then those between it and the authority. None: no TLS."""
    key: Path | None = None
    """PEM, unencrypted; nobody but the gateway's user should be able to read it."""
    client_ca: Path | None = None
    """PEM: the authorities whose clients' certificates are taken."""
    client_certificates: ClientCertificateRule = "none"
    """Ask clients for a certificate (mutual TLS). `optional` is for REST only: gRPC's Python cannot."""
    minimum_version: Literal["1.2", "1.3"] = "1.2"
    """The oldest TLS that is spoken. 1.3 also holds for gRPC connections that this process opens."""
    reload_interval: Seconds = timedelta(seconds=10)
    """How often the files are looked at; SIGHUP does it at once. New ones are for new connections."""
    handshake_timeout: Seconds = timedelta(seconds=10)
    """From a connection to the end of its handshake."""
    expiry_warning: timedelta = Field(default=timedelta(days=14), ge=timedelta(0))
    """`doctor` and the log warn this long before the certificate ends."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("tls.certificate and tls.key go together: one of them is missing")
        if self.certificate is None and self.client_ca is not None:
            raise ValueError("tls.client_ca needs tls.certificate and tls.key")
        if self.client_certificates != "none" and self.client_ca is None:
            raise ValueError(f"tls.client_certificates={self.client_certificates} needs tls.client_ca")
        return self
