"""The `scripted` agent: does what its instruction says, to measure the journal, the streams and cancelling.

The instruction is a JSON object, see `Script`. Gates let one task wait for another, so that readers
can be in place before anything is emitted.
"""

import asyncio
from collections import defaultdict

from pydantic import BaseModel, ConfigDict, Field

from app.agents.base import Run
from app.agents.function import FunctionRuntime
from app.domain.events import ProgressReported
from app.domain.tasks import TaskResult

NAME = "scripted"
PADDING = "x" * 80
MAX_GATE_WAIT_S = 120


class Script(BaseModel):
    """What to do, in this order."""

    model_config = ConfigDict(extra="forbid")

    opens: str = ""
    """A gate to open."""
    waits: str = ""
    """A gate to wait for."""
    events: int = Field(default=0, ge=0)
    """How many events to emit, `batch` of them in each commit, with `gap_s` between commits."""
    batch: int = Field(default=1, ge=1)
    gap_s: float = Field(default=0, ge=0)
    stays: bool = False
    """Then do nothing until cancelled."""


_gates: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)


async def play(run: Run) -> TaskResult:
    """Carry a script out."""
    script = Script.model_validate_json(run.task.spec.instruction)
    if script.opens:
        _gates[script.opens].set()
    if script.waits:
        async with asyncio.timeout(MAX_GATE_WAIT_S):
            await _gates[script.waits].wait()
    for first in range(0, script.events, script.batch):
        numbers = range(first, min(first + script.batch, script.events))
        await run.emit(*(ProgressReported(message=f"{number} {PADDING}") for number in numbers))
        if script.gap_s:
            await asyncio.sleep(script.gap_s)
    if script.stays:
        await asyncio.Event().wait()
    return TaskResult(output="done")


RUNTIMES = {NAME: FunctionRuntime(play)}
