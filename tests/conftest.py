"""What every test may ask for: the event loop, a free port, a PostgreSQL database of its own.

Nothing is left out in silence: what could not run is listed at the end, and where CI=true it fails.
"""

import asyncio
import os
import socket
import threading
from collections.abc import Coroutine, Generator, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import pytest

POSTGRES = "GATEWAY_TEST_POSTGRES"


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """asyncio only: grpc.aio knows no other loop."""
    return "asyncio"


@pytest.fixture
def free_port() -> int:
    """A TCP port of 127.0.0.1 that was free a moment ago.

    Only for a program that must be told its port before it starts; whoever can, binds port 0 and asks.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def postgres_url() -> Iterator[str]:
    """`postgresql://…` of an empty database that belongs to this test and is dropped after it.

    A plain fixture on purpose: sync tests (which start programs) use it as well as async ones.
    """
    with postgres_database() as url:
        yield url


@contextmanager
def postgres_database() -> Generator[str]:
    """The same for as long as the block lasts, for fixtures that outlive a test."""
    server = os.environ.get(POSTGRES)
    if not server:
        pytest.skip(f"{POSTGRES} is not set (try: `. scripts/ci-services`)")
    name = f"gateway_test_{uuid4().hex}"
    _run_apart(_execute(server, f'CREATE DATABASE "{name}"'))
    try:
        yield urlunsplit(urlsplit(server)._replace(path=f"/{name}"))
    finally:
        _run_apart(_execute(server, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))


async def _execute(url: str, statement: str) -> None:
    import asyncpg

    async with asyncio.timeout(20):
        connection = await asyncpg.connect(url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


def _run_apart(work: Coroutine[Any, Any, None]) -> None:
    """Run `work` on a loop of a thread of its own: the test's loop must not notice."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            asyncio.run(work)
        except BaseException as error:  # noqa: BLE001 - it is raised again, in the thread that asked
            failures.append(error)

    thread = threading.Thread(target=run, name="postgres-fixture")
    thread.start()
    thread.join()
    if failures:
        raise failures[0]


def _in_ci() -> bool:
    return os.environ.get("CI", "").lower() in {"true", "1"}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Where CI=true a skipped test is a failed one, unless it is marked `optional(reason)`."""
    report: pytest.TestReport = yield
    is_xfail = hasattr(report, "wasxfail")
    if report.skipped and not is_xfail and _in_ci() and item.get_closest_marker("optional") is None:
        report.outcome = "failed"
        report.longrepr = f"skipped although CI=true: {_reason_of(report.longrepr)}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Iterator[None]:
    """The same for whole modules that skip themselves while they are imported."""
    report: pytest.CollectReport = yield
    if report.skipped and _in_ci():
        report.outcome = "failed"
        report.longrepr = f"module skipped although CI=true: {_reason_of(report.longrepr)}"
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say aloud what was not tested here, and why."""
    skipped: list[pytest.TestReport] = terminalreporter.stats.get("skipped", [])
    reasons: dict[str, int] = {}
    for report in skipped:
        reason = _reason_of(report.longrepr)
        reasons[reason] = reasons.get(reason, 0) + 1
    for reason, count in sorted(reasons.items()):
        terminalreporter.write_line(f"NOT TESTED HERE: {count} x {reason}", yellow=True, bold=True)


def _reason_of(longrepr: object) -> str:
    text = str(longrepr[2]) if isinstance(longrepr, tuple) and len(longrepr) == 3 else str(longrepr)
    return text.removeprefix("Skipped: ")
