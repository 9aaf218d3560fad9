"""Sandboxes and tools that callers drive themselves, over HTTP."""

import asyncio

from tests.rest_api.workbench import OTHER, Workbench


async def test_a_sandbox_is_opened_driven_and_closed(bench: Workbench) -> None:
    kinds = (await bench.client.get("/v1/sandboxes/kinds")).json()["kinds"]
    opened = await bench.client.post("/v1/sandboxes", json={"kind": "local"})
    path = opened.headers["location"]
    wrote = await bench.client.post(
        f"{path}:act", json={"action": "write_file", "arguments": {"path": "a.txt", "content": "hello"}}
    )
    read = await bench.client.post(
        f"{path}:act", json={"action": "read_file", "arguments": {"path": "a.txt"}}
    )
    listed = (await bench.client.get("/v1/sandboxes")).json()["sandboxes"]
    closed = await bench.client.delete(path)

    assert [(kind["kind"], kind["availability"]) for kind in kinds] == [("local", "ok")]
    assert opened.status_code == 201
    assert wrote.json()["status"] == "ok"
    assert (read.json()["action"], read.json()["status"]) == ("read_file", "ok")
    assert "hello" in read.text
    assert [sandbox["id"] for sandbox in listed] == [opened.json()["id"]]
    assert closed.status_code == 204
    assert (await bench.client.get(path)).json()["state"] == "closed"


async def test_what_a_sandbox_refuses_is_told(bench: Workbench) -> None:
    path = (await bench.client.post("/v1/sandboxes", json={})).headers["location"]

    unknown = await bench.client.post(f"{path}:act", json={"action": "explode"})
    missing = await bench.client.post(f"{path}:act", json={})
    picture = await bench.client.post(f"{path}:screenshot")
    foreign = await bench.client.post(f"{path}:act", json={"action": "list_files"}, headers=OTHER)
    kind = await bench.client.post("/v1/sandboxes", json={"kind": "nope"})
    life = await bench.client.post("/v1/sandboxes", json={"max_life_s": -1})

    assert unknown.json()["errors"][0]["reason"] == "UNKNOWN_ACTION"
    assert missing.json()["errors"][0]["pointer"] == "#/action"
    assert (picture.status_code, picture.json()["reason"]) == (501, "ACTION_NOT_SUPPORTED")
    assert foreign.status_code == 404
    assert kind.json()["errors"][0]["pointer"] == "#/kind"
    assert life.json()["errors"][0]["pointer"] == "#/max_life_s"


async def test_a_tool_is_found_and_called(bench: Workbench) -> None:
    tools = (await bench.client.get("/v1/tools")).json()["tools"]
    calculator = (await bench.client.get("/v1/tools/calculator")).json()
    filtered = (
        await bench.client.get(
            "/v1/tools", params={"category": calculator["category"], "available_only": "true"}
        )
    ).json()["tools"]
    called = await bench.client.post(
        "/v1/tools/calculator:execute", json={"arguments": {"expression": "6 * 7"}}
    )
    wrong = await bench.client.post("/v1/tools/calculator:execute", json={"arguments": {"nonsense": 1}})

    assert calculator in tools
    assert calculator["parameters"]["type"] == "object"
    assert calculator in filtered
    assert (called.status_code, called.json()["ok"]) == (200, True)
    assert "42" in called.json()["output"]
    assert wrong.status_code == 400
    assert all(error["pointer"].startswith("#/arguments") for error in wrong.json()["errors"])


async def test_a_call_whose_client_leaves_is_stopped(bench: Workbench) -> None:
    """As a cancelled RPC is."""
    started, ended = asyncio.Event(), asyncio.Event()

    async def slow(*_: object, **__: object) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    bench.service.tools.execute = slow  # pyright: ignore[reportAttributeAccessIssue]
    async with asyncio.TaskGroup() as group, asyncio.timeout(5):
        call = group.create_task(bench.client.post("/v1/tools/calculator:execute", json={}))
        await started.wait()
        call.cancel()
        await ended.wait()

    counted = (await bench.client.get("/metrics")).text
    assert 'method="POST /v1/tools/{name}:execute",outcome="CLIENT_CLOSED"' in counted
