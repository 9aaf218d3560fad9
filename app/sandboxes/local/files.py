"""A workspace: files under one folder, with a quota, from which no path leads out.

Every path is walked one component at a time from the folder's own descriptor, and no symlink is
ever followed (`O_NOFOLLOW`): what the kernel opened is what was checked. All of it blocks; the
sandbox calls it on its own threads. Nothing is flushed to disk: a workspace need not outlive the machine.
"""

import contextlib
import difflib
import errno
import os
import secrets
import stat
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path

from app.domain.errors import (
    InvalidRequestError,
    SandboxLimitError,
    SandboxViolationError,
    TargetNotFoundError,
)

VIRTUAL_ROOT = "/workspace"
"""The workspace's name inside code; paths may start with it."""
MAX_NAME_BYTES = 200
MAX_DEPTH = 16
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_BOUNDARY = {errno.ELOOP, errno.ENOTDIR, errno.EMLINK}


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEntry:
    """One file: its path in the workspace, bytes, and when it was last changed (nanoseconds)."""

    path: str
    size_bytes: int
    changed_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """A part of a file: `data` from the offset asked for, and the size of the whole."""

    path: str
    data: bytes
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything in a workspace at one moment. `too_deep` are folders below `MAX_DEPTH`: not looked into."""

    files: list[FileEntry] = field(default_factory=list[FileEntry])
    folders: list[str] = field(default_factory=list[str])
    too_deep: list[str] = field(default_factory=list[str])

    @property
    def size_bytes(self) -> int:
        return sum(entry.size_bytes for entry in self.files)

    @property
    def names(self) -> int:
        """What counts against the number of files: folders cost an inode, too."""
        return len(self.files) + len(self.folders)


def parts_of(path: str) -> tuple[str, ...]:
    """The components of a workspace path; `.` is the workspace itself, hence no component.

    Raises SandboxViolationError for `..` and for absolute paths elsewhere, InvalidRequestError
    for names that no file may have.
    """
    if path == VIRTUAL_ROOT or path.startswith(VIRTUAL_ROOT + "/"):
        path = path[len(VIRTUAL_ROOT) :].lstrip("/")
    if path.startswith(("/", "~")) or "\\" in path:
        raise SandboxViolationError(f"{path!r} is outside the workspace; use a relative path")
    parts = tuple(part for part in path.split("/") if part not in ("", "."))
    if ".." in parts:
        raise SandboxViolationError(f"{path!r} leads out of the workspace")
    if len(parts) > MAX_DEPTH:
        raise InvalidRequestError.of("arguments.path", f"at most {MAX_DEPTH} folders deep")
    for part in parts:
        _check_name(part)
    return parts


def clean(path: str) -> str:
    """The one spelling of a workspace path. Raises as `parts_of`."""
    return "/".join(parts_of(path))


def _check_name(name: str) -> None:
    if any(ord(character) < 32 or ord(character) == 127 for character in name):
        raise InvalidRequestError.of("arguments.path", "no control characters")
    try:
        encoded = name.encode()
    except UnicodeEncodeError:
        raise InvalidRequestError.of("arguments.path", "must be valid Unicode") from None
    if len(encoded) > MAX_NAME_BYTES:
        raise InvalidRequestError.of("arguments.path", f"names of at most {MAX_NAME_BYTES} bytes")


class Workspace:
    """Reads and writes under `root/files`; `root/staging` holds what is being written."""

    def __init__(self, root: Path, *, max_bytes: int, max_files: int) -> None:
        self.files = root / "files"
        self.max_bytes = max_bytes
        self.max_files = max_files
        self._staging = root / "staging"

    def make(self) -> None:
        """Create the folders; what is there stays. Leftovers of a crash are removed."""
        for folder in (self.files.parent.parent, self.files.parent, self.files):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._staging.mkdir(mode=0o700, exist_ok=True)
        for leftover in list(self._staging.iterdir()):
            remove_tree(leftover, self._staging)

    def exists(self) -> bool:
        """Whether the workspace is (still) there."""
        return self.files.is_dir()

    def write(self, path: str, data: bytes, *, append: bool = False) -> Content:
        """Write a whole file at once (or nothing), then read it back.

        Raises SandboxLimitError beyond the quota, SandboxViolationError, InvalidRequestError.
        """
        folder, name = self._split(path)
        with self._folder(folder, make=True) as where:
            before = self._read_if_there(where, name, path)
            whole = before + data if append and before is not None else data
            self._check_room(len(whole) - len(before or b""), more_files=before is None)
            self._replace(where, name, whole)
            return self._read(where, name, path, 0, len(whole) + 1)

    def read(self, path: str, *, offset: int, max_bytes: int) -> Content:
        """Raises TargetNotFoundError with the closest names."""
        folder, name = self._split(path)
        with self._folder(folder, path=path) as where:
            return self._read(where, name, path, offset, max_bytes)

    def delete(self, path: str) -> None:
        """Remove a file, a link (never its target) or an empty folder."""
        folder, name = self._split(path)
        with self._folder(folder, path=path) as where:
            try:
                mode = os.lstat(name, dir_fd=where).st_mode
                (os.rmdir if stat.S_ISDIR(mode) else os.unlink)(name, dir_fd=where)
            except OSError as error:
                raise self._explained(error, path) from None

    def snapshot(self, path: str = ".") -> Snapshot:
        """All regular files and folders under a folder; links are not followed and not listed."""
        parts = parts_of(path)
        found = Snapshot()
        with self._folder(parts, path=path) as where:
            self._collect(where, parts, found)
        found.files.sort(key=lambda entry: entry.path)
        return found

    def settle(self, before: Snapshot) -> list[FileEntry]:
        """After a program wrote here: the new and changed files.

        If it made too many names or folders too deep, what is new goes again and SandboxLimitError
        is raised.
        """
        after = self.snapshot()
        if not after.too_deep and after.names <= self.max_files:
            known = set(before.files)
            return [entry for entry in after.files if entry not in known]
        for path in after.too_deep:
            remove_tree(self.files / path, self._staging)
        old = {entry.path for entry in before.files} | set(before.folders)
        for path in [entry.path for entry in after.files] + after.folders[::-1]:
            if path not in old:
                with contextlib.suppress(TargetNotFoundError):  # a folder that is not empty after all
                    self.delete(path)
        raise SandboxLimitError(
            f"the code made files and folders beyond the limits of the workspace ({self.max_files} names, "
            f"{MAX_DEPTH} deep); what was new has been removed",
            limit="workspace_files",
        )

    def checked(self, path: str) -> Path:
        """The real path of a file that may be made, for a program that must open it itself.

        No component is a symlink, nor are the companions that SQLite opens beside a database.
        """
        folder, name = self._split(path)
        with self._folder(folder, make=True) as where:
            for companion in ("", "-journal", "-wal", "-shm"):
                self._refuse_special(where, name + companion, path)
        return self.files.joinpath(*folder, name)

    def _refuse_special(self, where: int, name: str, path: str) -> None:
        try:
            mode = os.lstat(name, dir_fd=where).st_mode
        except FileNotFoundError:
            return
        if stat.S_ISDIR(mode):
            raise TargetNotFoundError(f"{path!r} is a folder, not a file")
        if not stat.S_ISREG(mode):
            raise SandboxViolationError(f"{path!r} is not a regular file")

    def _split(self, path: str) -> tuple[tuple[str, ...], str]:
        parts = parts_of(path)
        if not parts:
            raise InvalidRequestError.of("arguments.path", "must name a file")
        return parts[:-1], parts[-1]

    @contextlib.contextmanager
    def _folder(self, parts: tuple[str, ...], *, make: bool = False, path: str = "") -> Generator[int]:
        """The descriptor of a folder inside, walked without following links."""
        descriptor = os.open(self.files, _FOLDER)
        try:
            for part in parts:
                inner = self._enter(descriptor, part, make=make, path=path or "/".join(parts))
                os.close(descriptor)
                descriptor = inner
            yield descriptor
        finally:
            os.close(descriptor)

    def _enter(self, where: int, name: str, *, make: bool, path: str) -> int:
        if make:
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=where)
        try:
            return os.open(name, _FOLDER, dir_fd=where)
        except OSError as error:
            raise self._explained(error, path) from None

    def _read_if_there(self, where: int, name: str, path: str) -> bytes | None:
        self._refuse_special(where, name, path)
        try:
            return self._read(where, name, path, 0, self.max_bytes).data
        except TargetNotFoundError:
            return None

    def _read(self, where: int, name: str, path: str, offset: int, max_bytes: int) -> Content:
        self._refuse_special(where, name, path)
        try:
            # O_NONBLOCK: a pipe that took the file's place must not hold the thread.
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            with open(os.open(name, flags, dir_fd=where), "rb") as file:  # noqa: PTH123 - a descriptor
                size = os.fstat(file.fileno()).st_size
                file.seek(offset)
                return Content(path=path, data=file.read(max_bytes), size_bytes=size)
        except OSError as error:
            raise self._explained(error, path) from None

    def _replace(self, where: int, name: str, data: bytes) -> None:
        staging = os.open(self._staging, _FOLDER)
        temporary = secrets.token_hex(8)
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with open(os.open(temporary, flags, 0o600, dir_fd=staging), "wb") as file:  # noqa: PTH123
                file.write(data)
            os.replace(temporary, name, src_dir_fd=staging, dst_dir_fd=where)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary, dir_fd=staging)
            raise
        finally:
            os.close(staging)

    def _check_room(self, more_bytes: int, *, more_files: bool) -> None:
        now = self.snapshot()
        if now.size_bytes + more_bytes > self.max_bytes:
            raise SandboxLimitError(
                f"the workspace holds {now.size_bytes} of {self.max_bytes} bytes: "
                f"no room for {more_bytes} more",
                limit="workspace_bytes",
            )
        if more_files and now.names >= self.max_files:
            raise SandboxLimitError(
                f"the workspace holds its {self.max_files} files already", limit="workspace_files"
            )

    def _collect(self, where: int, parts: tuple[str, ...], found: Snapshot) -> None:
        with os.scandir(where) as listing:
            entries = list(listing)
        for entry in entries:
            inner = (*parts, entry.name)
            if entry.is_dir(follow_symlinks=False):
                self._collect_folder(where, inner, found)
            elif entry.is_file(follow_symlinks=False):
                facts = entry.stat(follow_symlinks=False)
                found.files.append(
                    FileEntry(path="/".join(inner), size_bytes=facts.st_size, changed_ns=facts.st_mtime_ns)
                )

    def _collect_folder(self, where: int, parts: tuple[str, ...], found: Snapshot) -> None:
        if len(parts) > MAX_DEPTH:
            found.too_deep.append("/".join(parts))
            return
        found.folders.append("/".join(parts))
        descriptor = os.open(parts[-1], _FOLDER, dir_fd=where)
        try:
            self._collect(descriptor, parts, found)
        finally:
            os.close(descriptor)

    def _explained(self, error: OSError, path: str) -> Exception:
        if error.errno in _BOUNDARY:
            return SandboxViolationError(f"{path!r} leads through a link or a file")
        if error.errno == errno.ENOENT:
            names = [entry.path for entry in self.snapshot().files]
            closest = difflib.get_close_matches(path, names, n=3, cutoff=0.4)
            offer = (
                f"; closest: {', '.join(closest)}" if closest else "; the workspace is empty" * (not names)
            )
            return TargetNotFoundError(f"no file {path!r}{offer}", closest=", ".join(closest))
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            return TargetNotFoundError(f"the folder {path!r} is not empty")
        return error


def remove_tree(path: Path, yard: Path) -> None:
    """Remove a file or a tree of any depth. `yard` is a folder of ours on the same file system.

    Each folder is first moved into the yard, so neither the depth of the tree nor the length of its
    paths (which programs choose) can stop it. Links are removed, never followed.
    """
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    waiting = [path]
    while waiting:
        folder = waiting.pop()
        with os.scandir(folder) as listing:
            entries = list(listing)
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                moved = yard / secrets.token_hex(8)
                Path(entry.path).rename(moved)
                waiting.append(moved)
            else:
                Path(entry.path).unlink()
        folder.rmdir()
