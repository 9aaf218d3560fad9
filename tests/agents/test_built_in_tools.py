"""The loop with the tools and the sandbox that every gateway has."""

from pathlib import Path

from app.domain.events import StepFinished, ToolReturned
from app.domain.tasks import InputAnswer, TaskState
from app.sandboxes.local.provider import LocalProvider
from app.tools.builtin.all import built_in_tools
from app.tools.egress import Egress
from app.tools.registry import ToolRegistry
from tests.agents.world import open_world
from tests.llm.script import calls, says
from tests.llm.server import scripted_llm


async def test_a_sum_is_computed_saved_and_read_back(tmp_path: Path) -> None:
    local = LocalProvider(tmp_path / "workspaces", max_workspace_bytes=1_000_000, max_workspace_files=100)
    script = [
        calls("calculator", expression="(42 + 58) * 3"),
        calls("write_file", path="total.txt", content="300"),
        calls("read_file", path="total.txt"),
        calls("read_file", path="nowhere.txt"),
        calls("ask_user", question="Is that all?"),
        says("total.txt holds 300"),
    ]
    real = (ToolRegistry(built_in_tools(Egress())), local)
    async with open_world(tmp_path, real=real) as world, scripted_llm(script) as llm:
        parked = await world.finish("compute, save and read back", llm=llm)
        assert parked.state is TaskState.WAITING
        await world.answer(parked, InputAnswer(request_id=parked.pending[0].id, text="yes"))
        task = await world.run(parked)

        returned = await world.events(task, ToolReturned)
        steps = await world.events(task, StepFinished)
        await local.aclose()

    assert task.result is not None
    assert task.result.output == "total.txt holds 300"
    assert [(event.tool, event.outcome) for event in returned] == [
        ("calculator", "ok"),
        ("write_file", "ok"),
        ("read_file", "ok"),
        ("read_file", "failed"),
        ("ask_user", "ok"),
    ]
    assert "300" in returned[0].output
    assert "300" in returned[2].output
    assert [step.action for step in steps] == ["write_file", "read_file", "read_file"]
    assert task.statistics.steps == 3
