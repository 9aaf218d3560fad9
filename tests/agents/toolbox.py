"""Tools and a sandbox for tests of the loop: small, real in behaviour, and with a memory of what they did."""

import asyncio
import base64
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from app.agents.toolset import ASK_USER
from app.domain.errors import ToolFailedError
from app.domain.ids import SandboxId
from app.domain.sandboxes import Action, Availability, SandboxKind, StepResult
from app.domain.tools import ToolInfo, ToolResult
from app.sandboxes.base import SandboxSpec
from app.tools.base import ToolContext
from app.tools.registry import ToolRegistry

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
)
Body = Callable[[dict[str, Any], ToolContext], Awaitable[ToolResult]]


Called = list[tuple[str, dict[str, object]]]


@dataclass(frozen=True)
class FunctionTool:
    """A tool made of a coroutine; it notes every call that is carried out."""

    info: ToolInfo
    body: Body
    calls: Called

    async def run(self, arguments: dict[str, object], context: ToolContext) -> ToolResult:
        self.calls.append((self.info.name, arguments))
        return await self.body(arguments, context)


class ToolBox(ToolRegistry):
    """The registry, with what was called and how a slow call is let go."""

    def __init__(self, tools: Sequence[FunctionTool], calls: Called) -> None:
        super().__init__(tools)
        self.calls = calls
        self.gate = asyncio.Event()
        self.entered = asyncio.Event()
        self.added = asyncio.Event()

    def named(self, name: str) -> Sequence[dict[str, object]]:
        """The arguments of every call of that tool that was carried out."""
        return [arguments for called, arguments in self.calls if called == name]


def a_tool(
    name: str, body: Body, calls: Called, *, requires_approval: bool = False, **properties: str
) -> FunctionTool:
    """A tool whose parameters are all required."""
    schema: dict[str, object] = {
        "type": "object",
        "properties": {key: {"type": kind} for key, kind in properties.items()},
        "required": [*properties],
        "additionalProperties": False,
    }
    info = ToolInfo(
        name=name,
        title=name,
        description=f"The tool {name}.",
        parameters=schema,
        category="test",
        requires_approval=requires_approval,
    )
    return FunctionTool(info, body, calls)


async def _add(arguments: dict[str, Any], context: ToolContext) -> ToolResult:
    return ToolResult(output=str(arguments["a"] + arguments["b"]))


async def _look(arguments: dict[str, Any], context: ToolContext) -> ToolResult:
    step = await context.act(Action(type="screenshot"), timeout_s=5)
    return ToolResult(output=step.output)


async def _step(arguments: dict[str, Any], context: ToolContext) -> ToolResult:
    await context.act(Action(type="wait"), timeout_s=5)
    return ToolResult(output="stepped")


async def _fail(arguments: dict[str, Any], context: ToolContext) -> ToolResult:
    raise ToolFailedError("the printer is on fire")


async def _bug(arguments: dict[str, Any], context: ToolContext) -> ToolResult:
    raise RuntimeError("sk-test-secret in a traceback")


async def _never(arguments: dict[str, Any], context: ToolContext) -> ToolResult:
    raise AssertionError("a question is never carried out as a tool")


def a_toolbox() -> ToolBox:
    """Arithmetic, pictures, failures of each kind, a slow tool, and two that need a person."""
    calls: Called = []

    async def add(arguments: dict[str, Any], context: ToolContext) -> ToolResult:
        box.added.set()
        return await _add(arguments, context)

    async def slow(arguments: dict[str, Any], context: ToolContext) -> ToolResult:
        box.entered.set()
        await box.gate.wait()
        return ToolResult(output="slept")

    box = ToolBox(
        [
            a_tool("add", add, calls, a="integer", b="integer"),
            a_tool("look", _look, calls),
            a_tool("step", _step, calls),
            a_tool("fail", _fail, calls),
            a_tool("bug", _bug, calls),
            a_tool("slow", slow, calls),
            a_tool("launch", _add, calls, requires_approval=True, a="integer", b="integer"),
            a_tool(ASK_USER, _never, calls, question="string"),
        ],
        calls,
    )
    return box


@dataclass
class TinySandbox:
    """One sandbox: every picture it takes is another one."""

    spec: SandboxSpec
    kind: str = "local"
    capabilities: frozenset[str] = frozenset({"gui"})
    taken: int = 0

    @property
    def id(self) -> SandboxId:
        return self.spec.id

    async def act(self, action: Action, *, timeout_s: float) -> StepResult:
        shot = None
        if action.type == "screenshot":
            self.taken += 1
            shot = await self.spec.save_artifact("screenshot.png", "image/png", PNG + bytes([self.taken]))
        return StepResult(
            action=action,
            status="ok",
            started_at=datetime.now(UTC),
            duration_s=0.001,
            output=f"{action.type} done",
            screenshot=shot,
        )

    async def screenshot(self) -> bytes:
        return PNG

    async def close(self) -> None:
        pass


class TinySandboxes:
    """The provider of them."""

    kind = "local"
    endpoint: str | None = None

    async def probe(self) -> SandboxKind:
        return SandboxKind(kind=self.kind, description="tiny", availability=Availability.OK)

    async def create(self, spec: SandboxSpec) -> TinySandbox:
        return TinySandbox(spec)

    async def attach(self, spec: SandboxSpec) -> TinySandbox:
        return TinySandbox(spec)

    async def destroy(self, sandbox_id: SandboxId) -> None:
        pass

    async def reap(self, known: Collection[SandboxId]) -> None:
        pass

    async def aclose(self) -> None:
        pass
