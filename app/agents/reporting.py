"""Journals what happens in a run: in order, soon, and in few commits."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

from app.agents.base import Run
from app.domain.errors import DomainError, StorageUnavailableError
from app.domain.events import MAX_EVENT_TEXT_CHARS, TaskEvent, TextProduced
from app.telemetry.known_secrets import mask_held, unfinished_secret

log = logging.getLogger(__name__)
FLUSH_AFTER_S = 0.05
"""How long an event may wait for company before it is committed."""
MAX_WAITING_CHARS = 2_000
MAX_WAITING_EVENTS = 64


class Reporter:
    """Gathers the events of one run and commits them together.

    What is noted is committed with the next `flush`, `checkpoint` or outcome, or by itself after
    `FLUSH_AFTER_S`. Whatever is committed by others (a step's events) must be preceded by `flush`.
    """

    def __init__(self, run: Run, group: asyncio.TaskGroup) -> None:
        self._run = run
        self._group = group
        self._events: list[TaskEvent] = []
        self._text: list[str] = []
        self._text_chars = 0
        self._text_turn = 0
        self._writing = asyncio.Lock()
        self._timer: asyncio.TimerHandle | None = None

    def note(self, *events: TaskEvent) -> None:
        """Journal these, after all that was noted and said before."""
        self._end_text()
        self._events += events
        self._wind()

    async def say(self, turn: int, text: str) -> None:
        """Journal a piece of the model's text; waits for the store when too much has gathered."""
        if turn != self._text_turn:
            self._end_text()
            self._text_turn = turn
        self._text.append(text)
        self._text_chars += len(text)
        self._wind()
        if self._text_chars >= MAX_WAITING_CHARS or len(self._events) >= MAX_WAITING_EVENTS:
            await self.flush()

    async def flush(self) -> None:
        """Commit what is noted. Raises what `Run.emit` raises."""
        async with self._writing:
            events = self._take(more_text=True)
            if not events:
                return
            try:
                await self._run.emit(*events)
            except StorageUnavailableError:
                self._events[:0] = events  # nothing was kept: the next commit brings them
                raise

    async def checkpoint(self, turn: int, messages: tuple[bytes, ...]) -> None:
        """Commit what is noted together with a turn's messages. Raises what `Run.checkpoint` raises."""
        async with self._writing:
            await self._run.checkpoint(turn, *self._take(), messages=messages)

    async def rest(self) -> tuple[TaskEvent, ...]:
        """Everything noted and not committed, for the caller to commit with the outcome."""
        async with self._writing:
            return self._take()

    def close(self) -> None:
        """Nothing is committed by itself any more."""
        self._unwind()

    def _take(self, *, more_text: bool = False) -> tuple[TaskEvent, ...]:
        self._end_text(more=more_text)
        events, self._events = tuple(self._events), []
        self._unwind()
        return events

    def _end_text(self, *, more: bool = False) -> None:
        """What was said becomes events. With `more` to come, the beginning of a secret waits for the rest."""
        if not self._text:
            return
        tenant = self._run.task.tenant
        text, self._text, self._text_chars = mask_held("".join(self._text), tenant), [], 0
        if more and (held := unfinished_secret(text, tenant)):
            text, self._text, self._text_chars = text[:-held], [text[-held:]], held
        for start in range(0, len(text), MAX_EVENT_TEXT_CHARS):
            piece = text[start : start + MAX_EVENT_TEXT_CHARS]
            self._events.append(TextProduced(turn=self._text_turn, text=piece))

    def _wind(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_AFTER_S, self._due)

    def _unwind(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _due(self) -> None:
        self._timer = None
        self._group.create_task(self._flush_by_itself())

    async def _flush_by_itself(self) -> None:
        try:
            await self.flush()
        except DomainError as error:
            # The run itself meets the same error at its next commit, and that one decides.
            log.debug("events of task %s wait: %s", self._run.task.id, error.message)


@asynccontextmanager
async def reporting(run: Run) -> AsyncGenerator[Reporter]:
    """A reporter within a block. When the block fails, what was noted is committed before that."""
    failure: Exception | None = None
    async with asyncio.TaskGroup() as group:
        reporter = Reporter(run, group)
        try:
            yield reporter
        except Exception as error:  # noqa: BLE001 - raised again outside the group, which would wrap it
            failure = error
            with suppress(DomainError):
                await reporter.flush()
        finally:
            reporter.close()
    if failure is not None:
        raise failure
