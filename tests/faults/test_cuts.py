"""2,000 cut streams: whatever is cut, whenever, the pieces add up to the journal."""

import asyncio
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.faults.clients import (
    Clients,
    CutError,
    Log,
    check_journal,
    clients_of,
    journal_of,
    model_settings,
    submit,
)
from tests.llm.script import ToolCall, Turn
from tests.llm.server import scripted_llm
from tests.processes import gateway_process

pytestmark = [pytest.mark.faults]

CUTS = 2_000
TASKS = 5
READERS_PER_TASK = 8
TURNS = 60
LONGEST_S = 0.3
SUMS = tuple(ToolCall(name="calculator", arguments={"expression": f"{n} * 17"}) for n in range(3))


@dataclass
class Pace:
    """Lets the model speak on as the cuts are made, so that the tasks live as long as the test cuts."""

    gates: list[asyncio.Event] = field(default_factory=lambda: [asyncio.Event() for _ in range(TURNS)])
    cuts: int = 0
    while_live: int = 0

    def cut(self) -> None:
        """One more stream was cut."""
        self.cuts += 1
        for gate in self.gates[: self.cuts * TURNS // CUTS + 1]:
            gate.set()

    def turns(self) -> Iterator[Turn]:
        """What the model says: text and calls, and at last an answer."""
        for number, gate in enumerate(self.gates):
            yield Turn(text=f"Turn {number} goes on and on. ", tool_calls=SUMS, gate=gate)
        yield Turn(text="That was all.")


async def _read_with_cuts(clients: Clients, log: Log, pace: Pace, dice: random.Random) -> None:
    """Read one task to its end; each stream but the last is cut at a random point."""
    turn = dice.randrange(2)
    while not log.ended:
        turn += 1  # the other protocol each time
        events = dice.choice((0, 1, 2, 5, 20, 100, None))
        try:
            async with asyncio.timeout(dice.uniform(0.0, LONGEST_S) if pace.cuts < CUTS else 30):
                await log.follow(clients[turn], at_most=events)
        except TimeoutError:
            pass
        except CutError as error:
            raise AssertionError(f"nobody but the reader cuts here: {error}") from error
        if not log.ended:
            pace.while_live += not pace.gates[-1].is_set()
            pace.cut()


@pytest.mark.timeout(120)
async def test_the_pieces_of_2000_cut_streams_add_up_to_the_journal(tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    pace = Pace()
    pace.gates[0].set()
    async with (
        scripted_llm(list(pace.turns())) as llm,
        gateway_process(tmp_path, **model_settings(llm)) as gateway,
        clients_of(gateway) as clients,
    ):
        ids = [await submit(clients[number], f"task {number}") for number in range(TASKS)]
        logs = [Log(task_id) for task_id in ids for _ in range(READERS_PER_TASK)]

        async with asyncio.timeout(100), asyncio.TaskGroup() as group:
            for log in logs:
                group.create_task(_read_with_cuts(clients, log, pace, random.Random(dice.random())))

        journals = {
            (driver.name, task_id): await journal_of(driver, task_id)
            for driver in (clients.rest, clients.grpc)
            for task_id in ids
        }
        for task_id in ids:
            check_journal(journals["rest", task_id])
            assert len(journals["rest", task_id]) >= 300
        for log in logs:
            assert log.ended
            whole = [journals[protocol, log.task_id][seq] for seq, (protocol, _) in enumerate(log.events)]
            assert [event for _, event in log.events] == whole
            assert len(log.events) == len(journals["rest", log.task_id])
        assert gateway.complaints() == []
    assert pace.cuts >= CUTS
    assert pace.while_live >= CUTS * 0.9
