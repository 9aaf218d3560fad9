"""Readiness names what is lacking, within a deadline, and comes back by itself."""

import asyncio

import pytest

from app.domain.errors import StorageUnavailableError
from app.service.readiness import Dependency, Readiness, Report


class Part:
    """Something that may be away, or silent."""

    def __init__(self) -> None:
        self.away = False
        self.silent = False

    async def check(self) -> None:
        if self.silent:
            await asyncio.Event().wait()
        if self.away:
            raise StorageUnavailableError("away")


def readiness_of(part: Part, *, required: bool = True) -> Readiness:
    return Readiness(
        [Dependency(name="store", check=part.check, required=required)], every_s=0.01, timeout_s=0.02
    )


@pytest.mark.parametrize(
    ("required", "status", "ready"), [(True, "unavailable", False), (False, "degraded", True)]
)
async def test_what_is_away_is_named_and_decides_when_it_is_required(
    required: bool, status: str, ready: bool
) -> None:
    part = Part()
    readiness = readiness_of(part, required=required)
    assert (await readiness.look()).status == "ok"

    part.away = True
    report = await readiness.look()

    assert (report.status, report.ready, report.failing) == (status, ready, {"store"})
    assert report.findings[0].reason == "STORAGE_UNAVAILABLE"


async def test_what_does_not_answer_in_time_has_failed() -> None:
    part = Part()
    part.silent = True
    readiness = readiness_of(part)

    async with asyncio.timeout(5):
        report = await readiness.look()

    assert report.status == "starting"
    assert report.findings[0].reason == "TIMEOUT"


async def test_each_change_is_told_once_and_the_drain_is_the_last() -> None:
    part, told = Part(), list[Report]()
    readiness = readiness_of(part)
    readiness.listen(told.append)

    async def until(status: str) -> None:
        while readiness.report.status != status:
            await asyncio.sleep(0)

    async with asyncio.timeout(10), readiness.watched():
        part.away = True
        await until("unavailable")
        part.away = False
        await until("ok")
        readiness.drain()
        await readiness.look()

    assert [report.status for report in told] == ["ok", "unavailable", "ok", "draining"]
