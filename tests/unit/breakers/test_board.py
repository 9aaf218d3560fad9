"""Circuits of a process: who is let through at once, what is told, and how many are kept."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

import pytest

from app.breakers.board import CircuitBoard, CircuitOpenError, Target
from app.domain.breaker import BreakerPolicy, CircuitState, Verdict

POLICY = BreakerPolicy(window_s=10, min_calls=3, failure_ratio=0.5, open_s=2, max_open_s=8, probes=2)
TARGET = Target(kind="webhook", label="receiver", host="hooks.example.org:443")


class RefusedError(Exception):
    """The other end fails."""


class MistakenError(Exception):
    """The caller's own fault."""


def classify(error: BaseException) -> Verdict:
    return Verdict.FAILURE if isinstance(error, RefusedError) else Verdict.NEUTRAL


@dataclass
class Ledger:
    """An observer that keeps what it is told."""

    changes: list[tuple[str, str, str]] = field(default_factory=list)
    refusals: int = 0
    verdicts: list[Verdict] = field(default_factory=list)

    def changed(self, target: Target, before: CircuitState, after: CircuitState) -> None:
        self.changes.append((target.host, before.value, after.value))

    def refused(self, target: Target) -> None:
        self.refusals += 1

    def settled(self, target: Target, verdict: Verdict) -> None:
        self.verdicts.append(verdict)


class Clock:
    now_s = 0.0


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
def board(clock: Clock, ledger: Ledger) -> CircuitBoard:
    return CircuitBoard(POLICY, observer=ledger, now_s=lambda: clock.now_s, capacity=4)


def fail(board: CircuitBoard, target: Target = TARGET, times: int = 3) -> None:
    for _ in range(times):
        with pytest.raises(RefusedError), board.circuit(target).attempt(classify):
            raise RefusedError


async def test_calls_are_not_made_once_it_is_open_and_again_when_it_has_recovered(
    board: CircuitBoard, clock: Clock, ledger: Ledger
) -> None:
    fail(board)

    with pytest.raises(CircuitOpenError) as refused, board.circuit(TARGET).attempt(classify):
        pytest.fail("the call was made")
    assert refused.value.retry_after.total_seconds() == 2
    clock.now_s = 2
    for _ in range(2):
        with board.circuit(TARGET).attempt(classify):
            pass

    assert board.circuit(TARGET).state is CircuitState.CLOSED
    assert [(before, after) for _, before, after in ledger.changes] == [
        ("closed", "open"),
        ("open", "half_open"),
        ("half_open", "closed"),
    ]
    assert ledger.refusals == 1
    assert ledger.verdicts == [Verdict.FAILURE] * 3 + [Verdict.SUCCESS] * 2


async def test_mistakes_cancellations_and_deadlines_of_callers_open_nothing(board: CircuitBoard) -> None:
    circuit = board.circuit(TARGET)
    for _ in range(10):
        with pytest.raises(MistakenError), circuit.attempt(classify):
            raise MistakenError
        with pytest.raises(TimeoutError), circuit.attempt(lambda _: Verdict.NEUTRAL):
            async with asyncio.timeout(0):
                await asyncio.Event().wait()
    started, callers = asyncio.Event(), []

    async def call() -> None:
        with circuit.attempt(classify):
            started.set()
            await asyncio.Event().wait()

    async with asyncio.TaskGroup() as group:
        callers = [group.create_task(call()) for _ in range(10)]
        await started.wait()
        for caller in callers:
            caller.cancel()

    assert circuit.state is CircuitState.CLOSED


async def test_of_a_thousand_who_come_at_once_exactly_the_probes_are_let_through(
    board: CircuitBoard, clock: Clock
) -> None:
    fail(board)
    clock.now_s = 2
    made, let_go, refused = 0, asyncio.Event(), 0

    async def call() -> None:
        nonlocal made, refused
        try:
            with board.circuit(TARGET).attempt(classify):
                made += 1
                await let_go.wait()
        except CircuitOpenError:
            refused += 1

    async with asyncio.TaskGroup() as group:
        for _ in range(1_000):
            group.create_task(call())
        while made + refused < 1_000:
            await asyncio.sleep(0)
        let_go.set()

    assert (made, refused) == (2, 998)
    assert board.circuit(TARGET).state is CircuitState.CLOSED


async def test_a_cancelled_probe_leaves_its_place_to_the_next(board: CircuitBoard, clock: Clock) -> None:
    fail(board)
    clock.now_s = 2
    circuit = board.circuit(TARGET)

    async def call() -> None:
        with circuit.attempt(classify):
            await asyncio.Event().wait()

    async with asyncio.TaskGroup() as group:
        probes = [group.create_task(call()) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(CircuitOpenError):
            circuit.enter()
        for probe in probes:
            probe.cancel()
    for _ in range(2):
        circuit.enter().settle(Verdict.SUCCESS)

    assert circuit.state is CircuitState.CLOSED


async def test_a_stream_that_its_reader_leaves_says_nothing(board: CircuitBoard, ledger: Ledger) -> None:
    async def stream() -> AsyncGenerator[int]:
        with board.circuit(TARGET).attempt(classify):
            while True:
                yield 1

    items = stream()
    await anext(items)
    await items.aclose()

    assert ledger.verdicts == [Verdict.NEUTRAL]


async def test_an_attempt_is_settled_once(board: CircuitBoard, ledger: Ledger) -> None:
    attempt = board.circuit(TARGET).enter()

    attempt.settle(Verdict.SUCCESS)
    attempt.settle(Verdict.FAILURE)

    assert ledger.verdicts == [Verdict.SUCCESS]


async def test_answers_that_break_off_late_open_it_too(board: CircuitBoard) -> None:
    circuit = board.circuit(TARGET)
    for _ in range(2):
        circuit.enter().settle(Verdict.SUCCESS)
        circuit.note_failure()

    assert circuit.state is CircuitState.OPEN


async def test_each_other_end_has_a_circuit_of_its_own(board: CircuitBoard) -> None:
    fail(board)

    with board.circuit(Target(kind="webhook", label="receiver", host="other:443")).attempt(classify):
        pass


async def test_naming_many_endpoints_keeps_no_more_than_the_bound_and_closes_no_circuit(
    board: CircuitBoard,
) -> None:
    fail(board)
    for number in range(100):
        with board.circuit(Target(kind="webhook", label="receiver", host=str(number))).attempt(classify):
            pass

    assert len(board.circuits()) == 4
    assert board.circuit(TARGET).state is CircuitState.OPEN


async def test_gauges_add_up_when_an_open_circuit_is_forgotten(board: CircuitBoard, ledger: Ledger) -> None:
    hosts = [Target(kind="webhook", label="receiver", host=str(number)) for number in range(5)]
    straggler = board.circuit(hosts[0])
    late = [straggler.enter() for _ in range(2)]
    for host in hosts:
        fail(board, host)

    for attempt in late:
        attempt.settle(Verdict.FAILURE)

    assert ledger.changes.count(("0", "closed", "open")) == 1
    assert ledger.changes.count(("0", "open", "closed")) == 1
    assert len(board.circuits()) == 4
