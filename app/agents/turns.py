"""The conversation of one run: what was said so far, and how much of it is stored."""

from pydantic_ai.messages import ModelMessage

from app.agents.base import Run
from app.agents.reporting import Reporter
from app.agents.streaming import call_ids
from app.agents.transcript import append, decode, encode, mended, prompt
from app.domain.events import ModelRetried


class Turns:
    """The conversation of one run, and how much of it is stored."""

    def __init__(self, run: Run, reporter: Reporter) -> None:
        self.number = run.task.turn
        self.messages: list[ModelMessage] = []
        self.ids: set[str] = set()
        self._run = run
        self._reporter = reporter
        self._unstored: list[ModelMessage] = []

    async def restore(self) -> None:
        """Read what was said before, and add the instruction unless it was said, too."""
        goes_on = self.number > 0
        self.messages = mended(decode(await self._run.history()), goes_on=goes_on)
        self.ids = call_ids(self.messages)
        if not goes_on:
            self.add(prompt(self._run.task.spec.instruction))

    def add(self, message: ModelMessage) -> None:
        """Say it; it is stored with the next `store` or outcome."""
        self._unstored.append(message)
        append(self.messages, message)

    async def store(self, turn: int) -> None:
        """Commit what was said and noted since, as a checkpoint of that turn."""
        await self._reporter.checkpoint(turn, self.unstored())

    def unstored(self) -> tuple[bytes, ...]:
        """What is not stored yet, for the caller to commit."""
        said, self._unstored = self._unstored, []
        return tuple(encode(message) for message in said)

    async def retried(self, attempt: int, reason: str, delay_s: float) -> None:
        """Journal that the model is asked again; the wait may be long, so at once."""
        delay_s = round(delay_s, 3)
        self._reporter.note(ModelRetried(turn=self.number, attempt=attempt, reason=reason, delay_s=delay_s))
        await self._reporter.flush()
