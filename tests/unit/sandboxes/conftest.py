"""A real local sandbox in a folder of the test's own."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.domain.artifacts import ArtifactRef
from app.domain.ids import Digest, SandboxId
from app.sandboxes.base import OpenSandbox, SandboxSpec
from app.sandboxes.local.code import CodeLimits
from app.sandboxes.local.provider import LocalProvider

QUOTA = 200_000
MAX_NAMES = 50


async def keep(name: str, media_type: str, data: bytes) -> ArtifactRef:
    digest = Digest(f"sha256:{hashlib.sha256(data).hexdigest()}")
    return ArtifactRef(digest=digest, name=name, media_type=media_type, size_bytes=len(data))


@pytest.fixture
async def sandbox(tmp_path: Path) -> AsyncIterator[OpenSandbox]:
    provider = LocalProvider(
        tmp_path / "sandboxes",
        max_workspace_bytes=QUOTA,
        max_workspace_files=MAX_NAMES,
        code_limits=CodeLimits(max_memory_bytes=64 * 1024 * 1024, max_workers=2),
    )
    yield await provider.create(SandboxSpec(id=SandboxId("abused"), save_artifact=keep))
    await provider.aclose()


@pytest.fixture
def files(sandbox: OpenSandbox, tmp_path: Path) -> Path:
    """Where the sandbox' workspace really is."""
    return tmp_path / "sandboxes" / sandbox.id / "files"
