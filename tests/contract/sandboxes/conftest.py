"""The makes of `SandboxProvider`: a new one is a new line in `MAKES`."""

import hashlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from app.breakers.board import CircuitBoard
from app.domain.artifacts import ArtifactRef
from app.domain.breaker import BreakerPolicy
from app.domain.ids import Digest, SandboxId
from app.sandboxes.base import SandboxProvider, SandboxSpec
from app.sandboxes.guarded import guarded
from app.sandboxes.local.provider import LocalProvider


def open_local(root: Path) -> SandboxProvider:
    return LocalProvider(root, max_workspace_bytes=100_000, max_workspace_files=20)


class ElsewhereProvider(LocalProvider):
    """The local one, as if it lived on a service of its own."""

    @property
    def endpoint(self) -> str:  # pyright: ignore[reportIncompatibleMethodOverride]
        return "127.0.0.1:9"


def open_guarded(root: Path) -> SandboxProvider:
    elsewhere = ElsewhereProvider(root, max_workspace_bytes=100_000, max_workspace_files=20)
    return guarded(elsewhere, CircuitBoard(BreakerPolicy(min_calls=1, failure_ratio=0.01)))


MAKES: dict[str, Callable[[Path], SandboxProvider]] = {"local": open_local, "guarded": open_guarded}


@dataclass
class Kept:
    """Artifacts in memory."""

    saved: dict[str, bytes] = field(default_factory=dict)

    async def __call__(self, name: str, media_type: str, data: bytes) -> ArtifactRef:
        self.saved[name] = data
        digest = Digest(f"sha256:{hashlib.sha256(data).hexdigest()}")
        return ArtifactRef(digest=digest, name=name, media_type=media_type, size_bytes=len(data))

    def spec(self, name: str) -> SandboxSpec:
        return SandboxSpec(id=SandboxId(name), save_artifact=self)


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture(params=list(MAKES))
async def provider(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SandboxProvider]:
    made = MAKES[request.param](tmp_path / "sandboxes")
    yield made
    await made.aclose()
