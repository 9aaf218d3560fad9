"""A task's own limits: tokens, cost, steps; and what is counted."""

from app.domain.configuration import TaskLimits
from app.domain.events import ModelResponded, StepFinished
from app.domain.tasks import TaskState
from tests.agents.world import World
from tests.llm.script import calls, says
from tests.llm.server import scripted_llm


async def test_a_task_ends_when_its_tokens_are_used_up(world: World) -> None:
    script = [calls("add", a=1, b=2) for _ in range(10)]
    async with scripted_llm(script) as llm:
        task = await world.finish("count", llm=llm, limits=TaskLimits(max_tokens=40))

    assert (task.state, task.failure and task.failure.reason) == (TaskState.FAILED, "TOKEN_LIMIT")
    assert len(llm.requests) == 3  # 18 tokens each
    assert len(await world.events(task, ModelResponded)) == 3
    assert len(world.tools.calls) == 2
    assert task.statistics.input_tokens + task.statistics.output_tokens == 54


async def test_a_cost_limit_needs_a_known_price(world: World) -> None:
    async with scripted_llm([says("free?")]) as llm:
        task = await world.finish("cost", llm=llm, limits=TaskLimits(max_cost_usd=1.0))

    assert (task.state, task.failure and task.failure.reason) == (TaskState.FAILED, "COST_LIMIT")
    assert task.statistics.cost_usd is None


async def test_a_task_ends_when_its_steps_are_used_up(world: World) -> None:
    script = [calls("step") for _ in range(10)]
    async with scripted_llm(script) as llm:
        task = await world.finish("walk", llm=llm, limits=TaskLimits(max_steps=3))

    assert (task.state, task.failure and task.failure.reason) == (TaskState.FAILED, "STEP_LIMIT")
    assert len(await world.events(task, StepFinished)) == 3


async def test_the_last_step_may_be_followed_by_the_answer(world: World) -> None:
    async with scripted_llm([*(calls("step") for _ in range(3)), says("arrived")]) as llm:
        task = await world.finish("walk", llm=llm, limits=TaskLimits(max_steps=3))

    assert (task.state, task.statistics.steps) == (TaskState.SUCCEEDED, 3)


async def test_turns_without_a_sandbox_are_bounded_by_the_steps_too(world: World) -> None:
    async with scripted_llm([calls("add", a=1, b=2) for _ in range(10)]) as llm:
        task = await world.finish("loop", llm=llm, limits=TaskLimits(max_steps=3))

    assert (task.state, task.failure and task.failure.reason) == (TaskState.FAILED, "STEP_LIMIT")
    assert len(world.tools.calls) == 3


async def test_more_than_fifty_turns_are_no_limit_of_ours(world: World) -> None:
    async with scripted_llm([*(calls("add", a=1, b=2) for _ in range(60)), says("done")]) as llm:
        task = await world.finish("long", llm=llm, limits=TaskLimits(max_steps=100))

    assert (task.state, task.statistics.turns) == (TaskState.SUCCEEDED, 61)
