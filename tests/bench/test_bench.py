"""The bench itself: that every scenario runs and tells figures. What they are worth is for `make bench`."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.figures import Row, line, percentile

HOUSE = Path(__file__).resolve().parent.parent.parent


def test_a_line_begins_with_the_ratio_and_says_whether_the_aim_was_reached() -> None:
    row = Row(scenario="unary", name="GetTask", value=250, unit="us CPU/call", ratio=0.63, aim=0.6)

    assert line(row).split()[:4] == ["0.63", "+", ">=", "0.6"]


def test_percentiles_are_values_that_were_measured() -> None:
    assert percentile([3.0, 1.0, 2.0], 50) == 2.0
    assert percentile([3.0, 1.0, 2.0], 99) == 3.0
    assert math.isnan(percentile([], 50))


@pytest.mark.bench
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_quick_run_tells_a_finite_figure_for_every_scenario(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.bench", "--quick", "--results", str(tmp_path)]

    done = subprocess.run(command, cwd=HOUSE, capture_output=True, text=True, timeout=280, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    (kept,) = tmp_path.glob("*.json")
    rows = [Row(**row) for row in json.loads(kept.read_text())["rows"]]
    wanted = {"unary", "admission", "tasks", "events", "fanout", "idle", "startup", "latency"}
    assert {row.scenario for row in rows} == wanted
    assert all(row.finite for row in rows)
    assert all(row.name in done.stdout for row in rows)
