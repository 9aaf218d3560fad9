"""What the gateway keeps is for its own user only, whatever the umask says."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.bootstrap.gateway import open_gateway
from app.domain.call import CallContext
from app.domain.identity import Principal
from app.domain.sandboxes import Action
from app.service.inputs import NewTask
from app.settings import Settings


@pytest.fixture
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def _settings(data: Path) -> Settings:
    return Settings(rest={"port": 0}, grpc={"port": 0}, storage={"data_dir": data})  # pyright: ignore[reportArgumentType]


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.usefixtures("open_umask")
async def test_nothing_of_it_can_be_read_by_others(tmp_path: Path) -> None:
    data = tmp_path / "deep" / "data"
    call = CallContext(principal=Principal(subject="s"), request_id="r", protocol="rest")
    async with open_gateway(_settings(data)) as gateway:
        box = await gateway.service.sandboxes.create(call)
        action = Action(type="write_file", arguments={"path": "folder/a.txt", "content": "mine"})
        await gateway.service.sandboxes.act(call, box.id, action)
        await gateway.service.tasks.submit(call, NewTask(instruction="mine"))

        found = [data, *data.rglob("*")]
        assert {path.name for path in found} >= {"gateway.db", "gateway.db-wal", "secret.key", "a.txt"}
        assert [f"{path.name} {_mode(path):o}" for path in found if _mode(path) & 0o077] == []


@pytest.mark.usefixtures("open_umask")
async def test_in_a_folder_that_was_there_only_what_is_made_is_private(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o755)

    async with open_gateway(_settings(data)):
        assert _mode(data) == 0o755
        assert [f"{path.name} {_mode(path):o}" for path in data.rglob("*") if _mode(path) & 0o077] == []
