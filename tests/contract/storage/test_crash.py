"""kill -9 at random moments: nothing acknowledged is lost, and there is no gap."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.contract.storage.conftest import Committed, Opener
from tests.contract.storage.test_concurrency import check_dense
from tests.contract.storage.values import ACME, queued

ROUNDS = 4
ROOT = Path(__file__).parents[3]


def killed_producers(*arguments: str) -> dict[str, int]:
    """Run the producers, kill them at a random moment; the last acknowledged seq of each task."""
    acknowledged: dict[str, int] = {}
    with subprocess.Popen(
        [sys.executable, "-m", "tests.contract.storage.producers", *arguments],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        text=True,
    ) as process:
        assert process.stdout is not None
        deadline = None
        for line in process.stdout:
            task_id, seq = line.split()
            acknowledged[task_id] = int(seq)
            deadline = deadline or time.monotonic() + random.uniform(0.05, 0.6)
            if time.monotonic() > deadline:
                break
        process.send_signal(signal.SIGKILL)
        for line in process.stdout:  # what it had said before it died
            if line.endswith("\n"):
                task_id, seq = line.split()
                acknowledged[task_id] = int(seq)
    assert acknowledged
    return acknowledged


@pytest.mark.faults
async def test_of_a_killed_writer_nothing_acknowledged_is_lost(
    backend: str, opener: Opener, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    where = str(tmp_path / "gateway.db") if backend == "sqlite" else request.getfixturevalue("postgres_url")
    acknowledged: dict[str, int] = {}

    for _ in range(ROUNDS):
        acknowledged |= killed_producers(backend, where)
        async with opener(Committed()) as stores:
            await check_dense(stores, ACME)
            for task_id, seq in acknowledged.items():
                events = await stores.journal.read(task_id, 0)  # type: ignore[arg-type]
                assert events[-1].seq >= seq
                said = [event for event in events if event.event.type == "text.produced"]
                assert len(await stores.tasks.transcript([task_id])) == len(said)  # type: ignore[list-item]
            await queued(stores)
