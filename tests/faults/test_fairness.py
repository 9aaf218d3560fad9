"""A tenant that calls once is answered soon, although another calls a thousand times meanwhile.

By the server's clock; `tests/parity/test_fairness.py` proves the same by counting.
"""

import asyncio
import json
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest

from tests.faults.clients import Clients, clients_of, percentile
from tests.processes import ROOT, GatewayProcess, gateway_process

pytestmark = [pytest.mark.faults]

KEYS = {"heavy": "key-of-tenant-heavy-01", "light": "key-of-tenant-light-01"}
CALLERS = 64
"""How many calls the heavy tenant always has open."""
FLOOR_S = 0.100
"""Below this the machine's noise is measured: a client that is kept from its core hears late of its
answer, and the server has worked on."""


@dataclass(frozen=True)
class Taken:
    """How long a call took: by the clock, and by what the server's loop worked meanwhile, in seconds.

    What else this machine does is in the first, not in the second.
    """

    wall_s: float
    work_s: float


@asynccontextmanager
async def flooded(gateway: GatewayProcess, protocol: str) -> AsyncGenerator[asyncio.StreamReader]:
    """The heavy tenant calls inside the block: a line for every 1,000 calls."""
    port = gateway.rest_port if protocol == "rest" else gateway.grpc_port
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.faults.flood", protocol, str(port), KEYS["heavy"], str(CALLERS)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        await asyncio.wait_for(process.stdout.readline(), 60)
        yield process.stdout
    finally:
        process.kill()
        await process.wait()


def _worked_s(gateway: GatewayProcess) -> float:
    """How long the server's main thread has been on a core."""
    return int(Path(f"/proc/{gateway.pid}/task/{gateway.pid}/schedstat").read_text().split()[0]) / 1e9


async def _call(gateway: GatewayProcess, clients: Clients, number: int) -> Taken:
    began, worked = perf_counter(), _worked_s(gateway)
    await clients[number].call("ServerService/GetServerInfo")
    return Taken(perf_counter() - began, _worked_s(gateway) - worked)


async def _alone(gateway: GatewayProcess, clients: Clients, calls: int) -> list[Taken]:
    for number in range(20):
        await _call(gateway, clients, number)
    return [await _call(gateway, clients, number) for number in range(calls)]


@asynccontextmanager
async def two_tenants(path: Path) -> AsyncGenerator[tuple[GatewayProcess, Clients]]:
    keys = [{"key": key, "subject": name, "tenant": name} for name, key in KEYS.items()]
    settings: dict[str, Any] = {"GATEWAY_AUTH__KEYS": json.dumps(keys)}
    async with (
        gateway_process(path, **settings) as gateway,
        clients_of(gateway, KEYS["light"]) as clients,
    ):
        yield gateway, clients


def _told(name: str, taken: list[Taken]) -> str:
    wall, work = [one.wall_s for one in taken], [one.work_s for one in taken]
    shares = (0.5, 0.9, 0.99)
    times = [
        f"p{share * 100:g} {percentile(wall, share) * 1e3:.1f} ({percentile(work, share) * 1e3:.1f}) ms"
        for share in shares
    ]
    return f"{name}: {', '.join(times)}"


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("protocol", ["rest", "grpc"])
async def test_beside_a_thousand_to_one_even_the_slowest_calls_are_answered_soon(
    tmp_path: Path, protocol: str
) -> None:
    async with two_tenants(tmp_path) as (gateway, clients), asyncio.timeout(540):
        alone = await _alone(gateway, clients, 300)
        beside: list[Taken] = []
        async with flooded(gateway, protocol) as thousands:
            for number in range(100):
                beside.append(await _call(gateway, clients, number))
                await thousands.readline()

    print(_told("alone", alone), _told(f"beside {protocol}, 1000:1", beside), sep="; ")
    work_alone, work_beside = ([one.work_s for one in taken] for taken in (alone, beside))
    assert percentile(work_beside, 0.99) <= max(2 * percentile(work_alone, 0.99), FLOOR_S)
