"""Looking up host names, on threads that nothing else waits for."""

import asyncio
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from app.tools.name_lookup import NameLookup

STUCK = """
import asyncio, socket, threading

def stuck(*_, **__):
    threading.Event().wait()

socket.getaddrinfo = stuck
from app.tools.egress import Egress
from app.tools import egress
from app.domain.errors import ToolFailedError

egress.RESOLVE_TIMEOUT_S = 0.1

async def main():
    try:
        await Egress().destination("http://example.com/")
    except ToolFailedError:
        await asyncio.to_thread(print, "refused")

asyncio.run(main())
"""


@pytest.mark.timeout(60)
def test_a_lookup_that_never_ends_does_not_keep_the_process() -> None:
    root = Path(__file__).parents[3]
    try:
        ended = subprocess.run(
            [sys.executable, "-c", STUCK], cwd=root, timeout=30, capture_output=True, text=True, check=False
        )
    except subprocess.TimeoutExpired:
        pytest.fail("it hangs")

    assert (ended.returncode, ended.stdout) == (0, "refused\n"), ended.stderr


async def test_names_are_looked_up_by_the_system_one_after_another() -> None:
    look_up = NameLookup(threads=1)

    for _ in range(3):
        assert "127.0.0.1" in await look_up("localhost", 80)


async def test_so_many_names_wait_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, let = threading.Semaphore(0), threading.Event()

    def slow(*_: object, **__: object) -> list[object]:
        begun.release()
        let.wait()
        return [(0, 0, 0, "", ("192.0.2.1", 80))]

    monkeypatch.setattr("socket.getaddrinfo", slow)
    look_up = NameLookup(threads=1, waiting=1)
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        first = group.create_task(look_up("a.example", 80))
        await asyncio.to_thread(begun.acquire)
        second = group.create_task(look_up("b.example", 80))
        await asyncio.sleep(0)  # it takes the only place to wait
        with pytest.raises(OSError, match="too many"):
            await look_up("c.example", 80)
        let.set()

    assert first.result() == second.result() == ["192.0.2.1"]
