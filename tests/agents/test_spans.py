"""Every step is a span, in its place in the tree; nothing that was said is in one."""

from pathlib import Path

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from app.telemetry.tracing import open_tracing
from tests.agents.world import open_world
from tests.llm.script import calls, says
from tests.llm.server import scripted_llm


def tree(spans: list[ReadableSpan]) -> list[str]:
    """Each span as its names from the root on, in the order they began."""
    by_id = {span.context.span_id: span for span in spans if span.context}

    def path(span: ReadableSpan) -> str:
        above = by_id.get(span.parent.span_id) if span.parent else None
        return f"{path(above)} > {span.name}" if above else span.name

    return [path(span) for span in sorted(spans, key=lambda span: span.start_time or 0)]


async def test_a_task_is_a_tree_of_spans(tmp_path: Path) -> None:
    exporter = InMemorySpanExporter()
    tracing = open_tracing(
        [SimpleSpanProcessor(exporter)], service_name="test", service_version="0", instance_id="1"
    )
    script = [calls("look"), calls("fail"), says("a secret answer")]
    async with open_world(tmp_path, tracing=tracing) as world, scripted_llm(script) as llm:
        await world.finish("a secret question", llm=llm)

    spans = list(exporter.get_finished_spans())
    agent = "task > invoke_agent default"
    assert tree(spans) == [
        "queue.wait",
        "task",
        agent,
        f"{agent} > chat gpt-test",
        f"{agent} > execute_tool look",
        f"{agent} > execute_tool look > sandbox.step",
        f"{agent} > chat gpt-test",
        f"{agent} > execute_tool fail",
        f"{agent} > chat gpt-test",
    ]
    chat = next(span for span in spans if span.name == "chat gpt-test")
    failed = next(span for span in spans if span.name == "execute_tool fail")
    assert chat.attributes is not None
    assert chat.attributes["gen_ai.usage.input_tokens"] == 11
    assert chat.attributes["gen_ai.provider.name"] == "openai"
    assert failed.attributes is not None
    assert failed.attributes["error.type"] == "TOOL_FAILED"
    assert "secret" not in "".join(span.to_json() for span in spans)
    await tracing.aclose()
