"""Every bash block of README.md, run against a real gateway."""

import asyncio
import re
import sys
from pathlib import Path

import pytest

from tests.processes import ROOT, GatewayProcess, gateway_process

BUF = ROOT / "node_modules/.bin/buf"
BLOCKS = re.findall(r"^```bash\n(.*?)^```$", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE)
SAYS = {
    "Compute (42 + 58) * 3": "300",
    "12 times 12": "144",
    "page_size=5": '"tasks"',
    "order-7": '"id"',
    "2 to the power of 10": "1024",
    "greeting.txt": "greeting.txt contains: hello",  # the bare word stands in the instruction
    "Ask me for my name": '"id"',
}
"""What the answer to a block has in it, by a piece of the block."""


def _here(block: str, gateway: GatewayProcess) -> str:
    """The block for this gateway and this machine; nothing else in it changes."""
    for written, real in (
        ("127.0.0.1:8080", f"127.0.0.1:{gateway.rest_port}"),
        ("127.0.0.1:50051", f"127.0.0.1:{gateway.grpc_port}"),
        ("npx buf", str(BUF)),
        ("uv run --no-sync python", sys.executable),
    ):
        block = block.replace(written, real)
    return block


async def _run(block: str, gateway: GatewayProcess) -> str:
    process = await asyncio.create_subprocess_exec(
        *("bash", "-euo", "pipefail", "-c", _here(block, gateway)),
        cwd=ROOT,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(60):
        out, _ = await process.communicate()
    assert process.returncode == 0, f"{block}\n{out.decode()}"
    return out.decode()


def test_every_block_is_expected() -> None:
    assert len(BLOCKS) >= 6
    unknown = [block for block in BLOCKS if not any(piece in block for piece in SAYS)]
    assert unknown == [], "say in SAYS what these answer"


@pytest.mark.timeout(180)
@pytest.mark.parametrize("uses_buf", [False, True], ids=["curl-and-python", "buf"])
async def test_the_blocks_of_the_readme_do_what_it_says(tmp_path: Path, uses_buf: bool) -> None:
    blocks = [block for block in BLOCKS if ("npx buf" in block) is uses_buf]
    if uses_buf and not BUF.exists():
        pytest.skip("buf is missing: install npm, then `make setup`")
    async with gateway_process(tmp_path) as gateway:
        for block in blocks:
            out = await _run(block, gateway)
            wanted = next(said for piece, said in SAYS.items() if piece in block)
            assert wanted in out, f"{block}\nanswered\n{out}"
            assert "/problems/" not in out, f"{block}\nanswered\n{out}"
