"""What was told to the gateway in confidence is nowhere: not in logs, answers, events or on disk."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from rest_api.uvicorn_server import UvicornServer
from tests.faults.clients import clients_of, ended
from tests.parity.drivers import RefusedError
from tests.processes import environment, gateway_process

pytestmark = [pytest.mark.faults]

# Of no shape that the log's net would catch: it must not be the net that saves them.
AUTH = "plantedAuthKey0001"
STRANGER = "plantedWrongKey0002"
PROVIDER = "plantedProviderKey0003"
DEFAULT = "plantedDefaultKey0004"
SEARCH = "plantedSearchKey0005"
POSTGRES = "plantedPostgres0006"
TENANT = "plantedTenantKey0007"
TASK = "plantedTaskKey0008"
REFUSED = "plantedRefusedKey0009"
ALL = (AUTH, STRANGER, PROVIDER, DEFAULT, SEARCH, POSTGRES, TENANT, TASK, REFUSED)

SETTINGS: dict[str, Any] = {
    "GATEWAY_AUTH__KEYS": json.dumps([{"key": AUTH, "subject": "s", "tenant": "t"}]),
    "GATEWAY_MODEL__API_KEY": DEFAULT,
    "GATEWAY_MODEL__PROVIDER_KEYS": json.dumps({"openai": PROVIDER}),
    "GATEWAY_MODEL__PRIVATE_ENDPOINTS": "true",
    "GATEWAY_MODEL__MAX_ATTEMPTS": "2",
    "GATEWAY_TOOLS__SEARCH_API_KEY": SEARCH,
    "GATEWAY_STORAGE__POSTGRES_URL": f"postgresql://u:{POSTGRES}@127.0.0.1:1/d",
    "GATEWAY_TELEMETRY__LOG_LEVEL": "DEBUG",
    "GATEWAY_TELEMETRY__SPANS_TO_LOG": "true",
}


@asynccontextmanager
async def telltale() -> AsyncIterator[str]:
    """A provider and search engine that answers every request with an error that repeats its headers."""

    async def answer(request: Request) -> JSONResponse:
        told = " ".join(f"{name}={value}" for name, value in request.headers.items())
        status = 401 if "refuse" in request.url.path else 500
        return JSONResponse({"error": {"message": f"you sent {told} to {request.url}"}}, status)

    app = Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST"])])
    server = UvicornServer(app, host="127.0.0.1", port=0)
    port = await server.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await server.stop(0.1)


def _check(what: str, text: str | bytes) -> None:
    raw = text.encode() if isinstance(text, str) else text
    found = [secret for secret in ALL if secret.encode() in raw]
    assert found == [], f"{what} has {found}: ...{raw[max(0, raw.find(found[0].encode()) - 300) :][:600]!r}"


def _files(folder: Path) -> list[tuple[Path, bytes]]:
    return [(path, path.read_bytes()) for path in folder.rglob("*") if path.is_file()]


async def test_no_secret_is_told_anywhere(tmp_path: Path) -> None:
    async with (
        telltale() as url,
        gateway_process(tmp_path, **SETTINGS, GATEWAY_TOOLS__SEARCH_URL=f"{url}/search") as gateway,
        clients_of(gateway, AUTH) as clients,
        clients_of(gateway, STRANGER) as strangers,
    ):
        told: list[object] = []
        for number in range(2):
            driver = clients[number]
            values = {"model": "openai:m", "model_base_url": f"{url}/a", "model_api_key": TENANT}
            told.append(await driver.call("ConfigurationService/UpdateConfiguration", values=values))
            told.append(await driver.call("ConfigurationService/GetConfiguration"))
            for configuration in (
                {},
                {"model": "openai:m", "model_base_url": f"{url}/b", "model_api_key": TASK},
                {"model": "anthropic:m", "model_base_url": f"{url}/refuse", "model_api_key": TASK},
                {"model": "openai:m", "model_base_url": f"{url}/refuse", "model_api_key": TASK},
            ):
                task = {"instruction": "x", "configuration": configuration}
                made = await driver.call("TaskService/SubmitTask", task=task)
                told += [made, (await ended(driver, made["id"])).events]
                told.append(await driver.call("TaskService/GetTask", task_id=made["id"]))
            for wrong in (
                {"model_api_key": REFUSED + "\n", "model": "openai:m"},
                {"model_api_key": REFUSED, "model": "no such model"},
                {"model_api_key": REFUSED, "model_base_url": f"http://u:{REFUSED}@127.0.0.1/"},
                {"model_api_key": REFUSED, "limits": {"max_steps": 0}},
            ):
                with pytest.raises(RefusedError) as refused:
                    await driver.call(
                        "TaskService/SubmitTask", task={"instruction": "x", "configuration": wrong}
                    )
                told.append((refused.value.reason, refused.value.fields))
            agent = {"configuration": {"model_api_key": REFUSED}}
            with pytest.raises(RefusedError):
                await driver.call("AgentDefinitionService/CreateAgent", id="x", agent=agent)
            with pytest.raises(RefusedError):
                await strangers[number].call("ServerService/GetServerInfo")
            search = {"name": "web_search", "arguments": {"query": "x"}}
            try:
                told.append(await driver.call("ToolService/ExecuteTool", **search))
            except RefusedError as error:
                told.append(str(error))
            told.append(await driver.call("ModelService/ListModels"))
            told.append(await driver.call("ServerService/GetServerInfo"))
            told.append(await driver.call("TaskService/ListTasks"))
        for path, body in (
            ("/v1/tasks", f'{{"instruction": "x", "configuration": {{"model_api_key": "{REFUSED}"'),
            ("/v1/tasks", f'{{"instruction": "x", "configuration": {{"model_api_key": ["{REFUSED}"]}}}}'),
            ("/v1/tasks", f'{{"instruction": "x", "model_api_key": "{REFUSED}"}}'),
        ):
            answer = await clients.http.post(path, content=body, headers={"content-type": "application/json"})
            assert answer.status_code == 400
            told.append(answer.text)
        async with httpx.AsyncClient(base_url=gateway.rest) as client:
            for path in ("/metrics", "/openapi.json", "/docs", "/healthz/ready"):
                told.append((await client.get(path)).text)
        _check("an answer", repr(told))
        assert "MODEL_" in repr(told)  # the models were asked
    _check("the log", "".join(gateway.log))
    assert any('"chat' in line or "chat " in line for line in gateway.log), "no spans were logged"
    for path, data in await asyncio.to_thread(_files, tmp_path):
        _check(str(path), data)


@pytest.mark.parametrize("command", [("config", "show"), ("doctor",)])
@pytest.mark.parametrize("backend", ["sqlite", "postgres"])
async def test_no_secret_is_told_on_the_command_line(
    tmp_path: Path, command: tuple[str, ...], backend: str
) -> None:
    variables = environment(tmp_path, SETTINGS | {"GATEWAY_STORAGE__BACKEND": backend})

    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "app", *command],
        env=variables,
        cwd=tmp_path,
        capture_output=True,
        check=False,
        timeout=50,
    )

    assert done.stdout
    _check(" ".join(command), done.stdout + done.stderr)


@pytest.mark.parametrize(
    "wrong",
    [
        {"GATEWAY_AUTH__KEYS": json.dumps([{"key": AUTH[:8], "subject": "s"}])},
        {"GATEWAY_AUTH__KEYS": json.dumps([{"key": AUTH, "subject": ""}])},
        {"GATEWAY_AUTH__KEYS": f'[{{"key": "{AUTH}"'},
        {"GATEWAY_AUTH__KEYS": AUTH},
        {"GATEWAY_MODEL__PROVIDER_KEYS": json.dumps({"no-such-provider": PROVIDER})},
        {"GATEWAY_MODEL__PROVIDER_KEYS": PROVIDER},
        {"GATEWAY_SECRETS__KEYS": json.dumps([PROVIDER])},
        {"GATEWAY_SECRETS__KEYS": PROVIDER},
        {
            "GATEWAY_STORAGE__POSTGRES_URL": f"postgresql://u:{POSTGRES}@[/",
            "GATEWAY_STORAGE__BACKEND": "postgres",
        },
        {"GATEWAY_STORAGE__POSTGRES_URL": f"nonsense:{POSTGRES}", "GATEWAY_STORAGE__BACKEND": "postgres"},
    ],
)
async def test_a_wrong_secret_is_named_but_not_told(tmp_path: Path, wrong: dict[str, str]) -> None:
    variables = environment(tmp_path, wrong)

    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "app", "serve"],
        env=variables,
        cwd=tmp_path,
        capture_output=True,
        check=False,
        timeout=50,
    )

    assert done.returncode != 0
    told = done.stdout + done.stderr
    _check("the start", told)
    assert AUTH[:8].encode() not in told
    assert b"Traceback" not in told, told
