"""Looking up the addresses of a host name, on threads of its own.

`getaddrinfo` blocks, and nothing ends it: a name server that drops packets keeps a thread for as long as the
system waits. On the event loop's own threads it would hold up whatever else runs there, and the end of the
process; so these are few, daemons, and used for nothing else.
"""

import asyncio
import queue
import socket
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Final

THREADS: Final = 32
MAX_WAITING: Final = 1_024


class NameLookup:
    """Asks the system. Threads are made when they are needed, and end with the process."""

    def __init__(self, *, threads: int = THREADS, waiting: int = MAX_WAITING) -> None:
        """At most `threads` lookups are under way, and `waiting` more wait for one of them to end."""
        self._names = queue.Queue[tuple[str, int, Future[list[str]]]](waiting)
        self._idle = threading.Semaphore(0)
        self._left = threads

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        """The addresses the system knows, best first. Raises OSError: none, or too many wait already."""
        found = Future[list[str]]()
        try:
            self._names.put_nowait((host, port, found))
        except queue.Full:
            raise OSError("too many host names are being looked up") from None
        if not self._idle.acquire(blocking=False) and self._left > 0:
            self._left -= 1
            threading.Thread(target=self._serve, name=f"dns-{self._left}", daemon=True).start()
        return await asyncio.wrap_future(found)

    def _serve(self) -> None:
        while True:
            host, port, found = self._names.get()
            if found.set_running_or_notify_cancel():  # else its caller left
                try:
                    infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
                    found.set_result(list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in infos)))
                except Exception as error:  # noqa: BLE001 - its caller is told
                    found.set_exception(error)
            del found
            self._idle.release()


resolve: Final = NameLookup()
"""The process' own."""
