"""Drives one protocol and keeps what came of each call."""

from contextlib import aclosing
from typing import Any

import pytest

from tests.parity.drivers import Driver, Plain, RefusedError


class Recorder:
    """A driver that keeps what came of each call."""

    def __init__(self, driver: Driver, *, storage: str) -> None:
        self.driver = driver
        self.storage = storage
        self.record: list[tuple[str, object]] = []
        self.used: set[str] = set()

    async def call(self, rpc: str, **request: Any) -> Plain:
        """An answer."""
        self.used.add(rpc)
        answer = await self.driver.call(rpc, **request)
        self.record.append((rpc, answer))
        return answer

    async def refused(self, rpc: str, reason: str, *fields: str, **request: Any) -> RefusedError:
        """A refusal with that reason, naming those fields."""
        self.used.add(rpc)
        with pytest.raises(RefusedError) as caught:
            await self.driver.call(rpc, **request)
        assert (caught.value.reason, caught.value.fields) == (reason, sorted(fields)), (rpc, request)
        self.record.append((rpc, (caught.value.reason, caught.value.fields, caught.value.retry)))
        return caught.value

    async def stream(self, rpc: str, **request: Any) -> list[Plain]:
        """Everything a stream says until it ends."""
        self.used.add(rpc)
        items = [item async for item in self.driver.stream(rpc, **request)]
        self.record.append((rpc, [dict(item) for item in items]))
        return items

    async def ended(self, task_id: str) -> Plain:
        """The task once it has ended."""
        async with aclosing(self.driver.stream("TaskService/WatchTask", task_id=task_id)) as items:
            async for _ in items:
                continue
        self.used.add("TaskService/WatchTask")
        return await self.call("TaskService/GetTask", task_id=task_id)

    async def until(self, task_id: str, kind: str) -> Plain:
        """The first event of a kind."""
        async with aclosing(self.driver.stream("TaskService/WatchTask", task_id=task_id)) as items:
            async for item in items:
                if item.get("type") == kind:
                    return item
        raise AssertionError(f"the stream ended without {kind}")
