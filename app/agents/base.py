"""What an agent runtime promises the engine, and what the engine gives it for one task."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from app.domain.events import TaskEvent
from app.domain.ids import Digest
from app.domain.secrets import Secret
from app.domain.tasks import InputAnswer, InputRequest, Statistics, Task, TaskResult
from app.tools.base import ToolContext


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """The task is done; `messages` and `events` are what the last turn has not committed yet."""

    result: TaskResult
    statistics: Statistics
    messages: tuple[bytes, ...] = ()
    events: tuple[TaskEvent, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NeedsInput:
    """The task parks until a person answers; `messages` and `events` close the turn that asks."""

    requests: tuple[InputRequest, ...]
    statistics: Statistics
    turn: int
    messages: tuple[bytes, ...] = ()
    events: tuple[TaskEvent, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Parked:
    """The task stopped at a checkpoint because it was asked to (pause or drain)."""

    statistics: Statistics


Outcome = Finished | NeedsInput | Parked


class Run(Protocol):
    """One claimed task, as its runtime sees it. All writes are fenced by the claim's epoch."""

    def for_call(self, call_id: str) -> ToolContext:
        """What one tool call of this task gets; its steps name the call."""
        ...

    @property
    def task(self) -> Task:
        """The task as last committed by this run."""
        ...

    @property
    def api_key(self) -> Secret | None:
        """The model key given for this task, unsealed."""
        ...

    @property
    def answers(self) -> Sequence[InputAnswer]:
        """What a person answered since the task parked; empty on a first run."""
        ...

    @property
    def stopping(self) -> bool:
        """Whether to park at the next checkpoint (pause asked for, or the process drains)."""
        ...

    @property
    def statistics(self) -> Statistics:
        """The counters so far, with running time up to now."""
        ...

    async def history(self) -> list[bytes]:
        """The encoded messages of the session's earlier tasks, then of this one."""
        ...

    async def read_artifact(self, digest: Digest) -> bytes:
        """The bytes of something this tenant keeps, such as a screenshot. Raises NotFoundError."""
        ...

    async def emit(self, *events: TaskEvent) -> None:
        """Commit events. Raises StaleOwnerError once the task is no longer this run's."""
        ...

    async def count(self, **increments: float | None) -> Statistics:
        """Add to the counters (`turns=1, input_tokens=90, cost_usd=None`) and enforce the limits.

        Raises StepLimitError, TokenLimitError, CostLimitError.
        """
        ...

    @property
    def output_allowance(self) -> int | None:
        """Output tokens of a model call whose task names no bound; None where calls need no `reserve`."""
        ...

    async def reserve(self, *, tokens: int, cost_usd: float | None) -> None:
        """Hold what the next model call can use at most, of the tenant's budget of the day.

        Raises BudgetExceededError, NotConfiguredError (a budget of dollars, and the price is not known).
        """
        ...

    async def settle(self) -> None:
        """The model call was counted: charge what it used, give back the rest."""
        ...

    async def checkpoint(self, turn: int, *events: TaskEvent, messages: tuple[bytes, ...]) -> None:
        """Commit a turn: its messages, events and counters in one transaction."""
        ...


class AgentRuntime(Protocol):
    """A make of the loop."""

    async def run(self, run: Run) -> Outcome:
        """Carry the task out, from its last checkpoint on.

        Raises DomainError to fail the task with that reason; cancelling it stops the model call
        and the tool that runs. Never commits the end itself: the engine does.
        """
        ...
