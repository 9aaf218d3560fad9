"""TLS of the HTTP listener: contexts that are replaced whole, and handshakes in front of the protocol.

Connections are accepted here, not by the loop's own server, so that each is counted before its handshake,
a handshake that fails is a number and no traceback, and every handshake takes the newest certificate.
"""

import asyncio
import errno
import logging
import os
import socket
import ssl
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final

from app.policy.certificates import ClientCertificates, ListenerCertificate, TlsVersion
from rest_api.connections import Connections

log = logging.getLogger(__name__)

_NO_ROOM: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_REST_S: Final = 0.5
"""Before the next try to accept, when the process has no descriptor left."""
_ALPN: Final = ["http/1.1"]
_MINIMUM: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_VERIFY: Final = {
    "none": ssl.CERT_NONE,
    "optional": ssl.CERT_OPTIONAL,
    "required": ssl.CERT_REQUIRED,
}


class ServerTls:
    """The context of handshakes that begin now. Connections keep the one they began with."""

    def __init__(
        self,
        certificate: ListenerCertificate,
        *,
        clients: ClientCertificates = "none",
        minimum: TlsVersion = "1.2",
    ) -> None:
        self._clients = clients
        self._minimum = minimum
        self.context = self._made(certificate)

    def replace(self, certificate: ListenerCertificate) -> None:
        """Use another from the next handshake on. Raises ssl.SSLError or ValueError, leaving the old one."""
        self.context = self._made(certificate)

    def _made(self, certificate: ListenerCertificate) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = _MINIMUM[self._minimum]
        context.set_alpn_protocols(_ALPN)
        context.options |= ssl.OP_NO_RENEGOTIATION
        with _as_file(certificate.chain) as chain, _as_file(certificate.key) as key:
            context.load_cert_chain(chain, key, password=_refuse_password)
        if self._clients != "none" and certificate.client_ca is not None:
            context.load_verify_locations(cadata=certificate.client_ca.decode("ascii"))
            context.verify_mode = _VERIFY[self._clients]
            # A resumed session is not verified again: who lost the right to come must not come by ticket.
            context.num_tickets = 0
            context.options |= ssl.OP_NO_TICKET
        return context


class TlsAcceptor:
    """Accepts connections of one listening socket; `make(address)` is their protocol after the handshake.

    What is made must leave `connections` when its connection is lost: it was counted here.
    """

    def __init__(
        self,
        listener: socket.socket,
        tls: ServerTls,
        connections: Connections,
        make: Callable[[str | None], asyncio.Protocol],
    ) -> None:
        self._listener = listener
        self._tls = tls
        self._connections = connections
        self._make = make

    async def serve(self) -> None:
        """Until cancelled: then handshakes are cut, and connections that are through go on."""
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as handshakes:
            while True:
                try:
                    client, remote = await loop.sock_accept(self._listener)
                except OSError as error:  # left already, or no descriptor is free
                    if error.errno in _NO_ROOM:
                        log.error("no connection can be accepted: %s", error)
                        await asyncio.sleep(_REST_S)
                    continue
                address = str(remote[0])
                if self._connections.enter(address):
                    handshakes.create_task(self._shake_hands(client, address))
                else:
                    self._connections.refused("connections")
                    client.close()

    async def _shake_hands(self, client: socket.socket, address: str) -> None:
        limits = self._connections.limits
        is_through = False

        def made() -> asyncio.Protocol:
            nonlocal is_through
            is_through = True
            return self._make(address)

        protocol = _Later(made)
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: protocol,
                client,
                ssl=self._tls.context,
                ssl_handshake_timeout=limits.handshake_timeout_s,
                ssl_shutdown_timeout=limits.linger_s,
            )
        except (OSError, TimeoutError):  # ssl.SSLError is an OSError
            self._connections.refused("handshake")
        finally:
            if not is_through:
                self._connections.leave(address)
                client.close()


class _Later(asyncio.Protocol):
    """Makes the protocol once the handshake is done: most of what fails never needs one."""

    def __init__(self, make: Callable[[], asyncio.Protocol]) -> None:
        self._make = make

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The handshake is done; nothing was read yet."""
        protocol = self._make()
        transport.set_protocol(protocol)
        protocol.connection_made(transport)


@contextmanager
def _as_file(pem: bytes) -> Generator[str]:
    """A path that OpenSSL can read `pem` from: in memory where the system can, so that no key is written."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("pem")
        try:
            with os.fdopen(os.dup(descriptor), "wb") as file:
                file.write(pem)
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
        return
    with tempfile.NamedTemporaryFile() as file:  # readable by its owner only
        file.write(pem)
        file.flush()
        yield file.name


def _refuse_password() -> str:
    """OpenSSL would ask the terminal."""
    raise ValueError("the key is encrypted")
