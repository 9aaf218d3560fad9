"""Calls with an idempotency key over the real store: who leaves, what fails, what is kept."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.domain.call import CallContext, Idempotency
from app.domain.errors import (
    DomainError,
    IdempotencyInProgressError,
    IdempotencyMismatchError,
    InvalidRequestError,
    NotConfiguredError,
    NotFoundError,
)
from app.domain.identity import Principal, TenantId
from app.domain.secrets import Secret
from app.domain.sessions import Session
from app.policy.use_cases import USE_CASES
from app.service.idempotency import (
    MAX_LEFT_PER_TENANT,
    Answers,
    KeyedCalls,
    PlainAnswers,
    fingerprint_of,
    idempotent,
)
from app.service.inputs import AgentInput
from app.service.keys import ISSUED
from app.storage.base import Stores
from app.storage.sealing import SecretBox, new_key
from app.storage.sqlite.opening import open_sqlite

T0 = datetime(2026, 1, 1, tzinfo=UTC)
CALL = CallContext(principal=Principal(subject="me"), request_id="r")
USE_CASE = "SessionService/CreateSession"
TEXT = PlainAnswers(str)


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = T0

    def __call__(self) -> datetime:
        return self.now


class Work:
    """Something to carry out: it counts, and ends when it is let."""

    def __init__(self, *, held: bool = False) -> None:
        self.count = 0
        self.begun = asyncio.Event()
        self.let = asyncio.Event()
        self.error: DomainError | None = None
        if not held:
            self.let.set()

    async def __call__(self) -> str:
        self.count += 1
        self.begun.set()
        await self.let.wait()
        if self.error is not None:
            raise self.error
        return f"answer {self.count}"


@asynccontextmanager
async def opened(path: Path, clock: Clock | None = None) -> AsyncGenerator[tuple[KeyedCalls, Stores]]:
    async with open_sqlite(path / "gateway.db", on_commit=lambda *_: None) as stores:
        keyed = KeyedCalls(
            stores.keyed_calls,
            sealer=SecretBox([new_key()]),
            now=clock or Clock(),
            ttl=timedelta(days=1),
        )
        yield keyed, stores
        await keyed.aclose()


async def once(
    keyed: KeyedCalls,
    work: Work,
    *,
    key: str = "k",
    asked: str = "x",
    call: CallContext = CALL,
    answers: Answers[str] = TEXT,
) -> tuple[str, bool]:
    given = Idempotency(key)
    answer = await keyed.once(
        call, given, use_case=USE_CASE, asked={"title": asked}, work=work, answers=answers
    )
    return answer, given.replayed


async def test_a_call_is_carried_out_once_and_answered_alike(tmp_path: Path) -> None:
    work = Work()
    async with opened(tmp_path) as (keyed, _):
        answers = [await once(keyed, work) for _ in range(3)]
        with pytest.raises(IdempotencyMismatchError):
            await once(keyed, work, asked="y")
        other = replace(CALL, principal=Principal(subject="another"))
        another = await once(keyed, work, call=other)

    assert answers == [("answer 1", False), ("answer 1", True), ("answer 1", True)]
    assert another == ("answer 2", False)


async def test_of_twenty_at_once_one_is_carried_out_and_the_others_are_told_to_come_back(
    tmp_path: Path,
) -> None:
    work = Work(held=True)
    async with opened(tmp_path) as (keyed, _), asyncio.timeout(20):
        refused = asyncio.Semaphore(0)

        async def come() -> object:
            try:
                return await once(keyed, work)
            except IdempotencyInProgressError:
                refused.release()
                return None

        async with asyncio.TaskGroup() as group:
            callers = [group.create_task(come()) for _ in range(20)]
            for _ in range(19):
                await refused.acquire()
            work.let.set()
    assert sorted(str(caller.result()) for caller in callers) == ["('answer 1', False)", *["None"] * 19]

    assert work.count == 1


async def test_who_leaves_does_not_stop_the_work_and_finds_its_answer(tmp_path: Path) -> None:
    work = Work(held=True)
    async with opened(tmp_path) as (keyed, _), asyncio.timeout(20):
        async with asyncio.TaskGroup() as group:
            caller = group.create_task(once(keyed, work))
            await work.begun.wait()
            caller.cancel()
        with pytest.raises(IdempotencyInProgressError):
            await once(keyed, work)
        [running] = keyed._running  # pyright: ignore[reportPrivateUsage]
        work.let.set()
        await asyncio.wait({running})

        assert await once(keyed, work) == ("answer 1", True)


async def test_of_the_calls_that_were_left_a_tenant_has_so_many_and_others_are_not_touched(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as (keyed, _), asyncio.timeout(20):

        async def leave(key: str, call: CallContext = CALL) -> asyncio.Task[object]:
            work, before = Work(held=True), set(keyed._running)  # pyright: ignore[reportPrivateUsage]
            async with asyncio.TaskGroup() as group:
                caller = group.create_task(once(keyed, work, key=key, call=call))
                await work.begun.wait()
                [running] = keyed._running - before  # pyright: ignore[reportPrivateUsage]
                caller.cancel()
            return running

        going_on = [await leave(str(number)) for number in range(MAX_LEFT_PER_TENANT)]
        too_many = await leave("one more")
        theirs = await leave(
            "theirs", replace(CALL, principal=Principal(subject="you", tenant=TenantId("other")))
        )
        await asyncio.wait({too_many})

        assert too_many.cancelled()
        assert not any(running.done() for running in (*going_on, theirs))
        for running in (*going_on, theirs):
            running.cancel()


async def test_a_failure_is_not_kept(tmp_path: Path) -> None:
    work = Work()
    work.error = NotFoundError("thing", "x")
    async with opened(tmp_path) as (keyed, _):
        for _ in range(2):
            with pytest.raises(NotFoundError):
                await once(keyed, work)
        work.error = None

        assert await once(keyed, work, asked="something else") == ("answer 3", False)


async def test_what_a_process_did_not_end_is_free_when_its_lease_is_over(tmp_path: Path) -> None:
    clock, cut, work = Clock(), Work(held=True), Work()
    async with opened(tmp_path, clock) as (keyed, stores), asyncio.timeout(20):
        async with asyncio.TaskGroup() as group:
            group.create_task(once(keyed, cut))
            await cut.begun.wait()
            [running] = keyed._running  # pyright: ignore[reportPrivateUsage]
            running.cancel()
        with pytest.raises(IdempotencyInProgressError):
            await once(keyed, work)
        clock.now += timedelta(seconds=30)

        assert await once(keyed, work) == ("answer 1", False)
    assert stores.backend == "sqlite"


@pytest.mark.parametrize("key", ["", "x" * 256, "a\nb", "\0"])
async def test_a_malformed_key_is_refused(tmp_path: Path, key: str) -> None:
    async with opened(tmp_path) as (keyed, _):
        with pytest.raises(InvalidRequestError):
            await once(keyed, Work(), key=key)


async def test_an_answer_from_before_there_was_a_key_to_seal_with_is_still_given(tmp_path: Path) -> None:
    async with opened(tmp_path) as (keyed, stores):
        before = KeyedCalls(stores.keyed_calls, sealer=None, now=Clock(), ttl=timedelta(days=1))
        assert await once(before, Work()) == ("answer 1", False)

        assert await once(keyed, Work()) == ("answer 1", True)
        lost = KeyedCalls(
            stores.keyed_calls, sealer=SecretBox([new_key()]), now=Clock(), ttl=timedelta(days=1)
        )
        await once(keyed, Work(), key="sealed")
        with pytest.raises(NotConfiguredError):
            await once(lost, Work(), key="sealed")


async def test_an_answer_is_sealed_at_rest(tmp_path: Path) -> None:
    class Secretive(PlainAnswers[str]):
        secret = True

    async with opened(tmp_path) as (keyed, stores):
        await once(keyed, Work(), answers=Secretive(str))
        assert await once(keyed, Work(), answers=Secretive(str)) == ("answer 1", True)
        weak = replace(CALL, principal=Principal(subject="me", scopes=frozenset({"keys:write"})))
        with pytest.raises(IdempotencyMismatchError):
            await once(keyed, Work(), call=weak, answers=Secretive(str))
        open_minded = KeyedCalls(stores.keyed_calls, sealer=None, now=Clock(), ttl=timedelta(days=1))
        with pytest.raises(NotConfiguredError):
            await once(open_minded, Work(), key="other", answers=Secretive(str))

    kept = _bytes_in(tmp_path)
    assert b"keyed_calls" in kept
    assert b"answer 1" not in kept
    assert ISSUED.secret


def _bytes_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir())


def test_what_is_asked_for_is_told_apart_by_every_value() -> None:
    asked = [
        {"agent": AgentInput(instructions="x")},
        {"agent": AgentInput(instructions="y")},
        {"at": T0},
        {"at": T0 + timedelta(microseconds=1)},
        {"key": Secret("a")},
        {"key": Secret("b")},
        {"scopes": frozenset({"a"})},
        {"arguments": {"b": 1, "a": [2]}},
    ]

    assert len({fingerprint_of(one) for one in asked}) == len(asked)
    assert fingerprint_of({"arguments": {"a": [2], "b": 1}}) == fingerprint_of(asked[-1])


def test_a_use_case_that_honours_keys_stands_in_the_table() -> None:
    assert USE_CASES[USE_CASE].takes_key
    with pytest.raises(TypeError, match="GetTask"):
        idempotent("TaskService/GetTask", PlainAnswers(Session))
