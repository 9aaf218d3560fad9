"""Secrets at rest."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.domain.errors import NotConfiguredError
from app.domain.secrets import Secret
from app.storage.sealing import SecretBox, embedded_box, key_from_file, new_key


def test_of_a_sealed_secret_nothing_shows_and_all_comes_back() -> None:
    box = SecretBox([new_key()])

    sealed = box.seal(b"sk-hidden")

    assert b"sk-hidden" not in sealed
    assert box.unseal(sealed) == b"sk-hidden"


def test_of_rotated_keys_the_old_still_opens_and_the_new_seals() -> None:
    old, new = new_key(), new_key()
    sealed = SecretBox([old]).seal(b"x")

    resealed = SecretBox([new, old]).reseal(sealed)

    assert SecretBox([new]).unseal(resealed) == b"x"
    with pytest.raises(NotConfiguredError):
        SecretBox([new]).unseal(sealed)


def test_of_tampered_bytes_nothing_is_opened() -> None:
    box = SecretBox([new_key()])
    sealed = bytearray(box.seal(b"x"))
    sealed[20] ^= 1

    with pytest.raises(NotConfiguredError):
        box.unseal(bytes(sealed))


@pytest.mark.parametrize("keys", [[], [Secret("short-key")], [Secret("\ud800")]])
def test_of_a_malformed_key_the_error_does_not_tell_it(keys: list[Secret]) -> None:
    with pytest.raises(NotConfiguredError) as caught:
        SecretBox(keys)

    assert "short-key" not in str(caught.value)


def test_of_a_key_file_one_key_is_made_and_kept_private(tmp_path: Path) -> None:
    path = tmp_path / "data" / "secret.key"

    with ThreadPoolExecutor(8) as threads:
        keys = set(threads.map(lambda _: key_from_file(path), range(32)))

    assert len(keys) == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [child.name for child in path.parent.iterdir()] == ["secret.key"]
    assert embedded_box(path).unseal(SecretBox(list(keys)).seal(b"x")) == b"x"


def test_of_an_unusable_key_file_the_error_names_it(tmp_path: Path) -> None:
    (tmp_path / "secret.key").mkdir()

    with pytest.raises(NotConfiguredError, match=r"secret\.key"):
        key_from_file(tmp_path / "secret.key")
