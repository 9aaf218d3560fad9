"""The two native protocols are one API: same use cases, outcomes and reasons."""

import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.bootstrap.gateway import Gateway
from rest_api.operations import OPERATIONS, REST_ONLY, operation_id_of
from tests.parity.drivers import SERVICES, Driver
from tests.parity.scenarios import SCENARIOS, Recorder

RPCS = {f"{service}/{method.name}" for service, found in SERVICES.items() for method in found.methods}
VOLATILE = re.compile(
    r".*(_time|_id|duration_s|running_s|cursor|cached)|id|time|prefix|secret|ticket|position|seq|.*_seq|etag"
)
ID = re.compile(r"\b(task|session|sandbox|key|webhook|delivery)_[0-9a-z]{26}\b")


@pytest.mark.parametrize("name", SCENARIOS)
async def test_a_use_case_has_the_same_outcome_on_both_protocols(
    name: str, drivers: tuple[Driver, Driver], storage: str
) -> None:
    records: list[Any] = []
    for driver in drivers:
        recorder = Recorder(driver, storage=storage)
        await SCENARIOS[name](recorder)
        records.append(_settled(recorder.record, driver.name))

    assert records[0] == records[1]


async def test_every_rpc_is_exercised_by_a_scenario() -> None:
    source = "".join(path.read_text() for path in Path(__file__).parent.glob("scenarios_of_*.py"))

    missing = {rpc for rpc in RPCS if f'"{rpc}"' not in source}

    assert missing == set()


async def test_every_rpc_has_its_route_and_every_route_its_rpc(
    drivers: tuple[Driver, Driver], gateway: Gateway
) -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{gateway.rest_port}") as client:
        document = (await client.get("/openapi.json")).json()
    routes = {
        (method.upper(), path.replace(":id}", "}")): operation["operationId"]
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if path.startswith("/v1/") and method in {"get", "post", "put", "patch", "delete"}
    }

    assert set(OPERATIONS) == RPCS
    assert set(OPERATIONS.values()) | set(REST_ONLY.values()) == set(routes)
    use_cases = OPERATIONS | REST_ONLY
    for place, name in routes.items():
        assert name in {operation_id_of(rpc) for rpc, where in use_cases.items() if where == place}


def _settled(value: Any, driver: str, name: str = "") -> Any:
    """What is left to compare once ids, times and the protocol's own name are taken out."""
    if VOLATILE.fullmatch(name):
        return "*"
    if isinstance(value, dict):
        return {key: _settled(one, driver, key) for key, one in sorted(value.items())}
    if isinstance(value, list | tuple):
        return [_settled(one, driver) for one in value]
    if isinstance(value, str):
        return ID.sub("*", value.replace(driver, "DRIVER"))
    return value
