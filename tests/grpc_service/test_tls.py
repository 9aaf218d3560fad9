"""gRPC over TLS: who is let in by certificate, and what a new one changes."""

import asyncio
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from app.domain.identity import Principal
from app.policy.admission import Admission, CallHead, ClientCertificate
from app.policy.authentication.chain import OpenAuthenticator
from app.policy.certificates import ListenerCertificate, client_certificate
from grpc_service.credentials import ServerTls
from grpc_service.gen.agentgateway.v1 import server_service_pb2
from grpc_service.gen.agentgateway.v1.server_service_pb2_grpc import ServerServiceStub
from grpc_service.server import GrpcOptions, GrpcServer, build_grpc_server
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
    """A gRPC listener with TLS over the desk, and who asked it."""

    def __init__(self, server: GrpcServer, tls: ServerTls, port: int, asking: Asking) -> None:
        self.server, self.tls, self.port, self.asking = server, tls, port, asking

    def channel(self, authority: Authority, client: Pair | None = None) -> Any:
        """A channel that trusts `authority` and shows the certificate of `client`."""
        credentials = grpc.ssl_channel_credentials(
            authority.certificate.read_bytes(),
            client.key.read_bytes() if client else None,
            client.certificate.read_bytes() if client else None,
        )
        aio: Any = grpc.aio
        # Channels of equal arguments share connections: each of these has its own.
        return aio.secure_channel(
            f"localhost:{self.port}", credentials, options=[("grpc.use_local_subchannel_pool", 1)]
        )

    async def ask(self, authority: Authority, client: Pair | None = None) -> Any:
        """One call on a connection of its own."""
        async with self.channel(authority, client) as channel:
            return await asked(channel)


async def asked(channel: Any) -> Any:
    stub: Any = ServerServiceStub(channel)
    return await stub.GetServerInfo(server_service_pb2.GetServerInfoRequest(), timeout=10)


def shown(pair: Pair, authority: Authority | None = None) -> ListenerCertificate:
    return ListenerCertificate(
        chain=pair.certificate.read_bytes(),
        key=pair.key.read_bytes(),
        client_ca=authority.certificate.read_bytes() if authority else None,
    )


@asynccontextmanager
async def listening(
    path: Path, authority: Authority, *, require_clients: bool = False
) -> AsyncGenerator[Listener]:
    asking = Asking()
    async with open_desk(path / "data", admission=Admission(asking)) as desk:
        tls = ServerTls(shown(authority.server(), authority), require_clients=require_clients)
        options = GrpcOptions(port=0, tls=tls)
        server = build_grpc_server(desk.service, desk.admission, desk.tracing, desk.metrics, options=options)
        port = await server.start()
        try:
            yield Listener(server, tls, port, asking)
        finally:
            await server.stop(0.5)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "pki")


async def test_a_client_that_trusts_the_authority_is_served(tmp_path: Path, authority: Authority) -> None:
    async with listening(tmp_path, authority) as listener:
        assert (await listener.ask(authority)).version
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await listener.ask(Authority(tmp_path / "other"))

    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    assert listener.asking.seen == [None]


async def test_a_required_certificate_lets_in_and_is_told_to_admission(
    tmp_path: Path, authority: Authority
) -> None:
    alice = authority.client("alice", dns=("alice.example.org",), uris=("spiffe://example.org/alice",))
    stranger = Authority(tmp_path / "other").client("mallory")

    async with listening(tmp_path, authority, require_clients=True) as listener:
        assert (await listener.ask(authority, alice)).version
        for client in (None, stranger):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await listener.ask(authority, client)
            assert refused.value.code() is grpc.StatusCode.UNAVAILABLE

    assert listener.asking.seen == [client_certificate(alice.der)]
    named = listener.asking.seen[0]
    assert named is not None
    assert (named.common_name, named.dns_names) == ("alice", ("alice.example.org",))
    assert named.uris == ("spiffe://example.org/alice",)


async def test_a_new_certificate_is_for_new_connections(tmp_path: Path, authority: Authority) -> None:
    after = Authority(tmp_path / "after")

    async with listening(tmp_path, authority) as listener, listener.channel(authority) as before:
        assert (await asked(before)).version
        listener.tls.replace(shown(after.server()))

        assert (await asked(before)).version  # on the connection it has
        assert (await listener.ask(after)).version
        with pytest.raises(grpc.aio.AioRpcError):
            await listener.ask(authority)


async def test_http2_is_agreed_on_in_the_handshake(tmp_path: Path, authority: Authority) -> None:
    context = ssl.create_default_context(cafile=str(authority.certificate))
    context.set_alpn_protocols(["h2"])
    async with listening(tmp_path, authority) as listener:
        async with asyncio.timeout(10):
            _, writer = await asyncio.open_connection("localhost", listener.port, ssl=context)
        agreed = writer.get_extra_info("ssl_object").selected_alpn_protocol()
        writer.close()

    assert agreed == "h2"
