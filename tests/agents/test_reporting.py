"""Events are committed in order, soon, and together."""

import asyncio
from typing import Any, cast

import pytest

from app.agents.base import Run
from app.agents.reporting import MAX_WAITING_CHARS, reporting
from app.domain.errors import StorageUnavailableError, ToolFailedError
from app.domain.events import ProgressReported, TaskEvent, TextProduced
from tests.tasks_made import a_task


class NotingRun:
    """The writing half of a run."""

    def __init__(self) -> None:
        self.task = a_task()
        self.commits: list[list[TaskEvent]] = []
        self.committed = asyncio.Event()
        self.failures = 0

    async def emit(self, *events: TaskEvent) -> None:
        if self.failures:
            self.failures -= 1
            raise StorageUnavailableError("the disk is full")
        self.commits.append(list(events))
        self.committed.set()

    async def checkpoint(self, turn: int, *events: TaskEvent, messages: tuple[bytes, ...]) -> None:
        await self.emit(*events)

    @property
    def told(self) -> list[str]:
        """Everything committed, as words."""
        events = [event for commit in self.commits for event in commit]
        return [
            event.text if isinstance(event, TextProduced) else cast(Any, event).message for event in events
        ]


def progress(message: str) -> ProgressReported:
    return ProgressReported(message=message)


async def test_what_is_noted_goes_out_together_and_in_order() -> None:
    run = NotingRun()
    async with reporting(cast(Run, run)) as reporter:
        reporter.note(progress("a"))
        await reporter.say(1, "b")
        await reporter.say(1, "c")
        reporter.note(progress("d"))
        await reporter.checkpoint(1, ())

    assert run.told == ["a", "bc", "d"]
    assert len(run.commits) == 1


async def test_an_event_does_not_wait_for_company_for_ever() -> None:
    run = NotingRun()
    async with asyncio.timeout(5), reporting(cast(Run, run)) as reporter:
        await reporter.say(1, "thinking")
        await run.committed.wait()

    assert run.told == ["thinking"]


async def test_much_text_goes_out_at_once() -> None:
    run = NotingRun()
    async with reporting(cast(Run, run)) as reporter:
        await reporter.say(1, "x" * MAX_WAITING_CHARS)

        assert len(run.commits) == 1


async def test_what_the_store_refused_goes_out_with_the_next_commit() -> None:
    run = NotingRun()
    run.failures = 1
    async with reporting(cast(Run, run)) as reporter:
        reporter.note(progress("a"))
        with pytest.raises(StorageUnavailableError):
            await reporter.flush()
        reporter.note(progress("b"))
        await reporter.flush()

    assert run.told == ["a", "b"]


async def test_a_failure_leaves_after_what_led_to_it() -> None:
    run = NotingRun()

    async def fail() -> None:
        async with reporting(cast(Run, run)) as reporter:
            reporter.note(progress("a"))
            raise ToolFailedError("over")

    with pytest.raises(ToolFailedError):
        await fail()

    assert run.told == ["a"]
