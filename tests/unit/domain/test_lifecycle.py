"""The state machine alone: legal moves, refused ones, and what each commits."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain import lifecycle
from app.domain.errors import (
    DomainError,
    IllegalTransitionError,
    InvalidRequestError,
    NotWaitingError,
    StaleOwnerError,
    TaskEndedError,
)
from app.domain.events import TERMINAL_EVENTS, TaskPaused, TaskQueued, TaskResumed
from app.domain.tasks import InputAnswer, InputRequest, Statistics, Task, TaskFailure, TaskResult, TaskState
from tests.tasks_made import AT, a_task

LATER = AT + timedelta(seconds=10)
DONE = TaskResult(output="done")
NONE = Statistics()
ASK = InputRequest(id="c1", kind="approval", prompt="May I?")
ASK_TEXT = InputRequest(id="c2", kind="text", prompt="Which?")

DECISIONS: dict[str, Callable[[Task], lifecycle.Decision]] = {
    "claim": lambda task: lifecycle.claimed(LATER, ticket=task.ticket, max_recoveries=2),
    "progress": lambda _: lifecycle.progressed(LATER),
    "succeed": lambda _: lifecycle.succeeded(DONE, NONE, LATER),
    "fail": lambda _: lifecycle.failed(TaskFailure(reason="X", message="x"), LATER),
    "cancel": lambda _: lifecycle.cancelled("stop", "me", LATER),
    "pause": lambda _: lifecycle.pause_requested(LATER),
    "park": lambda _: lifecycle.paused(LATER, statistics=NONE),
    "resume": lambda _: lifecycle.resumed(LATER),
    "ask": lambda _: lifecycle.waiting((ASK, ASK_TEXT), LATER, statistics=NONE),
    "approve": lambda _: lifecycle.answered(InputAnswer(request_id="c1", approved=True), LATER),
    "tell": lambda _: lifecycle.answered(InputAnswer(request_id="c2", text="this"), LATER),
    "release": lambda _: lifecycle.released(LATER, "handed_over"),
    "expire": lambda _: lifecycle.expired(LATER),
}


def queued() -> Task:
    return lifecycle.submitted(a_task()).task


def running() -> Task:
    return DECISIONS["claim"](queued())(queued()).task


@given(st.lists(st.sampled_from(sorted(DECISIONS)), max_size=30))
def test_no_sequence_of_decisions_leaves_the_table_or_a_terminal_state(names: list[str]) -> None:
    task = queued()
    for name in names:
        try:
            change = DECISIONS[name](task)(task)
        except DomainError:
            continue
        moved = change.task.state
        assert moved is task.state or moved in lifecycle.TRANSITIONS[task.state]
        assert not (task.state.terminal and (change.events or change.task != task))
        ends = [event for event in change.events if isinstance(event, TERMINAL_EVENTS)]
        assert len(ends) == (moved.terminal and not task.state.terminal)
        assert not ends or change.events[-1] is ends[0]
        assert change.enqueue == (moved is TaskState.QUEUED and task.state is not TaskState.QUEUED)
        task = change.task


def test_every_state_has_a_row_in_the_table() -> None:
    assert set(lifecycle.TRANSITIONS) == set(TaskState)


def test_an_entry_from_before_a_pause_claims_nothing() -> None:
    first = queued()
    parked = DECISIONS["pause"](first)(first).task
    again = DECISIONS["resume"](parked)(parked).task

    with pytest.raises(StaleOwnerError):
        lifecycle.claimed(LATER, ticket=first.ticket, max_recoveries=2)(again)


def test_a_task_that_kills_its_owners_fails_with_a_stated_reason() -> None:
    task = running()
    for _ in range(2):
        task = DECISIONS["claim"](task)(task).task
        assert task.state is TaskState.RUNNING

    ended = DECISIONS["claim"](task)(task).task

    assert ended.failure is not None
    assert (ended.state, ended.failure.reason) == (TaskState.FAILED, "TOO_MANY_ATTEMPTS")


def test_a_checkpoint_forgives_the_owners_that_died_before_it() -> None:
    task = replace(running(), recoveries=2)

    moved = lifecycle.progressed(LATER, turn=1)(task).task

    assert moved.recoveries == 0


def test_cancelling_twice_changes_nothing() -> None:
    cancelled = DECISIONS["cancel"](queued())(queued()).task

    again = DECISIONS["cancel"](cancelled)(cancelled)

    assert again == lifecycle.Change(task=cancelled)


def test_cancelling_a_task_that_ended_otherwise_is_an_error() -> None:
    ended = DECISIONS["succeed"](running())(running()).task

    with pytest.raises(TaskEndedError):
        DECISIONS["cancel"](ended)(ended)


def test_the_running_time_up_to_a_cancel_is_counted() -> None:
    task = running()
    at = LATER + timedelta(seconds=3)

    cancelled = lifecycle.cancelled("stop", "me", at)(task).task

    assert cancelled.statistics.running_s == pytest.approx(3)


def test_a_pause_not_carried_out_can_be_taken_back() -> None:
    asked = DECISIONS["pause"](running())(running()).task

    change = DECISIONS["resume"](asked)(asked)

    assert change.events == (TaskResumed(),)
    assert (change.task.state, change.task.pause_requested) == (TaskState.RUNNING, False)


def test_a_drained_run_that_was_to_pause_is_paused() -> None:
    asked = DECISIONS["pause"](running())(running()).task

    change = DECISIONS["release"](asked)(asked)

    assert (change.task.state, change.events) == (TaskState.PAUSED, (TaskPaused(),))


def test_a_task_goes_on_when_its_last_question_is_answered() -> None:
    waiting = DECISIONS["ask"](running())(running()).task
    half = DECISIONS["approve"](waiting)(waiting).task
    assert half.state is TaskState.WAITING

    change = DECISIONS["tell"](half)(half)

    assert change.task.state is TaskState.QUEUED
    assert change.events[-1] == TaskQueued(cause="input")
    assert [answer.request_id for answer in change.task.answers] == ["c1", "c2"]


def test_a_question_is_answered_once() -> None:
    waiting = DECISIONS["ask"](running())(running()).task
    half = DECISIONS["approve"](waiting)(waiting).task

    with pytest.raises(NotWaitingError):
        DECISIONS["approve"](half)(half)


def test_an_approval_is_not_answered_with_words() -> None:
    waiting = DECISIONS["ask"](running())(running()).task

    with pytest.raises(InvalidRequestError) as caught:
        lifecycle.answered(InputAnswer(request_id="c1", text="yes"), LATER)(waiting)

    assert caught.value.violations[0].field == "approved"


def test_only_an_overdue_task_expires() -> None:
    fresh = replace(queued(), expires_at=LATER + timedelta(seconds=1))
    overdue = replace(queued(), expires_at=LATER)

    assert DECISIONS["expire"](fresh)(fresh).task is fresh
    assert DECISIONS["expire"](overdue)(overdue).task.state is TaskState.EXPIRED


def test_resuming_a_queued_task_is_refused_with_its_state() -> None:
    with pytest.raises(IllegalTransitionError) as caught:
        DECISIONS["resume"](queued())(queued())

    assert caught.value.facts["state"] == "queued"
