"""The workspace tools on a real local sandbox."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from app.domain.artifacts import ArtifactRef
from app.domain.call import CallContext
from app.domain.ids import SandboxId, TaskId
from app.domain.sandboxes import Action, StepResult
from app.domain.tools import ToolResult
from app.sandboxes.base import OpenSandbox, SandboxSpec
from app.sandboxes.local.provider import LocalProvider
from app.tools.builtin.all import built_in_tools
from app.tools.egress import Egress
from app.tools.registry import ToolRegistry
from tests.unit.tools.context import FakeContext, a_call


@dataclass(slots=True)
class SandboxContext:
    """Makes `ToolContext` on an open sandbox."""

    sandbox: OpenSandbox
    call: CallContext = field(default_factory=a_call)
    task_id: TaskId | None = None

    async def act(self, action: Action, *, timeout_s: float) -> StepResult:
        return await self.sandbox.act(action, timeout_s=timeout_s)

    async def save_artifact(self, name: str, media_type: str, data: bytes) -> ArtifactRef:
        return await FakeContext().save_artifact(name, media_type, data)


@asynccontextmanager
async def a_sandbox(folder: Path) -> AsyncIterator[SandboxContext]:
    provider = LocalProvider(folder, max_workspace_bytes=2**20, max_workspace_files=50)
    try:
        spec = SandboxSpec(id=SandboxId("sb-1"), save_artifact=FakeContext().save_artifact)
        yield SandboxContext(await provider.create(spec))
    finally:
        await provider.aclose()


async def test_files_code_and_sql_work_on_one_workspace(tmp_path: Path) -> None:
    registry = ToolRegistry(built_in_tools(Egress()))

    async with a_sandbox(tmp_path) as context:

        async def call(tool: str, **arguments: object) -> ToolResult:
            return await registry.execute(tool, arguments, context)

        assert (await call("write_file", path="notes/a.txt", content="one\n")).ok
        assert (await call("write_file", path="notes/a.txt", content="two\n", append=True)).ok
        assert "one\ntwo" in (await call("read_file", path="notes/a.txt")).output
        assert "a.txt" in (await call("list_files")).output
        assert "300" in (await call("python", code="print(100 * 3)")).output
        assert (await call("sqlite_query", path="d.db", sql="create table t (x, y)")).ok
        insert = await call(
            "sqlite_query", path="d.db", sql="insert into t values (?, ?)", parameters=[1, "b"]
        )
        rows = await call("sqlite_query", path="d.db", sql="select x, y from t")
        assert (insert.ok, rows.ok, "b" in rows.output) == (True, True, True)
        assert (await call("delete_file", path="notes/a.txt")).ok
        gone = await call("read_file", path="notes/a.txt")
        broken = await call("python", code="1 / 0")

    assert (gone.ok, gone.error_reason) == (False, "TARGET_NOT_FOUND")
    assert (broken.ok, broken.error_reason) == (False, "CODE_FAILED")
    assert "ZeroDivisionError" in broken.output
