"""HTTPS: who is let in by certificate, what a new one changes, and what is no handshake at all."""

import asyncio
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.domain.identity import Principal
from app.policy.admission import Admission, CallHead, ClientCertificate
from app.policy.authentication.chain import OpenAuthenticator
from app.policy.certificates import ClientCertificates, ListenerCertificate, TlsVersion, client_certificate
from rest_api.connections import Connections, HttpLimits
from rest_api.server import RestOptions, build_rest_app
from rest_api.tls import ServerTls
from rest_api.uvicorn_server import UvicornServer
from tests.certificates import Authority, Pair
from tests.workbench import open_desk


class Asking(OpenAuthenticator):
    """Lets everybody in, and keeps whom their certificates name."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[ClientCertificate | None] = []

    async def authenticate(self, head: CallHead) -> Principal:
        self.seen.append(head.peer.certificate)
        return await super().authenticate(head)


class Listener:
    """An HTTPS listener over the desk, and who asked it."""

    def __init__(self, server: UvicornServer, tls: ServerTls, port: int, asking: Asking) -> None:
        self.server, self.tls, self.port, self.asking = server, tls, port, asking

    async def get(
        self,
        path: str,
        authority: Authority,
        client: Pair | None = None,
        *,
        newest: ssl.TLSVersion | None = None,
    ) -> httpx.Response:
        """One request on a connection of its own."""
        async with self.client(authority, client, newest=newest) as http:
            return await http.get(path)

    def client(
        self, authority: Authority, client: Pair | None = None, *, newest: ssl.TLSVersion | None = None
    ) -> httpx.AsyncClient:
        """A client that trusts `authority` and shows the certificate of `client`."""
        context = ssl.create_default_context(cafile=str(authority.certificate))
        if client is not None:
            context.load_cert_chain(*client.names)
        if newest is not None:
            context.maximum_version = newest
        return httpx.AsyncClient(
            base_url=f"https://localhost:{self.port}", verify=context, trust_env=False, timeout=10
        )


def shown(pair: Pair, authority: Authority | None = None) -> ListenerCertificate:
    return ListenerCertificate(
        chain=pair.certificate.read_bytes(),
        key=pair.key.read_bytes(),
        client_ca=authority.certificate.read_bytes() if authority else None,
    )


@asynccontextmanager
async def listening(
    path: Path,
    authority: Authority,
    *,
    clients: ClientCertificates = "none",
    minimum: TlsVersion = "1.2",
    limits: HttpLimits | None = None,
) -> AsyncGenerator[Listener]:
    asking = Asking()
    async with open_desk(path / "data", admission=Admission(asking)) as desk:
        app = build_rest_app(
            desk.service, desk.admission, desk.tracing, desk.metrics, options=RestOptions(version="1")
        )
        tls = ServerTls(shown(authority.server(), authority), clients=clients, minimum=minimum)
        server = UvicornServer(
            app, host="127.0.0.1", port=0, tls=tls, connections=Connections(limits or HttpLimits())
        )
        port = await server.start()
        try:
            yield Listener(server, tls, port, asking)
        finally:
            await server.stop(1.0)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "pki")


async def test_a_client_that_trusts_the_authority_is_served(tmp_path: Path, authority: Authority) -> None:
    async with listening(tmp_path, authority) as listener, listener.client(authority) as http:
        for _ in range(3):
            assert (await http.get("/v1/server")).status_code == 200
        connected = listener.server.connections.open

    assert listener.asking.seen == [None, None, None]
    assert connected == 1
    assert listener.server.connections.open == 0


async def test_a_client_that_does_not_know_the_authority_sends_nothing(
    tmp_path: Path, authority: Authority
) -> None:
    async with listening(tmp_path, authority) as listener:
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            await listener.get("/v1/server", Authority(tmp_path / "other"))

        assert (await listener.get("/v1/server", authority)).status_code == 200
    assert len(listener.asking.seen) == 1


async def test_a_required_certificate_lets_in_and_is_told_to_admission(
    tmp_path: Path, authority: Authority
) -> None:
    alice = authority.client("alice", dns=("alice.example.org",), uris=("spiffe://example.org/alice",))

    async with listening(tmp_path, authority, clients="required") as listener:
        answer = await listener.get("/v1/server", authority, alice)

    assert answer.status_code == 200
    assert listener.asking.seen == [client_certificate(alice.der)]
    named = listener.asking.seen[0]
    assert named is not None
    assert (named.common_name, named.dns_names, named.uris) == (
        "alice",
        ("alice.example.org",),
        ("spiffe://example.org/alice",),
    )
    assert len(bytes.fromhex(named.fingerprint)) == 32


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_without_the_required_certificate_or_with_a_stranger_s_nobody_comes_in(
    tmp_path: Path, authority: Authority, newest: ssl.TLSVersion
) -> None:
    stranger = Authority(tmp_path / "other").client("mallory")

    async with listening(tmp_path, authority, clients="required") as listener:
        for client in (None, stranger):
            with pytest.raises((httpx.TransportError, ssl.SSLError)):
                await listener.get("/v1/server", authority, client, newest=newest)

    assert listener.asking.seen == []


async def test_an_optional_certificate_is_asked_for_and_must_be_good(
    tmp_path: Path, authority: Authority
) -> None:
    stranger = Authority(tmp_path / "other").client("mallory")

    async with listening(tmp_path, authority, clients="optional") as listener:
        without = await listener.get("/v1/server", authority)
        with_one = await listener.get("/v1/server", authority, authority.client("alice"))
        with pytest.raises((httpx.TransportError, ssl.SSLError)):
            await listener.get("/v1/server", authority, stranger)

    assert (without.status_code, with_one.status_code) == (200, 200)
    assert [seen and seen.common_name for seen in listener.asking.seen] == [None, "alice"]


async def test_the_oldest_version_is_a_setting(tmp_path: Path, authority: Authority) -> None:
    async with listening(tmp_path, authority, minimum="1.3") as listener:
        with pytest.raises(httpx.ConnectError):
            await listener.get("/v1/server", authority, newest=ssl.TLSVersion.TLSv1_2)

        assert (await listener.get("/v1/server", authority)).status_code == 200


async def test_a_new_certificate_is_for_new_connections(tmp_path: Path, authority: Authority) -> None:
    after = Authority(tmp_path / "after")

    async with listening(tmp_path, authority) as listener, listener.client(authority) as before:
        assert (await before.get("/v1/server")).status_code == 200
        listener.tls.replace(shown(after.server()))

        assert (await before.get("/v1/server")).status_code == 200  # on the connection it has
        assert (await listener.get("/v1/server", after)).status_code == 200
        with pytest.raises(httpx.ConnectError):
            await listener.get("/v1/server", authority)


async def test_an_authority_that_was_taken_out_vouches_for_nobody(
    tmp_path: Path, authority: Authority
) -> None:
    alice, others = authority.client("alice"), Authority(tmp_path / "others")

    async with listening(tmp_path, authority, clients="required") as listener:
        assert (await listener.get("/v1/server", authority, alice)).status_code == 200
        listener.tls.replace(shown(authority.server("again"), others))

        with pytest.raises((httpx.TransportError, ssl.SSLError)):
            await listener.get("/v1/server", authority, alice)
        bob = others.client("bob")
        assert (await listener.get("/v1/server", authority, bob)).status_code == 200


async def test_a_bad_certificate_leaves_the_old_one(tmp_path: Path, authority: Authority) -> None:
    async with listening(tmp_path, authority) as listener:
        good = shown(authority.server())
        for bad in (
            ListenerCertificate(chain=b"nonsense", key=good.key),
            ListenerCertificate(chain=good.chain, key=authority.server("other").key.read_bytes()),
        ):
            with pytest.raises((ssl.SSLError, ValueError)):
                listener.tls.replace(bad)

        assert (await listener.get("/v1/server", authority)).status_code == 200


@pytest.mark.parametrize(
    "first", [b"", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"\x16\x03\x01", bytes(range(256)) * 64]
)
async def test_what_is_no_handshake_is_closed_and_forgotten(
    tmp_path: Path, authority: Authority, first: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with listening(tmp_path, authority, limits=HttpLimits(handshake_timeout_s=0.3)) as listener:
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(first)
        async with asyncio.timeout(5):
            answer = await _rest(reader)
        writer.close()

        assert b"HTTP" not in answer
        assert (await listener.get("/v1/server", authority)).status_code == 200
        async with asyncio.timeout(5):
            while listener.server.connections.open:
                await asyncio.sleep(0)
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


async def _rest(reader: Any) -> bytes:
    try:
        return await reader.read()
    except ConnectionError:
        return b""
