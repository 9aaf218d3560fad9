"""`make bench`: measure, print a table (ratio first), keep it as JSON.

python -m tests.bench                    everything, about five minutes
python -m tests.bench unary tasks        some of it
python -m tests.bench --quick            whether it works; no figures to quote
"""

import os

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")  # before grpc is imported: we start processes

import argparse
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import uvloop

from tests.bench.bench import Bench
from tests.bench.figures import BUSY_CORES, HEADER, Others, Row, keep, line, machine
from tests.bench.scenarios.events import events
from tests.bench.scenarios.fanout import fanout
from tests.bench.scenarios.idle import idle
from tests.bench.scenarios.latency import latency
from tests.bench.scenarios.startup import startup
from tests.bench.scenarios.tasks import tasks
from tests.bench.scenarios.unary import admission, unary

SCENARIOS: Mapping[str, Callable[[Bench], Awaitable[list[Row]]]] = {
    "unary": unary,
    "admission": admission,
    "tasks": tasks,
    "events": events,
    "fanout": fanout,
    "idle": idle,
    "startup": startup,
    "latency": latency,
}
RESULTS = Path("bench-results")


async def measure(bench: Bench, names: list[str]) -> list[Row]:
    """Run scenarios one after the other, printing each as it comes."""
    rows: list[Row] = []
    for name in names:
        began, others = time.monotonic(), Others()
        found = await SCENARIOS[name](bench)
        cores = others.cores()
        mark = "  TAKEN UNDER LOAD" if cores > BUSY_CORES else ""
        print(
            f"\n{name}  ({time.monotonic() - began:.0f} s; others used {cores:.2f} cores){mark}", flush=True
        )
        for row in found:
            print(line(row), flush=True)
        rows += found
    return rows


def main() -> int:
    """Returns 0; figures below an aim are told, not failed on: they depend on the machine."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("scenarios", nargs="*", metavar="scenario", help=", ".join(SCENARIOS))
    parser.add_argument("--rounds", type=int, default=5, help="interleaved; medians are told")
    parser.add_argument("--quick", action="store_true", help="one small round of everything")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the JSON")
    wanted = parser.parse_args()
    unknown = set(wanted.scenarios) - SCENARIOS.keys()
    if unknown:
        parser.error(f"no scenario {', '.join(sorted(unknown))}; there are {', '.join(SCENARIOS)}")
    where = machine()
    print(f"{where['cpu']}, {where['cores']} cores, Python {where['python']}, load {where['load']:.1f}")
    print(f"{where['stack']}\n\n{HEADER}")
    bench = Bench(quick=wanted.quick, rounds=1 if wanted.quick else wanted.rounds)
    rows = uvloop.run(measure(bench, wanted.scenarios or list(SCENARIOS)))
    print(f"\nkept in {keep(rows, where, wanted.results)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
