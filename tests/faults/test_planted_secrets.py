"""Secrets planted wherever one can come in, and a model that repeats the ones it gets: nothing keeps them.

What is searched: the log, exported spans, every file and every table, streams, answers and errors. A word
planted beside them, which is no secret, is found in each: so the search can find.
"""

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import httpx
import pytest

from tests.collectors import grpc_collector
from tests.faults.clients import Clients, clients_of, ended
from tests.llm.script import ANY, calls, fails, says
from tests.llm.server import scripted_llm
from tests.parity.drivers import RefusedError
from tests.processes import gateway_process

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]

# Of no shape that a net would catch: that they are known must be what saves them.
CALLER = "plantedCallerKey0001"
STRANGER = "plantedStrangerKey0002"
MODEL = "plantedModelKey0003"
DEFAULT = "plantedDefaultKey0004"
PROVIDER = "plantedProviderKey0005"
SEARCH = "plantedSearchKey0006"
DSN = "plantedDsn+Pass/0007"
COLLECTOR = "plantedCollectorKey0008"
COOKIE = "plantedCookie0009plantedCookie0009plantedCookie"
TICKET = "plantedTicket0010plantedTicket0010plantedTicket"
SECRETS = (CALLER, STRANGER, MODEL, DEFAULT, PROVIDER, SEARCH, DSN, COLLECTOR, COOKIE, TICKET)
CONTROL = "plantedControl0099"
SEALING = "cGxhbnRlZFNlYWxpbmdLZXkwMDExcGxhbnRlZEtleSE="
ASKED = f"Repeat what you were given {CONTROL}"


def found_in(text: str | bytes, secrets: Sequence[str]) -> list[str]:
    """Which of the secrets stand in the text, as they are or as a URL or JSON has them."""
    raw = text.encode(errors="replace") if isinstance(text, str) else text
    forms = {secret: {secret, httpx.URL(f"//{secret}").host, json.dumps(secret)[1:-1]} for secret in secrets}
    forms[DSN] = {DSN, "plantedDsn%2BPass%2F0007", "plantedDsn"}
    return [secret for secret in secrets if any(form.encode() in raw for form in forms[secret] if form)]


def settings_of(url: str | None, collector: str) -> dict[str, Any]:
    dsn = urlsplit(url or "postgresql://u@127.0.0.1:1/d")
    password = "plantedDsn%2BPass%2F0007"
    netloc = f"{dsn.username or 'u'}:{password}@{dsn.hostname}:{dsn.port}"
    return {
        "GATEWAY_AUTH__KEYS": json.dumps([{"key": CALLER, "subject": "s", "tenant": "t"}]),
        "GATEWAY_MODEL__API_KEY": DEFAULT,
        "GATEWAY_MODEL__PROVIDER_KEYS": json.dumps({"openai": PROVIDER}),
        "GATEWAY_MODEL__PRIVATE_ENDPOINTS": "true",
        "GATEWAY_MODEL__MAX_ATTEMPTS": "1",
        "GATEWAY_TOOLS__SEARCH_API_KEY": SEARCH,
        "GATEWAY_SECRETS__KEYS": json.dumps([SEALING]),
        "GATEWAY_STORAGE__BACKEND": "postgres" if url else "sqlite",
        "GATEWAY_STORAGE__POSTGRES_URL": urlunsplit(dsn._replace(netloc=netloc)),
        "GATEWAY_TRACES__ENDPOINT": collector,
        "GATEWAY_TRACES__PROTOCOL": "grpc",
        "GATEWAY_TRACES__HEADERS": json.dumps({"authorization": f"Bearer {COLLECTOR}"}),
        "GATEWAY_TRACES__INTERVAL": "0.1",
        "GATEWAY_TELEMETRY__LOG_LEVEL": "DEBUG",
        "GATEWAY_TELEMETRY__SPANS_TO_LOG": "true",
    }


@asynccontextmanager
async def echoing_model() -> AsyncIterator[str]:
    """It says the keys it knows in pieces, passes them to tools, and fails with one in its error."""
    keys = f"{MODEL} {DEFAULT} {PROVIDER}"
    turns = [
        calls("calculator", expression=f"{keys} {CONTROL}"),
        calls(MODEL, key=MODEL),
        calls("run_python", code=f"print('{MODEL} {CONTROL}')"),
        says(f"You gave me {keys}, and {MODEL} again, {CONTROL}."),
    ]
    async with scripted_llm({ASKED: turns, ANY: [fails(401, error_message=f"bad key {keys}")]}) as llm:
        yield llm.openai_url


async def plant_over(clients: Clients, protocol: int, model: str) -> list[object]:
    """Everything that a caller can say with a secret, over one protocol; what was answered."""
    driver, told = clients[protocol], []
    given = {"model": "openai:m", "model_base_url": model, "model_api_key": MODEL}
    for instruction in (ASKED, "Fail"):
        session = await driver.call("SessionService/CreateSession", metadata={"note": CONTROL})
        task = {"instruction": instruction, "session_id": session["id"], "configuration": given}
        made = await driver.call("TaskService/SubmitTask", task=task)
        told += [made, (await ended(driver, made["id"])).events]
        told.append(await driver.call("TaskService/GetTask", task_id=made["id"]))
        told.append(await driver.call("SessionService/GetTranscript", session_id=session["id"]))
    for name, arguments in (
        ("calculator", {"expression": f"{CALLER} {DEFAULT}"}),
        ("web_search", {"query": SEARCH}),
        (CALLER, {}),
    ):
        try:
            told.append(await driver.call("ToolService/ExecuteTool", name=name, arguments=arguments))
        except RefusedError as error:
            told.append((error.reason, error.fields))
    return told


async def plant_as_browser(client: httpx.AsyncClient) -> tuple[list[str], list[str]]:
    """Sessions and tickets, real ones and made up ones; the answers, and the secrets that were minted."""
    told: list[str] = []
    made = await client.post("/v1/browser-sessions", headers={"x-api-key": CALLER})
    assert made.status_code == 201, made.text
    minted = [value for _, value in made.cookies.items()]
    answer = await client.post("/v1/tasks", json={"instruction": "hi"}, headers={"x-api-key": CALLER})
    path = f"/v1/tasks/{answer.json()['id']}/events"
    made = await client.post("/v1/stream-tickets", json={"path": path}, headers={"x-api-key": CALLER})
    minted.append(made.json()["ticket"])
    client.cookies.clear()
    for params, headers in (
        ({"ticket": minted[-1]}, {}),
        ({"ticket": minted[-1]}, {}),  # it was good for once
        ({"ticket": TICKET}, {}),
        ({}, {"cookie": f"agentgateway={COOKIE}"}),
        ({}, {"x-api-key": STRANGER}),
        ({}, {"authorization": f"Bearer {STRANGER}"}),
        ({}, {"authorization": f"Bearer {CALLER}", "x-api-key": STRANGER}),
    ):
        told.append((await client.get(path, params=params, headers=headers)).text)
    told.append((await client.get(f"/v1/tasks/{CALLER}", headers={"x-api-key": CALLER})).text)
    return told, minted


async def tables_of(url: str) -> dict[str, str]:
    """All rows of all tables of ours."""
    connection = await asyncpg.connect(url)
    try:
        names = await connection.fetch(
            "SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) AS name FROM pg_tables"
            " WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        )
        return {
            row["name"]: repr([tuple(one) for one in await connection.fetch(f"SELECT * FROM {row['name']}")])  # noqa: S608
            for row in names
        }
    finally:
        await connection.close()


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("backend", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
async def test_what_was_planted_is_found_nowhere(
    tmp_path: Path, backend: str, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue("postgres_url") if backend == "postgres" else None
    async with AsyncExitStack() as stack:
        collected = await stack.enter_async_context(grpc_collector())
        model = await stack.enter_async_context(echoing_model())
        settings = settings_of(url, collected.endpoint)
        gateway = await stack.enter_async_context(gateway_process(tmp_path, **settings))
        clients = await stack.enter_async_context(clients_of(gateway, CALLER))
        told = [await plant_over(clients, 0, model), await plant_over(clients, 1, model)]
        async with httpx.AsyncClient(base_url=gateway.rest, headers={"x-request-id": CONTROL}) as browser:
            answers, minted = await plant_as_browser(browser)
        stored: dict[str, str | bytes] = dict(await asyncio.to_thread(files_of, tmp_path))
        stored |= await tables_of(url) if url else {}
        gateway.signal(signal.SIGTERM)
        assert await gateway.ended(30) == 0
        stored |= {
            f"{name} after": data for name, data in (await asyncio.to_thread(files_of, tmp_path)).items()
        }

    places: dict[str, str | bytes] = {
        "answers and streams": repr(told) + "".join(answers),
        "the log": "".join(gateway.log),
        "spans": b"".join(collected.raw),
        **stored,
    }
    secrets = (*SECRETS, *minted)
    assert {name: hits for name, text in places.items() if (hits := found_in(text, secrets))} == {}
    for place in ("answers and streams", "the log", "spans"):
        assert found_in(places[place], [CONTROL]), f"{place}: the search would not find anything"
    assert any(found_in(text, [CONTROL]) for text in stored.values())
    assert "********" in repr(told)  # the model did repeat them
    assert collected.headers["authorization"] == f"Bearer {COLLECTOR}"
