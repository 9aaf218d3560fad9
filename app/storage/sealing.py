"""Seals secrets for rest: authenticated encryption, with keys that can be rotated."""

import contextlib
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from app.domain.errors import NotConfiguredError
from app.domain.secrets import Secret


class SecretBox:
    """Seals with the first key, opens with any: to rotate, put a new key first and keep the old."""

    def __init__(self, keys: Sequence[Secret]) -> None:
        """Keys are 32 bytes in URL-safe base64. Raises NotConfiguredError for anything else."""
        if not keys:
            raise NotConfiguredError("no secret key is configured")
        try:
            self._fernet = MultiFernet([Fernet(key.reveal()) for key in keys])
        except ValueError:  # binascii.Error is one; the text of either may hold the key
            raise NotConfiguredError("a secret key is not 32 bytes in URL-safe base64") from None

    def seal(self, value: bytes) -> bytes:
        """Encrypt and authenticate."""
        return self._fernet.encrypt(value)

    def unseal(self, token: bytes) -> bytes:
        """What was sealed. Raises NotConfiguredError when no key opens it."""
        try:
            return self._fernet.decrypt(token)
        except InvalidToken:
            raise NotConfiguredError("a stored secret was sealed with a key that is not configured") from None

    def reseal(self, token: bytes) -> bytes:
        """The same value under the first key. Raises as `unseal`."""
        return self.seal(self.unseal(token))


def new_key() -> Secret:
    """A random key."""
    return Secret(Fernet.generate_key().decode())


def embedded_box(path: Path) -> SecretBox:
    """The box of a process that was given no key: its own is in `path`. Raises as `key_from_file`."""
    return SecretBox([key_from_file(path)])


def key_from_file(path: Path) -> Secret:
    """The key in `path`, made on the first call: readable by its owner only.

    Of processes that start at the same moment one makes it and the others read it. Raises
    NotConfiguredError when it can be neither read nor made.
    """
    try:
        with contextlib.suppress(FileNotFoundError):
            return Secret(path.read_text().strip())
        path.parent.mkdir(parents=True, exist_ok=True)
        _create(path, new_key().reveal())
        return Secret(path.read_text().strip())
    except (OSError, UnicodeDecodeError) as error:
        raise NotConfiguredError(f"the key file {path.name} cannot be used: {type(error).__name__}") from None


def _create(path: Path, text: str) -> None:
    """Whole or not at all: written beside it (mode 0600) and linked, which never replaces a file."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".key-")
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(name, path)
    finally:
        Path(name).unlink()
