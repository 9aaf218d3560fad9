"""The whole OpenAPI document held against a running gateway: made-up requests, and sequences of them."""

import asyncio
import random
import re
import sys
from pathlib import Path

import pytest

from tests.processes import ROOT, gateway_process

CONFIG = Path(__file__).with_name("schemathesis.toml")
EXAMPLES = 10
"""Made-up requests for each operation, beside those that try each limit of the document."""
LONGEST_S = 240.0


@pytest.mark.timeout(300)
async def test_every_operation_keeps_what_the_document_promises(tmp_path: Path) -> None:
    """Statuses, media types, schemas, `Allow`, refusals of what is wrong; alone, and one after another."""
    seed = random.randrange(2**31)
    async with gateway_process(tmp_path / "data") as gateway:
        report, code = await _schemathesis(f"{gateway.rest}/openapi.json", seed, tmp_path)
        assert gateway.complaints() == []
    assert code == 0, report
    assert "Stateful" in report, report
    counts = re.search(r"Selected: (\d+)/(\d+)\s+Tested: (\d+)", report)
    assert counts is not None, report
    assert len(set(counts.groups())) == 1  # every operation, none skipped
    print(f"seed {seed}", *re.findall(r"\d+ generated.*", report))


async def _schemathesis(url: str, seed: int, folder: Path) -> tuple[str, int]:
    """Its report and exit code; it runs in a process of its own, as people run it."""
    arguments = ("--config-file", str(CONFIG), "run", url, "-n", str(EXAMPLES), "--seed", str(seed))
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("st"),
        *arguments,
        "--no-color",
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(folder)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(LONGEST_S):
            told, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return told.decode(errors="replace"), process.returncode or 0
