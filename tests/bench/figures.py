"""What is measured: rows, medians, the table that is printed and the JSON that is kept."""

import json
import math
import os
import platform
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median

STACK = ("grpcio", "fastapi", "uvicorn", "uvloop", "pydantic", "pydantic-ai-slim", "protobuf")
BUSY_CORES = 0.2
"""How much of a core others may use before figures are marked as taken under load."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure. `ratio` compares with a bare baseline (1.0 = as fast); `aim` is what we want of
    `ratio` when there is one, else of `value`; `lower` says that less is better."""

    scenario: str
    name: str
    value: float
    unit: str
    ratio: float | None = None
    aim: float | None = None
    lower: bool = False
    detail: str = ""

    @property
    def finite(self) -> bool:
        """Whether this is a figure at all."""
        return math.isfinite(self.value) and (self.ratio is None or math.isfinite(self.ratio))

    @property
    def reached(self) -> bool | None:
        """Whether the aim was reached; None without one."""
        if self.aim is None:
            return None
        value = self.value if self.ratio is None else self.ratio
        return value <= self.aim if self.lower else value >= self.aim


def middle(values: Iterable[float]) -> float:
    """The median; NaN of nothing."""
    known = list(values)
    return median(known) if known else math.nan


def percentile(values: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile; NaN of nothing."""
    if not values:
        return math.nan
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, max(0, math.ceil(len(ranked) * percent / 100) - 1))]


def p50_p99(values: Sequence[float]) -> str:
    """Both, for a detail; values in seconds, told in milliseconds."""
    return f"p50 {percentile(values, 50) * 1e3:.2f} ms, p99 {percentile(values, 99) * 1e3:.2f} ms"


HEADER = f"{'ratio':>6}  {'aim':>9}  {'value':>11} {'unit':<18} what"


def line(row: Row) -> str:
    """A row of the table, ratio first."""
    ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
    aim = "" if row.aim is None else f"{'<=' if row.lower else '>='} {row.aim:g}"
    mark = {None: " ", True: "+", False: "-"}[row.reached]
    detail = f"   ({row.detail})" if row.detail else ""
    return f"{ratio:>6} {mark}{aim:>9}  {_told(row.value):>11} {row.unit:<18} {row.name}{detail}"


def _told(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:,.1f}" if abs(value) >= 10 else f"{value:.3f}"


def machine() -> dict[str, str | float]:
    """Where and on what this was measured, for whoever compares figures later."""
    model = next(
        (
            text.split(":", 1)[1].strip()
            for text in Path("/proc/cpuinfo").read_text().splitlines()
            if text.startswith("model name")
        ),
        platform.processor(),
    )
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": model,
        "cores": os.cpu_count() or 0,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "stack": ", ".join(f"{name} {version(name)}" for name in STACK),
        "load": os.getloadavg()[0],
    }


class Others:
    """How much of this machine everybody but us uses, from here on."""

    def __init__(self) -> None:
        self._began, self._all, self._ours = time.monotonic(), _all_cpu_s(), _our_cpu_s()

    def cores(self) -> float:
        """In cores, on average. Our children count as ours once they have ended."""
        theirs = (_all_cpu_s() - self._all) - (_our_cpu_s() - self._ours)
        return max(0.0, theirs) / (time.monotonic() - self._began)


def _all_cpu_s() -> float:
    user, nice, system, _, _, *interrupts = Path("/proc/stat").read_text().splitlines()[0].split()[1:9]
    return sum(map(int, (user, nice, system, *interrupts))) / os.sysconf("SC_CLK_TCK")


def _our_cpu_s() -> float:
    return sum(os.times()[:4])


def keep(rows: Sequence[Row], where: dict[str, str | float], folder: Path) -> Path:
    """Write the figures as JSON; returns the file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    path.write_text(json.dumps({"machine": where, "rows": [asdict(row) for row in rows]}, indent=2) + "\n")
    return path
