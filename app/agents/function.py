"""Function agents: a coroutine in this process as an agent, with everything else of a task."""

from collections.abc import Awaitable, Callable

from app.agents.base import Finished, Outcome, Run
from app.domain.tasks import TaskResult

AgentFunction = Callable[[Run], Awaitable[TaskResult]]


class FunctionRuntime:
    """Runs one coroutine function per task. It has no checkpoints: after a crash it starts again."""

    def __init__(self, function: AgentFunction) -> None:
        self._function = function

    async def run(self, run: Run) -> Outcome:
        result = await self._function(run)
        return Finished(result=result, statistics=run.statistics)


async def echo(run: Run) -> TaskResult:
    """The built-in `echo` agent: its result is the instruction. For health checks and measurements."""
    return TaskResult(output=run.task.spec.instruction)
