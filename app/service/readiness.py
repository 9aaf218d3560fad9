"""Whether calls should be sent to this process, and if not, because of what.

The checks run now and then, not when somebody asks: a probe is open to everybody, so it must cost
nothing and reach nobody. What it is told is as old as the last round.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, Literal

from app.domain.errors import DomainError

log = logging.getLogger(__name__)

ReadyStatus = Literal["starting", "ok", "degraded", "unavailable", "draining"]
AGAIN_S: Final = 0.25
"""How soon a failing dependency is looked at again; doubled up to the usual interval."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependency:
    """Something this process needs. `check` raises when it is not there.

    Without what is not `required` calls are served all the same, only not as well.
    """

    name: str
    check: Callable[[], Awaitable[None]]
    required: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What the last look at a dependency found. `reason` is a `DomainError.reason`, TIMEOUT or INTERNAL."""

    name: str
    ok: bool
    required: bool = True
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The last round of checks."""

    status: ReadyStatus
    findings: tuple[Finding, ...] = ()

    @property
    def ready(self) -> bool:
        """Whether calls should be sent here."""
        return self.status in ("ok", "degraded")

    @property
    def failing(self) -> frozenset[str]:
        """The names of what is not there, required or not."""
        return frozenset(finding.name for finding in self.findings if not finding.ok)


STARTING: Final = Report(status="starting")
READY: Final = Report(status="ok")

Listener = Callable[[Report], None]
"""Told of a report that differs from the one before, on the event loop; must neither block nor raise."""


class Readiness:
    """Looks after the dependencies and keeps the last report."""

    def __init__(self, dependencies: Sequence[Dependency], *, every_s: float, timeout_s: float) -> None:
        """`every_s` is between two rounds; a check that takes longer than `timeout_s` has failed."""
        self._dependencies = tuple(dependencies)
        self._every_s = every_s
        self._timeout_s = timeout_s
        self._listeners: list[Listener] = []
        self.report = STARTING

    def listen(self, listener: Listener) -> None:
        """Tell it of every change from now on."""
        self._listeners.append(listener)

    def drain(self) -> None:
        """The process shuts down; that is final."""
        self._tell(Report(status="draining", findings=self.report.findings))

    @asynccontextmanager
    async def watched(self) -> AsyncGenerator[None]:
        """Look after the dependencies inside the block; the first round is over when it begins."""
        await self.look()
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(self._watch(), name="readiness")
            try:
                yield
            finally:
                watching.cancel()

    async def look(self) -> Report:
        """One round: all checks at once."""
        findings = await asyncio.gather(*(self._finding(one) for one in self._dependencies))
        if self.report.status == "draining":
            return self.report
        status: ReadyStatus = "ok"
        if any(not finding.ok for finding in findings):
            missed = any(finding.required and not finding.ok for finding in findings)
            status = (
                ("starting" if self.report.status == "starting" else "unavailable") if missed else "degraded"
            )
        self._tell(Report(status=status, findings=tuple(findings)))
        return self.report

    async def _watch(self) -> None:
        misses = 0
        while True:
            misses = 0 if self.report.status == "ok" else misses + 1
            soon_s = AGAIN_S * 2 ** min(misses - 1, 16)
            await asyncio.sleep(min(soon_s, self._every_s) if misses else self._every_s)
            await self.look()

    async def _finding(self, dependency: Dependency) -> Finding:
        reason = ""
        try:
            async with asyncio.timeout(self._timeout_s):
                await dependency.check()
        except TimeoutError:
            reason = "TIMEOUT"
        except DomainError as error:
            reason = error.reason
        except Exception:
            log.exception("the check of %s failed", dependency.name)
            reason = "INTERNAL"
        return Finding(name=dependency.name, ok=not reason, required=dependency.required, reason=reason)

    def _tell(self, report: Report) -> None:
        before, self.report = self.report, report
        if report == before:
            return
        if not (before.status == "starting" and report.ready):
            lacking = ", ".join(sorted(report.failing)) or "nothing"
            log.warning("readiness: %s, lacking %s", report.status, lacking)
        for listener in self._listeners:
            listener(report)
