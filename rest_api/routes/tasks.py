"""TaskService: submit, read, steer, forget."""

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query
from starlette.requests import Request
from starlette.responses import Response

from app.domain.ids import TaskId
from app.domain.tasks import InputAnswer
from app.policy.deadlines import extend_default_deadline
from app.service.inputs import Checks, metadata_into
from app.service.tasks import MAX_WAIT, Submission
from rest_api.disconnect import until_gone
from rest_api.negotiation import EVENT_STREAM, JSON, preferred, wait_of
from rest_api.routing import Agents, Call, ExchangeOf, OperationRoute, answer
from rest_api.schemas.tasks import (
    CancelTaskIn,
    ListTasksOut,
    ProvideInputIn,
    TaskIn,
    TaskOut,
    TasksQuery,
)
from rest_api.sse import OPENING, EventStream, task_frame, task_notice

router = APIRouter(route_class=OperationRoute, tags=["tasks"])

STREAM: dict[str, Any] = {"text/event-stream": {}}


@router.get("/v1/tasks/{task_id:id}", operation_id="getTask")
async def get_task(task_id: str, call: Call, agents: Agents) -> TaskOut:
    """The task as it stands."""
    return TaskOut.from_domain(await agents.tasks.get(call, TaskId(task_id)))


@router.post(
    "/v1/tasks",
    operation_id="submitTask",
    status_code=201,
    response_model=TaskOut,
    responses={
        201: {"description": "Accepted (and, with `Prefer: wait`, perhaps ended).", "content": STREAM},
        200: {
            "model": TaskOut,
            "description": "The idempotency key was used before: the first task.",
            "content": STREAM,
        },
    },
)
async def submit_task(
    body: TaskIn,
    call: Call,
    agents: Agents,
    exchange: ExchangeOf,
    request: Request,
    prefer: Annotated[str | None, Header(alias="Prefer", description="`wait=N`, in seconds.")] = None,
) -> Response:
    """Accept a task.

    Answers at once; with `Prefer: wait=N`, after at most N seconds (600) when it has ended by then;
    with `Accept: text/event-stream`, with its events to the terminal one, after an event `task`
    that has the task itself.
    """
    new = body.to_domain()
    if preferred(exchange.headers.get("accept"), JSON, EVENT_STREAM) == EVENT_STREAM:
        submission, watch = await agents.tasks.run(call, new)
        status, headers = _accepted(submission)
        return EventStream(
            watch.items,
            task_frame,
            exchange,
            opening=OPENING + task_notice(TaskOut.from_domain(submission.task)),
            status_code=status,
            headers=headers,
            deadline=call.deadline,
        )
    wait = wait_of(prefer)
    if wait is None:
        submission = await agents.tasks.submit(call, new)
        status, headers = _accepted(submission)
    else:
        if timedelta(0) < wait <= MAX_WAIT:
            extend_default_deadline(wait)
        submission = await until_gone(request.receive, agents.tasks.submit(call, new, wait=wait))
        status, headers = _accepted(submission)
        headers["Preference-Applied"] = f"wait={wait.seconds}"
    return answer(TaskOut.from_domain(submission.task), status, headers)


@router.get("/v1/tasks", operation_id="listTasks")
async def list_tasks(query: Annotated[TasksQuery, Query()], call: Call, agents: Agents) -> ListTasksOut:
    """The tasks, newest first, with stable cursors."""
    checks = Checks()
    metadata_into(checks, query.metadata or {})
    checks.identifier("session_id", query.session_id)
    checks.identifier("agent_id", query.agent_id)
    checks.done()
    page = await agents.tasks.page(call, query.to_filter(), size=query.page_size, cursor=query.cursor)
    return ListTasksOut(
        tasks=[TaskOut.from_domain(task) for task in page.items], next_cursor=page.next_cursor
    )


@router.post("/v1/tasks/{task_id:id}:cancel", operation_id="cancelTask")
async def cancel_task(task_id: str, body: CancelTaskIn, call: Call, agents: Agents) -> TaskOut:
    """Stop the task whatever it does; cancelling a cancelled task is no error."""
    return TaskOut.from_domain(await agents.tasks.cancel(call, TaskId(task_id), reason=body.reason))


@router.post("/v1/tasks/{task_id:id}:pause", operation_id="pauseTask")
async def pause_task(task_id: str, call: Call, agents: Agents) -> TaskOut:
    """Park the task: at once while it is queued, else after its current turn."""
    return TaskOut.from_domain(await agents.tasks.pause(call, TaskId(task_id)))


@router.post("/v1/tasks/{task_id:id}:resume", operation_id="resumeTask")
async def resume_task(task_id: str, call: Call, agents: Agents) -> TaskOut:
    """Put a paused task back on the queue."""
    return TaskOut.from_domain(await agents.tasks.resume(call, TaskId(task_id)))


@router.post("/v1/tasks/{task_id:id}/inputs/{input_id}", operation_id="provideInput")
async def provide_input(
    task_id: str, input_id: str, body: ProvideInputIn, call: Call, agents: Agents
) -> TaskOut:
    """Answer an input request, exactly once: words, or yes or no to an approval."""
    given = InputAnswer(request_id=input_id, text=body.text, approved=body.approved)
    return TaskOut.from_domain(await agents.tasks.provide_input(call, TaskId(task_id), given))


@router.delete("/v1/tasks/{task_id:id}", operation_id="deleteTask", status_code=204)
async def delete_task(task_id: str, call: Call, agents: Agents) -> None:
    """Forget an ended task with its events."""
    await agents.tasks.delete(call, TaskId(task_id))


def _accepted(submission: Submission) -> tuple[int, dict[str, str]]:
    headers = {"Location": f"/v1/tasks/{submission.task.id}"}
    if not submission.replayed:
        return 201, headers
    return 200, headers
