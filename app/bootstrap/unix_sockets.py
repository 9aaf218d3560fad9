"""Paths of Unix sockets: taken from the dead, refused by the living, given back at the end."""

import errno
import os
import socket
import stat
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

_MAX_PATH_BYTES = 107
"""Of `sun_path` on Linux, without its end (104 in all elsewhere)."""


class SocketPathError(OSError):
    """The path cannot be listened on; the message names the setting and the path."""


@contextmanager
def claimed(setting: str, path: Path | None) -> Generator[None]:
    """Inside the block `path` may be listened on; afterwards the socket we made there is gone.

    A socket nobody listens on (its process died) is removed. Raises SocketPathError for one that somebody
    listens on, for anything that is no socket, and for a folder that is not there or not writable.
    """
    if path is None:
        yield
        return
    check_free(setting, path)
    path.unlink(missing_ok=True)
    try:
        yield
    finally:
        # Only what nobody listens on any more: a successor may already have taken the path.
        if path.is_socket() and not _is_alive(path):
            path.unlink(missing_ok=True)


def check_free(setting: str, path: Path) -> None:
    """Raises SocketPathError naming what is in the way; changes nothing."""
    if len(os.fsencode(path)) > _MAX_PATH_BYTES:
        raise SocketPathError(errno.ENAMETOOLONG, f"{setting}: {path} has more than {_MAX_PATH_BYTES} bytes")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise SocketPathError(errno.EACCES, f"{setting}: the folder {path.parent} is not there or not ours")
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise SocketPathError(errno.EEXIST, f"{setting}: {path} is there and is no socket")
    if _is_alive(path):
        raise SocketPathError(errno.EADDRINUSE, f"{setting}: another process listens on {path}")


def _is_alive(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            return True  # a full backlog, or not ours to open: somebody is there
    return True
