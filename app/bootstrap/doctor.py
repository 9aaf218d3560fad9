"""What works on this machine, what does not, and how to make it work: `agent-gateway doctor`."""

import os
import socket
import sys
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from app.bootstrap.agents import build_models, build_providers, build_tools
from app.bootstrap.certificates import CertificateError, load_certificate, utc_now
from app.bootstrap.unix_sockets import SocketPathError, check_free
from app.domain.errors import DomainError
from app.domain.sandboxes import Availability
from app.settings import Settings
from app.tools.egress import Egress

Mark = Literal["ok", "warn", "FAIL"]
_MARKS: dict[Availability, Mark] = {
    Availability.OK: "ok",
    Availability.DEGRADED: "warn",
    Availability.UNAVAILABLE: "warn",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One line; FAIL keeps the gateway from starting or its default task from running."""

    mark: Mark
    subject: str
    detail: str
    remedy: str | None = None


async def examine(settings: Settings) -> list[Finding]:
    """Look at everything a start needs, without starting."""
    found = [Finding("ok", "python", sys.version.split()[0])]
    found += _listeners(settings)
    found += _certificate(settings)
    found.append(await _storage(settings))
    found += [finding async for finding in _sandboxes(settings)]
    found += await _models(settings)
    found += _tools(settings)
    found.append(_access(settings))
    return found


def _access(settings: Settings) -> Finding:
    if settings.auth.configured:
        return Finding(
            "ok", "access", f"mode {settings.auth.mode}, {len(settings.auth.keys)} keys in the settings"
        )
    detail = "calls need no credential: everybody on this machine is the local operator"
    return Finding("warn", "access", detail, "set GATEWAY_AUTH__MODE=required before others may call")


def _listeners(settings: Settings) -> list[Finding]:
    found: list[Finding] = []
    for name, section in (("rest", settings.rest), ("grpc", settings.grpc)):
        if not section.enabled:
            found.append(Finding("ok", name, "off"))
            continue
        if section.uds is not None:
            found.append(_unix_socket(name, section.uds))
        if not section.tcp:
            continue
        scheme = " with TLS" if settings.tls.certificate is not None and section.tls else ""
        address = f"{section.host}:{section.port}"
        with socket.socket(socket.AF_INET6 if ":" in section.host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((section.host, section.port))
            except OSError as error:
                remedy = f"stop what listens there, or set GATEWAY_{name.upper()}__PORT"
                found.append(Finding("FAIL", name, f"{address}: {error.strerror}", remedy))
            else:
                found.append(Finding("ok", name, f"{address} is free{scheme}"))
    return found


def _unix_socket(name: str, path: Path) -> Finding:
    try:
        check_free(f"{name}.uds", path)
    except SocketPathError as error:
        remedy = f"stop what listens there, or set GATEWAY_{name.upper()}__UDS"
        return Finding("FAIL", f"{name} socket", error.strerror or str(error), remedy)
    return Finding("ok", f"{name} socket", f"{path} is free")


def _certificate(settings: Settings) -> list[Finding]:
    try:
        loaded = load_certificate(settings.tls, utc_now())
    except CertificateError as error:
        return [Finding("FAIL", "certificate", str(error), "correct GATEWAY_TLS__CERTIFICATE and __KEY")]
    if loaded is None:
        return []
    detail = f"{loaded.subject}, until {loaded.expires_at:%Y-%m-%d %H:%M} UTC"
    return [
        Finding("ok", "certificate", detail),
        *(Finding("warn", "certificate", warning) for warning in loaded.warnings),
    ]


async def _storage(settings: Settings) -> Finding:
    if settings.storage.backend == "postgres":
        return await _postgres(settings)
    folder = settings.storage.data_dir.absolute()
    parent = next(path for path in (folder, *folder.parents) if path.exists())
    if not os.access(parent, os.W_OK):
        return Finding("FAIL", "storage", f"{parent} is not writable", "set GATEWAY_STORAGE__DATA_DIR")
    return Finding("ok", "storage", f"sqlite in {folder}")


async def _postgres(settings: Settings) -> Finding:
    url = settings.storage.postgres_url
    assert url is not None  # noqa: S101 - checked by the settings
    try:
        import asyncpg  # an extra
    except ImportError:
        return Finding("FAIL", "storage", "asyncpg is missing", "pip install 'agent-gateway[postgres]'")
    try:
        connection = await asyncpg.connect(url.get_secret_value(), timeout=5)
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        detail = f"PostgreSQL cannot be reached: {type(error).__name__}"
        return Finding("FAIL", "storage", detail, "check GATEWAY_STORAGE__POSTGRES_URL")
    try:
        version = connection.get_server_version()
    finally:
        await connection.close()
    return Finding("ok", "storage", f"postgres {version.major}.{version.minor}")


async def _sandboxes(settings: Settings) -> AsyncGenerator[Finding]:
    providers = build_providers(settings)
    if settings.sandbox.default_kind not in providers:
        known = ", ".join(sorted(providers))
        detail = f"there is no kind {settings.sandbox.default_kind!r}"
        yield Finding(
            "FAIL", "sandbox default", detail, f"set GATEWAY_SANDBOX__DEFAULT_KIND to one of {known}"
        )
    for kind, provider in providers.items():
        probed = await provider.probe()
        detail = "; ".join(probed.reasons) or probed.description
        yield Finding(_MARKS[probed.availability], f"sandbox {kind}", detail, probed.install)
        await provider.aclose()


async def _models(settings: Settings) -> list[Finding]:
    models = build_models(settings, Egress(allowed_hosts=settings.tools.fetch_allowed_hosts))
    try:
        spec = models.spec_of(settings.model.default, base_url=settings.model.base_url)
        await models.resolve(spec)
        found = [Finding("ok", "model default", settings.model.default)]
    except DomainError as error:
        found = [Finding("FAIL", "model default", f"{settings.model.default}: {error.message}")]
    for model in models.models():
        lacks = model.unavailable
        found.append(
            Finding(
                "warn" if lacks else "ok", f"model {model.id}", "ready" if not lacks else "not set up", lacks
            )
        )
    await models.aclose()
    return found


def _tools(settings: Settings) -> list[Finding]:
    registry = build_tools(settings, Egress(allowed_hosts=settings.tools.fetch_allowed_hosts))
    return [
        Finding("ok" if tool.available else "warn", f"tool {tool.name}", tool.unavailable_reason or "ready")
        for tool in registry.list()
    ]
