"""TLS and Unix sockets of the real process: started by its settings, reloaded while it serves."""

import asyncio
import signal
import socket
import ssl
import stat
import subprocess
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import httpx
import pytest

from grpc_service.gen.agentgateway.v1 import server_service_pb2, task_service_pb2
from grpc_service.gen.agentgateway.v1.server_service_pb2_grpc import ServerServiceStub
from grpc_service.gen.agentgateway.v1.task_service_pb2_grpc import TaskServiceStub
from tests.certificates import Authority, Pair
from tests.processes import GatewayProcess, environment, gateway_process

SLEEPS = "wait 30 seconds"
LOCAL_POOL = [("grpc.use_local_subchannel_pool", 1)]


def secured(pair: Pair, authority: Authority | None = None, **more: str) -> dict[str, Any]:
    """The settings of a gateway with that certificate."""
    settings: dict[str, Any] = {
        "GATEWAY_TLS__CERTIFICATE": str(pair.certificate),
        "GATEWAY_TLS__KEY": str(pair.key),
        "GATEWAY_TLS__RELOAD_INTERVAL": "0.1",
    }
    if authority is not None:
        settings["GATEWAY_TLS__CLIENT_CA"] = str(authority.certificate)
    return settings | more


def https(gateway: GatewayProcess, authority: Authority, client: Pair | None = None) -> httpx.AsyncClient:
    context = ssl.create_default_context(cafile=str(authority.certificate))
    if client is not None:
        context.load_cert_chain(*client.names)
    return httpx.AsyncClient(
        base_url=f"https://localhost:{gateway.rest_port}", verify=context, trust_env=False, timeout=20
    )


def channel(gateway: GatewayProcess, authority: Authority, client: Pair | None = None) -> Any:
    aio: Any = grpc.aio
    credentials = grpc.ssl_channel_credentials(
        authority.certificate.read_bytes(),
        client.key.read_bytes() if client else None,
        client.certificate.read_bytes() if client else None,
    )
    return aio.secure_channel(f"localhost:{gateway.grpc_port}", credentials, options=LOCAL_POOL)


async def version_over_grpc(on: Any) -> str:
    stub: Any = ServerServiceStub(on)
    return (await stub.GetServerInfo(server_service_pb2.GetServerInfoRequest(), timeout=20)).version


def tried(data: Path, settings: Mapping[str, str], *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command that ends by itself."""
    data.mkdir(parents=True, exist_ok=True)
    return subprocess.run(
        [sys.executable, "-m", "app", *command],
        env=environment(data, settings),
        cwd=data,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


async def test_both_protocols_and_streams_over_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "pki")

    async with gateway_process(tmp_path / "data", **secured(authority.server())) as gateway:
        async with https(gateway, authority) as rest, channel(gateway, authority) as over_grpc:
            answer = await rest.get("/v1/server")
            body = {"instruction": "compute 6 * 7"}
            async with rest.stream(
                "POST", "/v1/tasks", json=body, headers={"accept": "text/event-stream"}
            ) as stream:
                streamed = "".join([line + "\n" async for line in stream.aiter_lines()])
            stub: Any = TaskServiceStub(over_grpc)
            request = task_service_pb2.SubmitTaskRequest(task={"instruction": "compute 6 * 7"})
            kinds = [str(event) async for event in stub.RunTask(request, timeout=30)]
        with pytest.raises(httpx.TransportError):
            async with httpx.AsyncClient(trust_env=False) as plain:
                await plain.get(f"http://localhost:{gateway.rest_port}/v1/server")
        banner = "".join(gateway.log)

    assert answer.status_code == 200
    assert answer.headers["strict-transport-security"] == "max-age=15552000"
    assert "event: task.succeeded" in streamed
    assert kinds
    assert f"https://127.0.0.1:{gateway.rest_port}/v1" in banner
    assert "(TLS)" in banner
    assert "certificate   gateway, until " in banner
    assert gateway.complaints() == []


async def test_without_the_required_certificate_nobody_comes_in(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "pki")
    alice, mallory = authority.client("alice"), Authority(tmp_path / "other").client("mallory")
    settings = secured(authority.server(), authority, GATEWAY_TLS__CLIENT_CERTIFICATES="required")

    async with gateway_process(tmp_path / "data", **settings) as gateway:
        async with https(gateway, authority, alice) as rest, channel(gateway, authority, alice) as over_grpc:
            assert (await rest.get("/v1/server")).status_code == 200
            assert await version_over_grpc(over_grpc)
        for client in (None, mallory):
            async with https(gateway, authority, client) as rest:
                with pytest.raises((httpx.TransportError, ssl.SSLError)):
                    await rest.get("/v1/server")
            async with channel(gateway, authority, client) as over_grpc:
                with pytest.raises(grpc.aio.AioRpcError):
                    await version_over_grpc(over_grpc)
        assert gateway.complaints() == []


async def test_each_listener_may_have_a_rule_of_its_own(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "pki")
    settings = secured(
        authority.server(),
        authority,
        GATEWAY_REST__CLIENT_CERTIFICATES="optional",
        GATEWAY_GRPC__CLIENT_CERTIFICATES="required",
        GATEWAY_TLS__MINIMUM_VERSION="1.3",
    )

    async with gateway_process(tmp_path / "data", **settings) as gateway:
        async with https(gateway, authority) as rest:
            assert (await rest.get("/v1/server")).status_code == 200
        async with channel(gateway, authority) as over_grpc:
            with pytest.raises(grpc.aio.AioRpcError):
                await version_over_grpc(over_grpc)
        old = ssl.create_default_context(cafile=str(authority.certificate))
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        old.load_cert_chain(*authority.client("alice").names)
        for port in (gateway.rest_port, gateway.grpc_port):
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await asyncio.open_connection("localhost", port, ssl=old)


async def test_a_new_certificate_is_taken_while_streams_stay_open(tmp_path: Path) -> None:
    """As cert-manager and Kubernetes do it: a link to a folder is swapped."""
    before, after = Authority(tmp_path / "one"), Authority(tmp_path / "two")
    before.server("tls")
    after.server("tls")
    live = tmp_path / "live"
    live.symlink_to(tmp_path / "one")
    pair = Pair(live / "tls.pem", live / "tls.key")

    async with gateway_process(tmp_path / "data", **secured(pair)) as gateway:
        async with https(gateway, before) as rest, channel(gateway, before) as over_grpc:
            assert await version_over_grpc(over_grpc)
            task = (await rest.post("/v1/tasks", json={"instruction": SLEEPS})).json()["id"]
            async with rest.stream(
                "GET", f"/v1/tasks/{task}/events", headers={"accept": "text/event-stream"}
            ) as sse:
                lines = sse.aiter_lines()
                assert await anext(lines)
                (tmp_path / "next").symlink_to(tmp_path / "two")
                (tmp_path / "next").replace(live)
                await gateway.logged("certificate of gateway", within_s=10)
                await _until_served(gateway, after)

                async with asyncio.timeout(20):
                    while not (await anext(lines)).startswith(("event: heartbeat", ":", "event: ")):
                        continue
                assert await version_over_grpc(over_grpc)  # on the connection it has
            async with channel(gateway, after) as newer:
                assert await version_over_grpc(newer)
            with pytest.raises(httpx.TransportError):
                async with https(gateway, before) as rejected:
                    await rejected.get("/v1/server")

        pair.key.write_text("nonsense")
        gateway.signal(signal.SIGHUP)
        await gateway.logged("the old one stays in use")
        async with https(gateway, after) as rest:
            figures = (await rest.get("/metrics")).text
    assert 'agentgateway_certificate_reloads_total{outcome="failed"}' in figures
    assert 'agentgateway_certificate_reloads_total{outcome="ok"} 1.0' in figures


async def _until_served(gateway: GatewayProcess, authority: Authority) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                async with https(gateway, authority) as rest:
                    await rest.get("/v1/server")
                    return
            except httpx.TransportError:
                await asyncio.sleep(0)


def test_a_certificate_that_cannot_be_used_stops_the_start(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "pki")
    pair = authority.server()
    pair.key.write_bytes(authority.server("other").key.read_bytes())

    ended = tried(tmp_path / "data", secured(pair), "serve")
    examined = tried(tmp_path / "data", secured(pair), "doctor")

    assert ended.returncode == 69, ended.stderr
    assert "cannot start: tls.key: " in ended.stderr
    assert "Traceback" not in ended.stderr
    assert examined.returncode == 1
    assert "FAIL certificate              tls.key: " in examined.stdout


def test_the_doctor_knows_when_the_certificate_ends_and_who_may_read_its_key(tmp_path: Path) -> None:
    pair = Authority(tmp_path / "pki").server(lasts=timedelta(days=3))
    pair.key.chmod(0o644)

    examined = tried(tmp_path / "data", secured(pair), "doctor")

    assert examined.returncode == 0, examined.stdout
    assert "ok   certificate              gateway, until " in examined.stdout
    assert "expires in 2 days" in examined.stdout or "expires in 3 days" in examined.stdout
    assert "(mode 0644): chmod 600 it" in examined.stdout


async def test_unix_sockets_serve_both_protocols_and_are_taken_from_the_dead_only(tmp_path: Path) -> None:
    rest_path, grpc_path = tmp_path / "rest.sock", tmp_path / "grpc.sock"
    settings: dict[str, Any] = {
        "GATEWAY_REST__UDS": str(rest_path),
        "GATEWAY_REST__TCP": "false",
        "GATEWAY_GRPC__UDS": str(grpc_path),
        "GATEWAY_GRPC__UDS_MODE": "0660",
        "GATEWAY_GRPC__TCP": "false",
    }
    for path in (rest_path, grpc_path):
        with socket.socket(socket.AF_UNIX) as dead:  # what a killed process leaves
            dead.bind(str(path))

    async with gateway_process(tmp_path / "data", **settings) as gateway:
        transport = httpx.AsyncHTTPTransport(uds=str(rest_path))
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway", timeout=20) as rest:
            answer = await rest.post("/v1/tasks", json={"instruction": "compute 1 + 1"})
        aio: Any = grpc.aio
        async with aio.insecure_channel(f"unix:{grpc_path}") as over_grpc:
            assert await version_over_grpc(over_grpc)
        modes = [stat.S_IMODE(path.stat().st_mode) for path in (rest_path, grpc_path)]
        second = await asyncio.to_thread(tried, tmp_path / "other", settings, "serve")
        still = await asyncio.to_thread(_connects, rest_path, grpc_path)
        gateway.signal(signal.SIGTERM)
        code = await gateway.ended(30)

    assert answer.status_code == 201
    assert modes == [0o600, 0o660]
    assert second.returncode == 69
    assert f"another process listens on {grpc_path}" in second.stderr
    assert still
    assert code == 0
    assert [path for path in (rest_path, grpc_path) if path.exists()] == []


def _connects(*paths: Path) -> bool:
    for path in paths:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(str(path))
    return True


async def test_told_to_stop_while_it_starts_it_stops(tmp_path: Path) -> None:
    """PostgreSQL that takes a connection and says nothing keeps a start waiting."""
    silent = await asyncio.start_server(_silence, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    settings = {
        "GATEWAY_STORAGE__BACKEND": "postgres",
        "GATEWAY_STORAGE__POSTGRES_URL": f"postgresql://nobody@127.0.0.1:{port}/none",
        "GATEWAY_TELEMETRY__LOG_LEVEL": "INFO",
    }
    (tmp_path / "data").mkdir()
    async with silent:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "app", "serve",
            env=environment(tmp_path / "data", settings), cwd=tmp_path / "data",
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        async with asyncio.timeout(30):
            await _asked.wait()
            process.send_signal(signal.SIGTERM)
            _, said = await process.communicate()

    assert process.returncode == 0, said.decode()
    assert b"told to stop while starting" in said
    assert b"Traceback" not in said


_asked = asyncio.Event()


async def _silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    _asked.set()
    await reader.read()
    await reader.read()
    writer.close()
