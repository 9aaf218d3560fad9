"""`TaskService`."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import timedelta

from app.domain.ids import TaskId
from app.policy.deadlines import extend_default_deadline
from app.service.agent_service import AgentService
from app.service.tasks import MAX_WAIT
from grpc_service.errors import RpcContext
from grpc_service.gen.agentgateway.v1 import task_service_pb2 as pb
from grpc_service.interceptors.calls import call_from, keyed_call_from
from grpc_service.native.events import event_messages
from grpc_service.native.mapping.events import event_to_proto
from grpc_service.native.mapping.tasks import (
    input_answer_from_proto,
    new_task_from_proto,
    task_filter_from_proto,
    task_to_proto,
)
from grpc_service.native.mapping.values import duration_from_proto, id_from_proto
from grpc_service.native.pages import MAX_PAGE_BYTES, fitting


class TaskServicer:
    """agentgateway.v1.TaskService over AgentService: translate in, call once, translate out."""

    def __init__(self, agents: AgentService) -> None:
        self._agents = agents

    async def SubmitTask(self, request: pb.SubmitTaskRequest, context: RpcContext) -> pb.SubmitTaskResponse:
        wait = duration_from_proto("wait", request.wait) if request.HasField("wait") else None
        if wait is not None and timedelta(0) < wait <= MAX_WAIT:
            extend_default_deadline(wait)
        call = keyed_call_from(context, request.request_id)
        submission = await self._agents.tasks.submit(call, new_task_from_proto(request.task), wait=wait)
        return pb.SubmitTaskResponse(task=task_to_proto(submission.task))

    async def RunTask(self, request: pb.RunTaskRequest, context: RpcContext) -> AsyncGenerator[bytes, None]:
        call = keyed_call_from(context, request.request_id)
        submission, watch = await self._agents.tasks.run(call, new_task_from_proto(request.task))
        # The task shares the first message with its first events: nothing is awaited between accepting
        # the task and entering its stream, whose end may have to cancel it.
        head = pb.RunTaskResponse(task=task_to_proto(submission.task)).SerializeToString()
        if watch.finished:
            yield head
            return
        async with aclosing(event_messages(watch.items, head=head)) as messages:
            async for message in messages:
                yield message

    async def GetTask(self, request: pb.GetTaskRequest, context: RpcContext) -> pb.GetTaskResponse:
        task = await self._agents.tasks.get(call_from(context), _task_id(request.task_id))
        return pb.GetTaskResponse(task=task_to_proto(task))

    async def ListTasks(self, request: pb.ListTasksRequest, context: RpcContext) -> pb.ListTasksResponse:
        call, where = call_from(context), task_filter_from_proto(request)

        async def page(size: int) -> pb.ListTasksResponse:
            found = await self._agents.tasks.page(call, where, size=size, cursor=request.cursor)
            return pb.ListTasksResponse(
                tasks=[task_to_proto(task) for task in found.items], next_cursor=found.next_cursor or ""
            )

        return await fitting(page, request.page_size)

    async def WatchTask(
        self, request: pb.WatchTaskRequest, context: RpcContext
    ) -> AsyncGenerator[bytes, None]:
        watch = await self._agents.streams.watch(
            call_from(context), _task_id(request.task_id), after=request.after_seq
        )
        async with aclosing(event_messages(watch.items)) as messages:
            async for message in messages:
                yield message

    async def WatchTasks(
        self, request: pb.WatchTasksRequest, context: RpcContext
    ) -> AsyncGenerator[bytes, None]:
        after = request.after_position if request.HasField("after_position") else None
        watch = await self._agents.streams.watch_all(call_from(context), after=after)
        async with aclosing(event_messages(watch.items)) as messages:
            async for message in messages:
                yield message

    async def ListTaskEvents(
        self, request: pb.ListTaskEventsRequest, context: RpcContext
    ) -> pb.ListTaskEventsResponse:
        page = await self._agents.streams.page(
            call_from(context), _task_id(request.task_id), after=request.after_seq, size=request.page_size
        )
        answer = pb.ListTaskEventsResponse(next_after_seq=page.next_after or 0)
        weight = 0
        for journaled in page.events:
            event = event_to_proto(journaled)
            weight += event.ByteSize()
            if weight > MAX_PAGE_BYTES and answer.events:
                answer.next_after_seq = answer.events[-1].seq
                break
            answer.events.append(event)
        return answer

    async def CancelTask(self, request: pb.CancelTaskRequest, context: RpcContext) -> pb.CancelTaskResponse:
        task = await self._agents.tasks.cancel(
            call_from(context), _task_id(request.task_id), reason=request.reason or None
        )
        return pb.CancelTaskResponse(task=task_to_proto(task))

    async def PauseTask(self, request: pb.PauseTaskRequest, context: RpcContext) -> pb.PauseTaskResponse:
        task = await self._agents.tasks.pause(call_from(context), _task_id(request.task_id))
        return pb.PauseTaskResponse(task=task_to_proto(task))

    async def ResumeTask(self, request: pb.ResumeTaskRequest, context: RpcContext) -> pb.ResumeTaskResponse:
        task = await self._agents.tasks.resume(call_from(context), _task_id(request.task_id))
        return pb.ResumeTaskResponse(task=task_to_proto(task))

    async def ProvideInput(
        self, request: pb.ProvideInputRequest, context: RpcContext
    ) -> pb.ProvideInputResponse:
        task = await self._agents.tasks.provide_input(
            call_from(context), _task_id(request.task_id), input_answer_from_proto(request)
        )
        return pb.ProvideInputResponse(task=task_to_proto(task))

    async def DeleteTask(self, request: pb.DeleteTaskRequest, context: RpcContext) -> pb.DeleteTaskResponse:
        await self._agents.tasks.delete(call_from(context), _task_id(request.task_id))
        return pb.DeleteTaskResponse()


def _task_id(value: str) -> TaskId:
    return TaskId(id_from_proto("task", "task_id", value))
