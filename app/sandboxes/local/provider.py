"""The `local` kind: opens workspaces under one folder, shares the code workers among them."""

import os
import re
import secrets
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from app.domain.errors import DomainError, SandboxUnavailableError, TargetNotFoundError
from app.domain.ids import SandboxId
from app.domain.sandboxes import Availability, SandboxKind
from app.sandboxes.base import OpenSandbox, SandboxSpec
from app.sandboxes.local.code import CodeLimits, CodeRunner
from app.sandboxes.local.files import Workspace, remove_tree
from app.sandboxes.local.sandbox import ACTIONS, KIND, LocalSandbox
from app.sandboxes.local.waiting import finished

_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_TRASH = ".trash-"


class LocalProvider:
    """Makes `SandboxProvider`. `root` belongs to this process alone."""

    def __init__(
        self,
        root: Path,
        *,
        max_workspace_bytes: int,
        max_workspace_files: int,
        code_limits: CodeLimits | None = None,
    ) -> None:
        self._root = root.absolute()
        self._max_bytes = max_workspace_bytes
        self._max_files = max_workspace_files
        self._code = CodeRunner(code_limits or CodeLimits())
        self._threads = ThreadPoolExecutor(max_workers=8, thread_name_prefix="local-sandbox")
        self._probed: SandboxKind | None = None

    @property
    def kind(self) -> str:
        return KIND

    @property
    def endpoint(self) -> None:
        return None

    async def probe(self) -> SandboxKind:
        """Starts the code workers once, to know."""
        if self._probed is None:
            reasons: list[str] = []
            try:
                await self._code.start()
            except DomainError as error:
                reasons.append(error.message)
            self._probed = SandboxKind(
                kind=KIND,
                description="Files, Python code (a subset, by monty) and SQLite in a workspace of its own.",
                availability=Availability.DEGRADED if reasons else Availability.OK,
                reasons=tuple(reasons),
                install="pip install --force-reinstall pydantic-monty" if reasons else None,
                capabilities=frozenset({"files"} if reasons else {"files", "code:python"}),
                actions=tuple(name for name in ACTIONS if name != "run_code" or not reasons),
            )
        return self._probed

    async def create(self, spec: SandboxSpec) -> OpenSandbox:
        """Raises SandboxUnavailableError if the folder cannot be made."""
        workspace = self._workspace(spec.id)
        try:
            await finished(self._threads, workspace.make)
        except OSError as error:
            raise SandboxUnavailableError(
                f"the workspace folder cannot be made: {error.strerror}", install="make data_dir writable"
            ) from error
        return LocalSandbox(spec, workspace, self._code, self._threads)

    async def attach(self, spec: SandboxSpec) -> OpenSandbox:
        """Raises TargetNotFoundError if the workspace is not here."""
        workspace = self._workspace(spec.id)
        if not await finished(self._threads, workspace.exists):
            raise TargetNotFoundError(f"the workspace of sandbox {spec.id} is not on this server")
        await finished(self._threads, workspace.make)
        return LocalSandbox(spec, workspace, self._code, self._threads)

    async def destroy(self, sandbox_id: SandboxId) -> None:
        """Remove the workspace. Idempotent."""
        folder = self._folder(sandbox_id)
        await finished(self._threads, lambda: self._remove(folder))

    async def reap(self, known: Collection[SandboxId]) -> None:
        """Remove every workspace that no record knows."""
        await finished(self._threads, lambda: self._reap(frozenset(known)))

    async def aclose(self) -> None:
        """End the workers and the threads."""
        await self._code.aclose()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _workspace(self, sandbox_id: SandboxId) -> Workspace:
        return Workspace(self._folder(sandbox_id), max_bytes=self._max_bytes, max_files=self._max_files)

    def _folder(self, sandbox_id: SandboxId) -> Path:
        if not _ID.fullmatch(sandbox_id):
            raise TargetNotFoundError(f"{sandbox_id!r} is no sandbox id")
        return self._root / sandbox_id

    def _remove(self, folder: Path) -> None:
        yard = self._root / f"{_TRASH}{secrets.token_hex(8)}"
        if os.path.lexists(folder):
            yard.mkdir(mode=0o700)
            doomed = yard / "workspace"
            folder.rename(doomed)  # whatever happens next, nobody attaches to half a workspace
            remove_tree(doomed, yard)
            remove_tree(yard, self._root)

    def _reap(self, known: frozenset[str]) -> None:
        if self._root.is_dir():
            for folder in list(self._root.iterdir()):
                if folder.name not in known:
                    self._remove(folder)
