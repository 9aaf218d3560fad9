"""The command line: settings from everywhere, and starts that fail fast and name what is at fault."""

import asyncio
import base64
import json
import os
import socket
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from tests.processes import ROOT, environment, gateway_process

WRONG_SETTING, UNAVAILABLE = 78, 69
SECRET = "sk-very-secret-value-0001"


def run(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """`agent-gateway ...` in `folder`, with free ports unless told otherwise."""
    return subprocess.run(
        [sys.executable, "-m", "app", *arguments],
        env=environment(folder / "data", variables),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def shown(folder: Path, **variables: str) -> dict[str, Any]:
    """The settings in force."""
    done = run(folder, "config", "show", **variables)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def refuses(done: subprocess.CompletedProcess[str], code: int, *named: str) -> None:
    """The start failed with `code`, naming what is at fault, without a traceback or a secret."""
    said = done.stdout + done.stderr
    assert done.returncode == code, said
    for name in named:
        assert name in said
    assert "Traceback" not in said
    assert SECRET not in said


def test_version_and_reference(tmp_path: Path) -> None:
    assert run(tmp_path, "version").stdout.strip() == version("agent-gateway")
    reference = run(tmp_path, "config", "reference").stdout
    written = (ROOT / "docs/settings.md").read_text()
    assert written == reference, "run `agent-gateway config reference > docs/settings.md`"


def test_config_show_masks_every_secret(tmp_path: Path) -> None:
    keys = json.dumps([{"key": SECRET, "subject": "s"}])
    url = f"postgresql://user:{SECRET}@127.0.0.1/x"
    sealing = base64.urlsafe_b64encode(SECRET.encode().ljust(32, b"-")[:32]).decode()
    done = run(
        tmp_path,
        "config",
        "show",
        GATEWAY_MODEL__API_KEY=SECRET,
        GATEWAY_MODEL__PROVIDER_KEYS=json.dumps({"openai": SECRET}),
        GATEWAY_TOOLS__SEARCH_API_KEY=SECRET,
        GATEWAY_SECRETS__KEYS=json.dumps([sealing]),
        GATEWAY_AUTH__KEYS=keys,
        GATEWAY_STORAGE__POSTGRES_URL=url,
    )

    refuses(done, 0)
    assert sealing not in done.stdout
    assert json.loads(done.stdout)["model"]["api_key"] == "**********"


def test_settings_come_from_the_environment_then_dotenv_then_toml(tmp_path: Path) -> None:
    (tmp_path / "agent-gateway.toml").write_text(
        "[engine]\nmax_concurrent_tasks = 3\nmax_queued_tasks = 33\nqueue_ttl = 60\nlease = 'PT9S'\n"
    )
    (tmp_path / ".env").write_text(
        "GATEWAY_ENGINE__MAX_CONCURRENT_TASKS=4\nGATEWAY_ENGINE__MAX_QUEUED_TASKS=44\n"
    )

    engine = shown(tmp_path, GATEWAY_ENGINE__MAX_CONCURRENT_TASKS="5", GATEWAY_ENGINE__DRAIN_TIMEOUT="90")[
        "engine"
    ]

    assert (engine["max_concurrent_tasks"], engine["max_queued_tasks"]) == (5, 44)
    assert (engine["queue_ttl"], engine["lease"], engine["drain_timeout"]) == ("PT1M", "PT9S", "PT1M30S")


def test_the_seeds_names_are_read_and_ours_win(tmp_path: Path) -> None:
    settings = shown(
        tmp_path,
        TASK_STORAGE_BACKEND="postgres",
        POSTGRES_CONNECTION_STRING="postgresql://u@127.0.0.1/x",
        TASK_MAX_TASKS="7",
        LOG_LEVEL="debug",
        ENABLE_PROMETHEUS="false",
        PROMETHEUS_PORT="9109",
        GRPC_PORT="6001",
    )

    assert settings["storage"]["backend"] == "postgres"
    assert settings["storage"]["postgres_url"] == "**********"
    assert settings["engine"]["max_concurrent_tasks"] == 7
    assert settings["telemetry"]["log_level"] == "DEBUG"
    assert settings["telemetry"]["prometheus"] is False
    assert settings["telemetry"]["prometheus_port"] == 9109
    assert settings["grpc"]["port"] == 0  # GATEWAY_GRPC__PORT is given as well


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"GATEWAY_GRPC__PROT": "1"}, "GATEWAY_GRPC__PROT"),
        ({"GATEWAY_ENGIN__LEASE": "1"}, "GATEWAY_ENGIN__LEASE"),
        ({"GATEWAY_REST__PORT": "many"}, "rest.port"),
        ({"GATEWAY_ENGINE__LEASE": "soon"}, "engine.lease"),
        ({"GATEWAY_STORAGE__BACKEND": "mysql"}, "storage.backend"),
        ({"GATEWAY_STORAGE__BACKEND": "postgres"}, "storage.postgres_url"),
        ({"GATEWAY_REST__HOST": "192.0.2.1"}, "rest.host"),
        ({"GATEWAY_GRPC__HOST": "::"}, "grpc.host"),
        ({"GATEWAY_AUTH__KEYS": "[" + SECRET}, "auth"),
        ({"GATEWAY_AUTH__KEYS": json.dumps([{"key": SECRET}])}, "auth.keys"),
        ({"GATEWAY_SECRETS__KEYS": json.dumps([SECRET])}, "secrets.keys"),
        ({"LOG_LEVEL": "chatty"}, "telemetry.log_level"),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value)),
)
def test_a_wrong_setting_stops_the_start_and_is_named(
    tmp_path: Path, variables: dict[str, str], named: str
) -> None:
    refuses(run(tmp_path, "serve", **variables), WRONG_SETTING, named)


@pytest.mark.parametrize(
    ("name", "text", "named"),
    [
        ("agent-gateway.toml", "[engine]\nmax_tasks = 3\n", "engine.max_tasks"),
        ("agent-gateway.toml", "[engine\n", "agent-gateway.toml"),
        (".env", "GATEWAY_ENGINE__MAX_TASKS=3\n", "engine.max_tasks"),
    ],
    ids=["unknown in toml", "broken toml", "unknown in .env"],
)
def test_a_wrong_file_stops_the_start_and_is_named(tmp_path: Path, name: str, text: str, named: str) -> None:
    (tmp_path / name).write_text(text)

    refuses(run(tmp_path, "serve"), WRONG_SETTING, named)


@pytest.mark.parametrize("listener", ["REST", "GRPC"])
def test_a_taken_port_is_named(tmp_path: Path, listener: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        variable = {f"GATEWAY_{listener}__PORT": str(port)}
        refuses(run(tmp_path, "serve", **variable), UNAVAILABLE, f"127.0.0.1:{port}")
        doctor = run(tmp_path, "doctor", **variable)

    assert doctor.returncode == 1
    assert f"127.0.0.1:{port}" in doctor.stdout


async def test_a_second_process_on_the_same_data_is_refused(tmp_path: Path) -> None:
    async with gateway_process(tmp_path / "data") as gateway:
        second = await asyncio.to_thread(run, tmp_path, "serve")

        refuses(second, UNAVAILABLE, str(tmp_path / "data"))
        assert gateway.process.returncode is None


def test_a_database_that_does_not_answer_is_named_without_its_password(
    tmp_path: Path, free_port: int
) -> None:
    url = f"postgresql://user:{SECRET}@127.0.0.1:{free_port}/x"
    variables = {"GATEWAY_STORAGE__BACKEND": "postgres", "GATEWAY_STORAGE__POSTGRES_URL": url}

    refuses(run(tmp_path, "serve", **variables), UNAVAILABLE, "PostgreSQL")
    refuses(run(tmp_path, "doctor", **variables), 1, "GATEWAY_STORAGE__POSTGRES_URL")


def test_doctor_says_what_works(tmp_path: Path) -> None:
    done = run(tmp_path, "doctor")

    refuses(done, 0, "python", "sqlite", "sandbox local", "interpreter", "web_search")
    assert "FAIL" not in done.stdout


def test_a_reader_that_leaves_early_is_no_error(tmp_path: Path) -> None:
    assert run(tmp_path, "keys", "create", "--scope", "*").returncode == 0  # leaves an entry
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "app", "audit", "export"],
            env=environment(tmp_path / "data", {}),
            cwd=tmp_path,
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")
