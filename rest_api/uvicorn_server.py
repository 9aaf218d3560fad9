"""Uvicorn as a part of our process: no signals, no lifespan, no task of its own."""

import asyncio
import logging
import os
import socket
import stat
import time
from collections.abc import Sequence
from email.utils import formatdate
from pathlib import Path
from typing import Final

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from rest_api.connections import Connections, HttpLimits
from rest_api.http_protocol import BoundedHttp
from rest_api.tls import ServerTls, TlsAcceptor

log = logging.getLogger(__name__)

_BACKLOG: Final = 2_048
_CLOSE_S: Final = 1.0
"""How long a request that was cut short may clean up."""


class UvicornServer:
    """One HTTP listener on the running loop: `start`, `enter_drain`, `stop`, each once.

    It listens on `host` and `port` (with TLS when `tls` is given), on the Unix socket `uds` (never with
    TLS: its file's permissions guard it), or on both. `headers` are sent with every answer. Uvicorn's own
    main loop is left out: all it does is to keep the date and to look for signals.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        host: str | None,
        port: int = 0,
        uds: Path | None = None,
        uds_mode: int = 0o600,
        tls: ServerTls | None = None,
        connections: Connections | None = None,
        headers: Sequence[tuple[bytes, bytes]] = (),
    ) -> None:
        self._app = app
        self._host = host
        self._port = port
        self._uds = uds
        self._uds_mode = uds_mode
        self._tls = tls
        self.connections = connections or Connections(HttpLimits())
        self._headers = list(headers)
        self._server = uvicorn.Server(
            uvicorn.Config(
                self._serve,
                interface="asgi3",
                http=BoundedHttp,
                loop="none",
                ws="none",
                lifespan="off",
                access_log=False,
                log_config=None,
                server_header=False,
                proxy_headers=False,
                # Uvicorn says whole seconds; asyncio takes any.
                timeout_keep_alive=self.connections.limits.keep_alive_s,  # pyright: ignore[reportArgumentType]
            )
        )
        self._listeners: list[socket.socket] = []
        self._accepting: asyncio.Task[None] | None = None
        self._clock: asyncio.TimerHandle | None = None
        self._draining = False
        self._stopping = False

    async def start(self) -> int:
        """Listen; returns the port, 0 without one. Raises OSError naming the address."""
        config = self._server.config
        config.load()
        self._server.lifespan = config.lifespan_class(config)
        self._server.servers = []
        port = 0
        try:
            if self._host is not None:
                listener = await _listen(self._host, self._port)
                port = int(listener.getsockname()[1])
                await self._serve_on(listener, self._tls)
            if self._uds is not None:
                await self._serve_on(_listen_on_path(self._uds, self._uds_mode), None)
        except BaseException:
            self._stop_accepting()
            for listener in self._listeners:
                listener.close()
            raise
        self._server.started = True
        self._tick()
        return port

    async def _serve_on(self, listener: socket.socket, tls: ServerTls | None) -> None:
        config, state, shared = self._server.config, self._server.server_state, self.connections
        self._listeners.append(listener)

        def plain() -> asyncio.Protocol:
            return BoundedHttp(config, state, {}, connections=shared)

        def secured(address: str | None) -> asyncio.Protocol:
            return BoundedHttp(config, state, {}, connections=shared, is_counted=True, counted_as=address)

        loop = asyncio.get_running_loop()
        if tls is not None:
            accepting = TlsAcceptor(listener, tls, shared, secured).serve()
            self._accepting = loop.create_task(accepting, name="https-accept")
            return
        server = await loop.create_server(plain, sock=listener, backlog=_BACKLOG)
        self._server.servers.append(server)  # pyright: ignore[reportArgumentType]

    def enter_drain(self) -> None:
        """Go on answering, but close each connection after its next answer, so that clients move on."""
        self._draining = True
        self._set_headers()

    async def stop(self, grace_s: float) -> None:
        """Take no more connections, wait for the open answers, at most `grace_s` seconds, then cut them.

        Streams end by themselves once the service drains; cut ones see a broken connection, never a
        proper end.
        """
        if self._clock is not None:
            self._clock.cancel()
        if not self._listeners:
            return
        listeners, self._listeners = self._listeners, []
        self._stopping = True
        self._stop_accepting()
        state = self._server.server_state
        self._server.config.timeout_graceful_shutdown = grace_s  # pyright: ignore[reportAttributeAccessIssue]
        await self._server.shutdown(sockets=listeners)
        if state.tasks:
            await asyncio.wait(set(state.tasks), timeout=_CLOSE_S)
        for connection in list(state.connections):
            connection.transport.abort()

    def _stop_accepting(self) -> None:
        if self._accepting is not None:
            self._accepting.cancel()
        for server in self._server.servers:
            server.close()

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        except asyncio.CancelledError:
            if not self._stopping:
                raise
            # We cut it ourselves and this is the end of its task: uvicorn would log a traceback for each.

    def _tick(self) -> None:
        self._set_headers()
        self._clock = asyncio.get_running_loop().call_later(1.0, self._tick)

    def _set_headers(self) -> None:
        date = formatdate(time.time(), usegmt=True).encode()
        close = [(b"connection", b"close")] if self._draining else []
        self._server.server_state.default_headers = [(b"date", date), *self._headers, *close]


async def _listen(host: str, port: int) -> socket.socket:
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise OSError(error.errno, f"cannot listen on {host}:{port}: {error.strerror}") from error
    family, kind, protocol, _, address = found[0]
    listener = socket.socket(family, kind, protocol)
    try:
        # Also after a restart, while old connections linger; it never lets two processes share a port.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setblocking(False)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise OSError(error.errno, f"cannot listen on {host}:{port}: {error.strerror}") from error
    return listener


def _listen_on_path(path: Path, mode: int) -> socket.socket:
    """A Unix socket that is born with `mode`. What was there before has been looked at by the caller."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o777 & ~stat.S_IMODE(mode))
    try:
        listener.setblocking(False)
        listener.bind(str(path))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise OSError(error.errno, f"cannot listen on {path}: {error.strerror}") from error
    finally:
        os.umask(mask)
    return listener
