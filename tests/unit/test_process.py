"""The serving process ends, whatever does not."""

import subprocess
import sys
from pathlib import Path

import pytest

STUCK = """
import asyncio, os, signal
from contextlib import asynccontextmanager
from datetime import timedelta
from app import process

process.LAST_RESORT_S = 0.5


class Stuck:
    drain_timeout = timedelta(seconds=0.2)
    can_reload = False

    async def drain(self):
        pass


@asynccontextmanager
async def opened():
    yield Stuck()
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            continue


process.run(lambda: process.serve(opened(), announce=lambda _: os.kill(os.getpid(), signal.SIGTERM)))
"""


@pytest.mark.timeout(90)
def test_a_process_whose_parts_do_not_let_go_ends_all_the_same() -> None:
    root = Path(__file__).parents[2]
    try:
        ended = subprocess.run(
            [sys.executable, "-c", STUCK], cwd=root, timeout=50, capture_output=True, text=True, check=False
        )
    except subprocess.TimeoutExpired:
        pytest.fail("it hangs")

    assert ended.returncode == 70
    assert "did not end" in ended.stderr
