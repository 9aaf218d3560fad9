"""The life of a task as a table, and every legal change as a pure function.

A change is decided from the task as it stands *inside* the store's transaction: the store loads
the row, calls the decision, and commits the new row and its events together. So no caller ever
reads, checks and writes in three steps, and the state machine lives in this file alone.

                    +------------------------------------------+
                    v                                          |
    SUBMITTED -> QUEUED -> RUNNING -> WAITING --- input -------+
                    |         |  \\--> PAUSED ----- resume ------+
                    |         |         ^
                    +---------|---------+  (a queued task pauses at once)
                              v
             SUCCEEDED | FAILED | CANCELLED | EXPIRED
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from app.domain.errors import (
    DomainError,
    IllegalTransitionError,
    InvalidRequestError,
    NotWaitingError,
    StaleOwnerError,
    TaskEndedError,
)
from app.domain.events import (
    InputProvided,
    InputRequested,
    PauseRequested,
    TaskCancelled,
    TaskEvent,
    TaskExpired,
    TaskFailed,
    TaskPaused,
    TaskQueued,
    TaskResumed,
    TaskStarted,
    TaskSubmitted,
    TaskSucceeded,
)
from app.domain.tasks import (
    InputAnswer,
    InputRequest,
    Statistics,
    Task,
    TaskFailure,
    TaskResult,
    TaskState,
)

S = TaskState
Messages = tuple[bytes, ...]
Events = tuple[TaskEvent, ...]
TRANSITIONS: dict[TaskState, frozenset[TaskState]] = {
    S.SUBMITTED: frozenset({S.QUEUED, S.CANCELLED, S.EXPIRED, S.FAILED}),
    S.QUEUED: frozenset({S.RUNNING, S.PAUSED, S.CANCELLED, S.EXPIRED, S.FAILED}),
    S.RUNNING: frozenset({S.QUEUED, S.WAITING, S.PAUSED, S.SUCCEEDED, S.FAILED, S.CANCELLED}),
    S.WAITING: frozenset({S.QUEUED, S.CANCELLED, S.EXPIRED, S.FAILED}),
    S.PAUSED: frozenset({S.QUEUED, S.CANCELLED, S.EXPIRED, S.FAILED}),
    S.SUCCEEDED: frozenset(),
    S.FAILED: frozenset(),
    S.CANCELLED: frozenset(),
    S.EXPIRED: frozenset(),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What to commit: the task's new row, its events, and what belongs to the same transaction.

    `messages` are appended to the task's transcript (encoded model messages). `enqueue` puts the
    task on the queue in the same transaction. No events and an unchanged task is a no-op.
    """

    task: Task
    events: tuple[TaskEvent, ...] = ()
    messages: tuple[bytes, ...] = ()
    enqueue: bool = False


Decision = Callable[[Task], Change]
"""Decides a change from the task as it stands; raises DomainError to refuse. Pure and quick."""


def submitted(task: Task) -> Change:
    """A new task, straight to the queue. `task.state` is SUBMITTED and has no events yet."""
    spec = task.spec
    events = (
        TaskSubmitted(instruction=spec.instruction, agent=spec.agent.id, session_id=spec.session_id),
        TaskQueued(cause="submitted"),
    )
    queued = replace(task, state=_to(task, S.QUEUED), ticket=task.ticket + 1)
    return Change(task=queued, events=events, enqueue=True)


def claimed(at: datetime, *, ticket: int, max_recoveries: int) -> Decision:
    """A worker takes a queued task, or (same ticket, handed out again) one whose owner is dead.

    The epoch rises. An entry with an old ticket raises StaleOwnerError. A task whose owners died
    `max_recoveries` times since its last checkpoint fails with TOO_MANY_ATTEMPTS: it kills them.
    """

    def decide(task: Task) -> Change:
        if task.state not in (S.QUEUED, S.RUNNING):
            raise _refused(task, "claim")
        if task.ticket != ticket:
            raise StaleOwnerError(f"task {task.id} was queued again since", task_id=task.id)
        recoveries = task.recoveries + (task.state is S.RUNNING)
        if recoveries > max_recoveries:
            message = f"given up: {recoveries} workers in a row were lost while carrying it out"
            return failed(TaskFailure(reason="TOO_MANY_ATTEMPTS", message=message), at)(task)
        started = replace(
            task,
            state=S.RUNNING,
            epoch=task.epoch + 1,
            recoveries=recoveries,
            started_at=task.started_at or at,
            counted_at=at,
            updated_at=at,
            expires_at=None,
        )
        return Change(task=started, events=(TaskStarted(epoch=started.epoch),))

    return decide


def progressed(
    at: datetime,
    *events: TaskEvent,
    statistics: Statistics | None = None,
    messages: tuple[bytes, ...] = (),
    turn: int | None = None,
    **fields: object,
) -> Decision:
    """The owner reports events, and at the end of a turn its checkpoint, in one transaction."""

    def decide(task: Task) -> Change:
        _owned(task)
        moved = replace(
            task,
            updated_at=at,
            statistics=statistics or task.statistics,
            counted_at=at if statistics else task.counted_at,
            turn=task.turn if turn is None else turn,
            recoveries=task.recoveries if turn is None else 0,
            **fields,  # pyright: ignore[reportArgumentType]
        )
        return Change(task=moved, events=events, messages=messages)

    return decide


def succeeded(
    result: TaskResult, statistics: Statistics, at: datetime, *, messages: Messages = (), events: Events = ()
) -> Decision:
    """The owner is done; `events` are the last ones before the end."""

    def decide(task: Task) -> Change:
        _owned(task)
        ended = replace(_ended(task, S.SUCCEEDED, at), result=result, statistics=statistics)
        end = TaskSucceeded(result=result, statistics=statistics)
        return Change(task=ended, events=(*events, end), messages=messages)

    return decide


def failed(
    failure: TaskFailure | DomainError, at: datetime, *, statistics: Statistics | None = None
) -> Decision:
    """The task cannot go on, from any state but a terminal one."""
    if isinstance(failure, DomainError):
        failure = TaskFailure(reason=failure.reason, message=failure.message, kind=str(failure.kind))

    def decide(task: Task) -> Change:
        counted = statistics or task.statistics
        ended = replace(_ended(task, S.FAILED, at), failure=failure, statistics=counted)
        event = TaskFailed(reason=failure.reason, message=failure.message, statistics=counted)
        return Change(task=ended, events=(event,))

    return decide


def cancelled(cause: str, by: str, at: datetime) -> Decision:
    """Stop it, whatever it does. Idempotent: cancelling a cancelled task changes nothing."""

    def decide(task: Task) -> Change:
        if task.state is S.CANCELLED:
            return Change(task=task)
        counted = _with_time(task, at)
        ended = replace(
            _ended(task, S.CANCELLED, at),
            statistics=counted,
            failure=TaskFailure(reason="CANCELLED", message=cause, kind="cancelled"),
        )
        return Change(task=ended, events=(TaskCancelled(cause=cause, by=by, statistics=counted),))

    return decide


def expired(at: datetime) -> Decision:
    """A task that waited past its `expires_at`; a no-op for one that did not."""

    def decide(task: Task) -> Change:
        if task.expires_at is None or at < task.expires_at or task.state is S.RUNNING or task.state.terminal:
            return Change(task=task)
        waited_in = str(task.state)
        failure = TaskFailure(
            reason="EXPIRED", message=f"waited too long while {waited_in}", kind="deadline_exceeded"
        )
        ended = replace(_ended(task, S.EXPIRED, at), failure=failure)
        return Change(task=ended, events=(TaskExpired(waited_in=waited_in, statistics=task.statistics),))

    return decide


def pause_requested(at: datetime, *, expires_after: timedelta | None = None) -> Decision:
    """A queued task parks at once, a running one after its turn; idempotent."""

    def decide(task: Task) -> Change:
        if task.state is S.PAUSED or (task.state is S.RUNNING and task.pause_requested):
            return Change(task=task)
        if task.state is S.RUNNING:
            return Change(task=replace(task, pause_requested=True, updated_at=at), events=(PauseRequested(),))
        parked = replace(
            task, state=_to(task, S.PAUSED, "pause"), updated_at=at, expires_at=_later(at, expires_after)
        )
        return Change(task=parked, events=(PauseRequested(), TaskPaused()))

    return decide


def paused(at: datetime, *, statistics: Statistics, expires_after: timedelta | None = None) -> Decision:
    """The owner reached a turn's end and gives the task up."""

    def decide(task: Task) -> Change:
        _owned(task)
        parked = replace(
            task,
            state=S.PAUSED,
            pause_requested=False,
            statistics=statistics,
            updated_at=at,
            expires_at=_later(at, expires_after),
        )
        return Change(task=parked, events=(TaskPaused(),))

    return decide


def resumed(at: datetime) -> Decision:
    """A paused task goes back to the queue; a pause not yet carried out is taken back."""

    def decide(task: Task) -> Change:
        if task.state is S.RUNNING and task.pause_requested:
            return Change(task=replace(task, pause_requested=False, updated_at=at), events=(TaskResumed(),))
        if task.state is not S.PAUSED:
            raise _refused(task, "resume")
        queued = _requeued(task, "resumed", at)
        return replace(queued, events=(TaskResumed(), *queued.events))

    return decide


def waiting(
    requests: tuple[InputRequest, ...],
    at: datetime,
    *,
    statistics: Statistics,
    messages: Messages = (),
    events: Events = (),
    turn: int | None = None,
    expires_after: timedelta | None = None,
) -> Decision:
    """The owner parks the task until a person answers every request; `events` come before that."""

    def decide(task: Task) -> Change:
        _owned(task)
        expires_at = _later(at, expires_after)
        asked = tuple(replace(request, expires_at=expires_at) for request in requests)
        parked = replace(
            task,
            state=S.WAITING,
            pending=asked,
            answers=(),
            statistics=statistics,
            turn=task.turn if turn is None else turn,
            updated_at=at,
            expires_at=expires_at,
        )
        questions = tuple(InputRequested(request=r) for r in asked)
        return Change(task=parked, events=(*events, *questions), messages=messages)

    return decide


def answered(answer: InputAnswer, at: datetime) -> Decision:
    """A person answers one request, exactly once; with the last one the task is queued again."""

    def decide(task: Task) -> Change:
        if task.state.terminal:
            raise _refused(task, "answer")
        request = next((r for r in task.pending if r.id == answer.request_id), None)
        if task.state is not S.WAITING or request is None:
            raise NotWaitingError(
                f"task {task.id} does not wait for input {answer.request_id!r}",
                task_id=task.id,
                request_id=answer.request_id,
            )
        if request.kind == "approval" and answer.approved is None:
            raise InvalidRequestError.of(
                "approved", "this request asks for approval: say true or false", "REQUIRED"
            )
        if request.kind == "text" and answer.text is None:
            raise InvalidRequestError.of("text", "this request asks for text", "REQUIRED")
        event = InputProvided(
            request_id=answer.request_id, approved=answer.approved, text=answer.text, by=answer.by
        )
        left = tuple(r for r in task.pending if r.id != answer.request_id)
        told = replace(task, pending=left, answers=(*task.answers, answer), updated_at=at)
        if left:
            return Change(task=told, events=(event,))
        queued = _requeued(told, "input", at)
        return replace(queued, events=(event, *queued.events))

    return decide


def released(
    at: datetime,
    cause: Literal["recovered", "handed_over"],
    *,
    statistics: Statistics | None = None,
    expires_after: timedelta | None = None,
) -> Decision:
    """A running task goes back to the queue: its owner drains, was found dead at start, or lost its store.

    One that was to pause is paused instead, and expires like any other that is.
    """

    def decide(task: Task) -> Change:
        _owned(task)
        if task.pause_requested:
            return paused(at, statistics=statistics or task.statistics, expires_after=expires_after)(task)
        recoveries = task.recoveries + (cause == "recovered")
        counted = replace(task, statistics=statistics or task.statistics, recoveries=recoveries)
        return _requeued(counted, cause, at)

    return decide


def _requeued(
    task: Task, cause: Literal["submitted", "resumed", "input", "recovered", "handed_over"], at: datetime
) -> Change:
    queued = replace(task, state=_to(task, S.QUEUED), ticket=task.ticket + 1, updated_at=at, expires_at=None)
    event = TaskQueued(cause=cause)
    return Change(task=queued, events=(event,), enqueue=True)


def _ended(task: Task, state: TaskState, at: datetime) -> Task:
    return replace(
        task,
        state=_to(task, state),
        updated_at=at,
        ended_at=at,
        expires_at=None,
        pending=(),
        pause_requested=False,
    )


def _with_time(task: Task, at: datetime) -> Statistics:
    if task.state is not S.RUNNING or task.counted_at is None:
        return task.statistics
    running = task.statistics.running_s + max(0.0, (at - task.counted_at).total_seconds())
    return replace(task.statistics, running_s=round(running, 6))


def _to(task: Task, state: TaskState, verb: str | None = None) -> TaskState:
    if state not in TRANSITIONS[task.state]:
        raise _refused(task, verb or f"become {state}")
    return state


def _owned(task: Task) -> None:
    if task.state is not S.RUNNING:
        message = f"task {task.id} is {task.state}: its owner lost it"
        raise StaleOwnerError(message, task_id=task.id, state=task.state)


def _refused(task: Task, verb: str) -> DomainError:
    wrong = TaskEndedError if task.state.terminal else IllegalTransitionError
    return wrong(f"cannot {verb}: task {task.id} is {task.state}", task_id=task.id, state=task.state)


def _later(at: datetime, after: timedelta | None) -> datetime | None:
    return None if after is None else at + after
