"""The listeners' certificate: read and checked from its files, and read again when they change."""

import asyncio
import logging
import stat
from collections.abc import Callable, Generator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509.oid import NameOID

from app.policy.certificates import ListenerCertificate
from app.settings.tls import TlsSettings
from app.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

Use = Callable[[ListenerCertificate], None]


class CertificateError(OSError):
    """A file of the `tls` settings cannot be used; the message names setting, file and fault."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A certificate that can be served, and what a person should know of it."""

    certificate: ListenerCertificate
    subject: str
    expires_at: datetime
    warnings: tuple[str, ...] = ()


def load_certificate(settings: TlsSettings, now: datetime) -> Loaded | None:
    """What the settings name, checked; None without TLS. Reads files. Raises CertificateError."""
    if settings.certificate is None or settings.key is None:
        return None
    chain = _read("tls.certificate", settings.certificate)
    key = _read("tls.key", settings.key)
    leaf = _certificates("tls.certificate", settings.certificate, chain)[0]
    _check_pair(leaf, key, settings.certificate, settings.key)
    _check_dates(leaf, settings.certificate, now)
    client_ca = None
    if settings.client_ca is not None:
        client_ca = _read("tls.client_ca", settings.client_ca)
        authorities = _certificates("tls.client_ca", settings.client_ca, client_ca)
        client_ca = b"".join(one.public_bytes(Encoding.PEM) for one in authorities)
    names = leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return Loaded(
        certificate=ListenerCertificate(chain=chain, key=key, client_ca=client_ca),
        subject=str(names[0].value) if names else leaf.subject.rfc4514_string(),
        expires_at=leaf.not_valid_after_utc,
        warnings=tuple(_warnings(settings, leaf, now)),
    )


class CertificateWatch:
    """Looks at the files, and gives what has changed to the listeners.

    A new set that cannot be used is logged and counted, and the old one stays. Links are followed, so
    that a directory swapped as a whole (cert-manager, Kubernetes) is a change too.
    """

    def __init__(
        self, settings: TlsSettings, loaded: Loaded, metrics: Metrics, *, now: Callable[[], datetime]
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._now = now
        self._uses: list[Use] = []
        self._asked = asyncio.Event()
        self._seen = self._signature()
        self.loaded = loaded
        self._told(loaded)

    def add(self, use: Use) -> None:
        """Call `use` with each new certificate. It may raise OSError or ValueError: then nobody changes."""
        self._uses.append(use)

    def ask(self) -> None:
        """Reload now, whether the files have changed or not; `run` does it. For signal handlers."""
        self._asked.set()

    async def run(self) -> None:
        """Look every `reload_interval`, and when asked, until cancelled."""
        while True:
            try:
                async with asyncio.timeout(self._settings.reload_interval.total_seconds()):
                    await self._asked.wait()
            except TimeoutError:
                if await asyncio.to_thread(self._signature) == self._seen:
                    continue
            self._asked.clear()
            await self.reload()

    async def reload(self) -> bool:
        """Read the files now, and use them. False where they cannot be used; never raises."""
        self._seen = await asyncio.to_thread(self._signature)
        before = self.loaded.certificate
        try:
            loaded = await asyncio.to_thread(load_certificate, self._settings, self._now())
            assert loaded is not None  # noqa: S101 - there is a watch only where there are files
            self._use(loaded.certificate, before)
        except (OSError, ValueError) as error:
            self._metrics.listeners.certificate_reloads.labels("failed").inc()
            log.error("the certificate was not reloaded, the old one stays in use: %s", error)
            return False
        self.loaded = loaded
        self._metrics.listeners.certificate_reloads.labels("ok").inc()
        self._told(loaded)
        return True

    def _use(self, certificate: ListenerCertificate, before: ListenerCertificate) -> None:
        used: list[Use] = []
        try:
            for use in self._uses:
                use(certificate)
                used.append(use)
        except (OSError, ValueError):
            for use in used:  # all listeners show the same one
                use(before)
            raise

    def _told(self, loaded: Loaded) -> None:
        self._metrics.listeners.certificate_expiry.set(loaded.expires_at.timestamp())
        log.info("certificate of %s, until %s", loaded.subject, loaded.expires_at.isoformat())
        for warning in loaded.warnings:
            log.warning("%s", warning)

    def _signature(self) -> tuple[tuple[int, int, int] | None, ...]:
        files = (self._settings.certificate, self._settings.key, self._settings.client_ca)
        return tuple(_stamp(path) for path in files if path is not None)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size


def _read(setting: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CertificateError(f"{setting}: {path}: {error.strerror}") from error


def _certificates(setting: str, path: Path, pem: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise CertificateError(f"{setting}: {path} is no PEM certificate") from error


def _check_pair(leaf: x509.Certificate, pem: bytes, certificate: Path, path: Path) -> None:
    try:
        key = load_pem_private_key(pem, password=None)
    except TypeError as error:
        raise CertificateError(f"tls.key: {path} is encrypted: give it without a password") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise CertificateError(f"tls.key: {path} is no PEM private key") from error
    form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    if key.public_key().public_bytes(*form) != leaf.public_key().public_bytes(*form):
        raise CertificateError(f"tls.key: {path} does not belong to the certificate in {certificate}")


def _check_dates(leaf: x509.Certificate, path: Path, now: datetime) -> None:
    if leaf.not_valid_after_utc <= now:
        raise CertificateError(f"tls.certificate: {path} expired at {leaf.not_valid_after_utc.isoformat()}")
    if leaf.not_valid_before_utc > now + timedelta(minutes=5):
        starts = leaf.not_valid_before_utc.isoformat()
        raise CertificateError(f"tls.certificate: {path} is not valid before {starts}")


def _warnings(settings: TlsSettings, leaf: x509.Certificate, now: datetime) -> Generator[str]:
    assert settings.key is not None  # noqa: S101 - the caller has read it
    mode = stat.S_IMODE(settings.key.stat().st_mode)
    if mode & 0o077:
        yield f"tls.key: others may read {settings.key} (mode {mode:04o}): chmod 600 it"
    left = leaf.not_valid_after_utc - now
    if left < settings.expiry_warning:
        yield f"tls.certificate: {settings.certificate} expires in {left.days} days"


def utc_now() -> datetime:
    """The clock of certificates."""
    return datetime.now(UTC)
