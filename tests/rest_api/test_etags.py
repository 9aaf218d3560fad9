"""Versions: nobody overwrites what somebody else changed meanwhile."""

import pytest

from app.domain.identity import DEFAULT_TENANT
from tests.rest_api.workbench import OTHER, Workbench

AGENT = {"id": "careful", "description": "d", "instructions": "i"}


async def test_an_agent_is_made_read_changed_and_forgotten(bench: Workbench) -> None:
    made = await bench.client.post("/v1/agents", json=AGENT)
    twice = await bench.client.post("/v1/agents", json=AGENT)
    read = await bench.client.get("/v1/agents/careful")
    changed = await bench.client.put("/v1/agents/careful", json={"instructions": "j"})
    listed = await bench.client.get("/v1/agents")
    gone = await bench.client.delete("/v1/agents/careful")

    assert (made.status_code, made.headers["location"]) == (201, "/v1/agents/careful")
    assert (twice.status_code, twice.json()["reason"]) == (409, "ALREADY_EXISTS")
    assert read.json() == made.json()
    assert read.headers["cache-control"] == "private, no-cache"
    assert read.headers["etag"] == f'"{read.json()["etag"]}"'
    assert changed.headers["etag"] != read.headers["etag"]
    assert (changed.json()["instructions"], changed.json()["description"]) == ("j", "")
    assert [agent["id"] for agent in listed.json()["agents"]] == ["default", "echo", "careful"]
    assert gone.status_code == 204


@pytest.mark.parametrize(
    ("if_match", "status"),
    [(None, 200), ("*", 200), ('"1"', 200), ('"2"', 412), ('W/"1"', 412), ('"other"', 412), ("1", 400)],
)
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_a_change_may_demand_a_version(
    bench: Workbench, method: str, if_match: str | None, status: int
) -> None:
    await bench.client.post("/v1/agents", json=AGENT)
    body = {"instructions": "j"} if method == "PUT" else None
    headers = {} if if_match is None else {"if-match": if_match}

    answer = await bench.client.request(method, "/v1/agents/careful", json=body, headers=headers)

    assert answer.status_code == (204 if status == 200 and method == "DELETE" else status)
    if status == 412:
        assert answer.json()["reason"] == "STALE_VERSION"


async def test_what_a_client_knows_is_not_sent_again(bench: Workbench) -> None:
    await bench.client.post("/v1/agents", json=AGENT)
    for path in ("/v1/agents/careful", "/v1/configuration"):
        tag = (await bench.client.get(path)).headers["etag"]

        same = await bench.client.get(path, headers={"if-none-match": tag})
        other = await bench.client.get(path, headers={"if-none-match": '"old"'})

        assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", tag)
        assert other.status_code == 200


async def test_of_two_writers_of_the_configuration_the_second_is_told(bench: Workbench) -> None:
    tag = (await bench.client.get("/v1/configuration")).headers["etag"]
    body = {"values": {"model": "interpreter", "temperature": 1}}

    first = await bench.client.put("/v1/configuration", json=body, headers={"if-match": tag})
    second = await bench.client.put("/v1/configuration", json=body, headers={"if-match": tag})

    assert first.status_code == 200
    assert (second.status_code, second.json()["reason"]) == (412, "STALE_VERSION")
    assert (await bench.client.get("/v1/configuration")).json() == first.json()


async def test_a_key_is_masked_and_kept(bench: Workbench) -> None:
    key = "sk-very-secret"
    await bench.client.put("/v1/configuration", json={"values": {"model_api_key": key}})
    masked = (await bench.client.get("/v1/configuration")).json()["values"]

    kept = await bench.client.put("/v1/configuration", json={"values": {**masked, "model": "interpreter"}})
    stored, token = await bench.stores.configuration.load(DEFAULT_TENANT)

    assert masked == {"model_api_key": "********"}
    assert kept.json()["values"] == {"model_api_key": "********", "model": "interpreter"}
    assert token is not None
    assert key.encode() not in token
    assert bench.parts.storage.sealer is not None
    assert bench.parts.storage.sealer.unseal(token) == key.encode()
    assert stored.values.model_api_key is None
    assert (await bench.client.get("/v1/configuration", headers=OTHER)).json()["values"] == {}


async def test_a_wrong_field_of_an_agent_is_named_as_it_stands_in_the_body(bench: Workbench) -> None:
    body = {**AGENT, "configuration": {"temperature": 9}}

    made = await bench.client.post("/v1/agents", json=body)
    put = await bench.client.put("/v1/configuration", json={"values": {"temperature": 9}})

    assert made.json()["errors"][0]["pointer"] == "#/configuration/temperature"
    assert put.json()["errors"][0]["pointer"] == "#/values/temperature"
