"""What a message of a webhook says of a task: where it stands, and what came of it."""

from typing import Final

from app.domain.tasks import Task
from app.domain.webhooks import time_text

MAX_OUTPUT_CHARS: Final = 16_384
"""Of a result; the whole is read from the task."""
MAX_PROMPT_CHARS: Final = 4_096


def task_data(task: Task, *, seq: int, position: int) -> dict[str, object]:
    """`data` of a message as JSON values: the event's numbers, and the task after the change."""
    return {"seq": seq, "position": position, "task": _told(task)}


def _told(task: Task) -> dict[str, object]:
    told: dict[str, object] = {
        "id": task.id,
        "state": task.state.value,
        "agent_id": task.spec.agent.id,
        "metadata": dict(task.spec.metadata),
        "create_time": time_text(task.created_at),
        "update_time": time_text(task.updated_at),
        "last_seq": task.last_seq,
    }
    if task.spec.session_id is not None:
        told["session_id"] = task.spec.session_id
    if task.ended_at is not None:
        told["end_time"] = time_text(task.ended_at)
    if task.pending:
        told["pending_inputs"] = [
            {"id": one.id, "kind": one.kind, "prompt": one.prompt[:MAX_PROMPT_CHARS]} for one in task.pending
        ]
    if task.failure is not None:
        told["failure"] = {
            "reason": task.failure.reason,
            "message": task.failure.message[:MAX_PROMPT_CHARS],
        }
    if task.result is not None:
        output = task.result.output
        told["result"] = {
            "output": output[:MAX_OUTPUT_CHARS],
            "output_truncated": len(output) > MAX_OUTPUT_CHARS,
            "artifacts": [
                {
                    "digest": ref.digest,
                    "name": ref.name,
                    "media_type": ref.media_type,
                    "size_bytes": ref.size_bytes,
                }
                for ref in task.result.artifacts
            ],
        }
    if task.state.terminal:
        counted = task.statistics
        told["statistics"] = {
            "steps": counted.steps,
            "turns": counted.turns,
            "tool_calls": counted.tool_calls,
            "input_tokens": counted.input_tokens,
            "output_tokens": counted.output_tokens,
            "cost_usd": counted.cost_usd,
            "running_s": counted.running_s,
        }
    return told
