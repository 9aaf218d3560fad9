"""Uvicorn's HTTP protocol with an end to everything: uvicorn bounds neither a head's length nor its time.

Also where slow clients end: those whose head does not come, who send a body nobody waits for, or who do
not read their answer. What is refused here has no request yet: its answer is a problem without an id.
"""

import asyncio
from typing import Any, Final, cast

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.protocols.utils import get_remote_addr
from uvicorn.server import ServerState

from rest_api.connections import Connections, Refusal
from rest_api.errors import MEDIA_TYPE, HttpError, problem_of
from rest_api.json_bytes import json_bytes
from rest_api.peers import TLS

_HTTP2: Final = b"PRI * HTTP/2.0"
"""What a client begins with that takes HTTP/2 for granted (RFC 9113, section 3.4)."""
_HTTP2_TOLD: Final = b"this port speaks HTTP/1.1"
_GO_AWAY: Final = (
    b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"  # SETTINGS, empty: must come first
    + (8 + len(_HTTP2_TOLD)).to_bytes(3, "big")
    + b"\x07\x00\x00\x00\x00\x00"  # GOAWAY on stream 0
    + b"\x00\x00\x00\x00\x00\x00\x00\x0d"  # nothing was handled; HTTP_1_1_REQUIRED
    + _HTTP2_TOLD
)


class BoundedHttp(HttpToolsProtocol):
    """One connection. `counted_as` is its address when it has been counted already: by the TLS handshake."""

    _in_head = True
    _head_bytes = 0
    _ended = False
    _is_first = True
    _refusal: HttpError | None = None
    _deadline: asyncio.TimerHandle | None = None
    """Of the head, or of a body after its answer."""
    _stall: asyncio.TimerHandle | None = None
    _unsent = 0
    _tls: object | None = None

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        *,
        connections: Connections,
        is_counted: bool = False,
        counted_as: str | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, asyncio.get_running_loop())
        self._shared = connections
        self._limits = connections.limits
        self._entered = is_counted
        self._address = counted_as

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The first head is due, where there is room for one more."""
        super().connection_made(transport)
        self._tls = transport.get_extra_info("ssl_object")
        if not self._entered:
            self._address = remote[0] if (remote := get_remote_addr(transport)) else None
            self._entered = self._shared.enter(self._address)
            if not self._entered:
                self._refuse(_FULL, "connections")
                return
        self._arm(self._limits.head_timeout_s)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is due any more."""
        self._disarm()
        self._stop_stall()
        if self._entered:
            self._entered = False
            self._shared.leave(self._address)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse, and count what belongs to a head that has not ended."""
        self._unset_keepalive_if_required()
        if self._is_first:
            self._is_first = False
            if data.startswith(_HTTP2):
                self._shared.refused("http2")
                self.transport.write(_GO_AWAY)
                self._close()
                return
        self._ended = False
        try:
            cast("httptools.HttpRequestParser", self.parser).feed_data(data)
        except httptools.HttpParserUpgrade:
            # Nothing is upgraded here: the request is answered as it is, and the connection ends.
            self.cycle.keep_alive = False
        except httptools.HttpParserError:
            self._refuse(self._refusal or _UNREADABLE)
            return
        if self._ended or self.transport.is_closing():
            return
        if not self._in_head:
            if len(self.headers) > self._limits.max_headers:  # trailers
                self._refuse(_TOO_LARGE)
            return
        if self._deadline is None:
            self._arm(self._limits.head_timeout_s)
        self._head_bytes += len(data)
        if self._head_bytes > self._limits.max_head_bytes:
            self._refuse(_TOO_LARGE)

    def on_message_begin(self) -> None:
        """A request begins; whom its certificate names is read when somebody asks."""
        super().on_message_begin()
        if self._tls is not None:
            cast("dict[str, Any]", self.scope)[TLS] = self._tls

    def on_headers_complete(self) -> None:
        """Let the request in, unless its head is too long."""
        self._in_head = False
        self._head_bytes = 0
        self._disarm()
        limits, headers = self._limits, self.headers
        size = sum([len(name) + len(value) + 4 for name, value in headers]) + len(self.url)
        if size > limits.max_head_bytes or len(headers) > limits.max_headers:
            self._refusal = _TOO_LARGE
            raise httptools.HttpParserError("the head is too long")
        if len(self.url) > limits.max_target_bytes:
            self._refusal = _TARGET_TOO_LONG
            raise httptools.HttpParserError("the target is too long")
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """What follows is another head."""
        self._in_head = self._ended = True
        self._disarm()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Do not wait for ever: for the rest of a body, or for a client that does not read the end."""
        super().on_response_complete()
        if self.transport.is_closing():
            self._abort_unsent()
        elif not self._in_head and self._deadline is None:
            self._arm(self._limits.linger_s)

    def timeout_keep_alive_handler(self) -> None:
        """Nothing came for too long."""
        self._close()

    def pause_writing(self) -> None:
        """The client reads more slowly than we write: from here on it must keep to a pace."""
        super().pause_writing()
        self._stop_stall()
        self._watch_stall()

    def resume_writing(self) -> None:
        """It has caught up."""
        self._stop_stall()
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Refuse what cannot be parsed."""
        del msg
        self._refuse(_UNREADABLE)

    def _watch_stall(self) -> None:
        self._unsent = self.transport.get_write_buffer_size()
        self._stall = self.loop.call_later(self._limits.stall_timeout_s, self._look_at_stall)

    def _look_at_stall(self) -> None:
        taken = self._unsent - self.transport.get_write_buffer_size()
        if taken < self._limits.stall_timeout_s * self._limits.min_bytes_per_s:
            self._shared.refused("stalled")
            self.transport.abort()
        else:
            self._watch_stall()

    def _refuse(self, error: HttpError, refusal: Refusal = "bad_request") -> None:
        """Answer, unless that would be in the middle of another answer, and close."""
        self._shared.refused(refusal)
        cycle = self.cycle if cast("object", self.cycle) is not None else None
        if cycle is None or not cycle.response_started or cycle.response_complete:
            if cycle is not None and not cycle.response_complete:
                cycle.disconnected = True  # its answer would come after this one
                cycle.message_event.set()
            self.transport.write(_answer(error, self.server_state.default_headers))
        self._close()

    def _close(self) -> None:
        self.transport.close()
        self._abort_unsent()

    def _abort_unsent(self) -> None:
        """A closing transport waits for its client to read: not for ever."""
        if self.transport.get_write_buffer_size():
            self._stop_stall()
            self._stall = self.loop.call_later(self._limits.stall_timeout_s, self.transport.abort)

    def _arm(self, after_s: float) -> None:
        self._deadline = self.loop.call_later(after_s, self._late)

    def _late(self) -> None:
        self._shared.refused("stalled")
        self._close()

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _stop_stall(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None


_FULL: Final = HttpError(503, "TOO_MANY_CONNECTIONS", "there is no room for another connection")
_TARGET_TOO_LONG: Final = HttpError(414, "TARGET_TOO_LONG", "the request target is too long")
_TOO_LARGE: Final = HttpError(431, "HEAD_TOO_LARGE", "the request's head is too long")
_UNREADABLE: Final = HttpError(400, "INVALID_REQUEST", "this is no HTTP/1.1 request")


def _answer(error: HttpError, headers: list[tuple[bytes, bytes]]) -> bytes:
    problem = problem_of(error, instance="", request_id="")
    body = json_bytes({name: value for name, value in problem.items() if value != ""})
    return b"".join(
        [
            STATUS_LINE[error.status],
            *(b"%s: %s\r\n" % header for header in headers if header[0] != b"connection"),
            b"content-type: %s\r\n" % MEDIA_TYPE.encode(),
            b"content-length: %d\r\n" % len(body),
            b"retry-after: 1\r\n" if error.status == 503 else b"",
            b"connection: close\r\n\r\n",
            body,
        ]
    )
