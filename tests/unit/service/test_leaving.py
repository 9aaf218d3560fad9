"""`on_disconnect="cancel"`: a stream left before its end cancels its task, a finished one does not."""

from collections.abc import AsyncGenerator
from datetime import timedelta

import pytest

from app.domain.events import TaskSucceeded
from app.domain.tasks import Statistics, TaskResult
from app.service.feeds import Frame
from app.service.streams import DrainNotice, StreamItem
from app.service.tasks import _CancelsWhenLeft  # pyright: ignore[reportPrivateUsage]
from tests.unit.service.test_streams import FakeJournal, said

END = TaskSucceeded(result=TaskResult(output="x"), statistics=Statistics())


async def stream(*items: StreamItem) -> AsyncGenerator[StreamItem, None]:
    for item in items:
        yield item


@pytest.mark.parametrize(
    ("read", "ends", "cancels"),
    [(0, False, True), (1, False, True), (1, True, False)],
    ids=["before its beginning", "in the middle", "after its end"],
)
async def test_only_a_stream_left_before_its_end_cancels(read: int, ends: bool, cancels: bool) -> None:
    left: list[bool] = []

    async def leave() -> None:
        left.append(True)

    frames = [Frame(event) for event in FakeJournal().commit("task_1", said(1), *([END] if ends else []))]
    items = _CancelsWhenLeft(stream(frames), leave)
    for _ in range(read):
        await anext(items)

    await items.aclose()

    assert bool(left) is cancels


async def test_a_drained_stream_leaves_its_task_alone() -> None:
    left: list[bool] = []

    async def leave() -> None:
        left.append(True)

    items = _CancelsWhenLeft(stream(DrainNotice(1, timedelta(seconds=1))), leave)
    await anext(items)

    await items.aclose()

    assert left == []
