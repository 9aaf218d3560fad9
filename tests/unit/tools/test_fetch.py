"""Fetching from real servers on loopback."""

import asyncio
import gzip
import ssl
import zlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from app.domain.errors import InvalidRequestError, PermissionDeniedError, StepTimeoutError, ToolFailedError
from app.domain.tools import ToolInfo, ToolResult
from app.tools.builtin.fetch import MAX_TEXT_CHARS, HttpFetch
from app.tools.builtin.web_client import MAX_BODY_BYTES, WebClient
from app.tools.egress import Egress
from app.tools.registry import ToolRegistry
from tests.unit.tools.context import FakeContext
from tests.unit.tools.servers import Answering, plain, redirect, serving

LOCAL = Egress(allowed_hosts=("127.0.0.1",))


async def fetch(url: str, egress: Egress = LOCAL, context: FakeContext | None = None) -> ToolResult:
    registry = ToolRegistry([HttpFetch(egress)])
    return await registry.execute("http_fetch", {"url": url}, context or FakeContext())


def said(result: ToolResult) -> dict[str, object]:
    assert isinstance(result.data, dict)
    return result.data


async def test_a_page_comes_with_its_status_and_type() -> None:
    async with serving({"/page": plain("Grüße".encode())}) as server:
        result = await fetch(server.url("/page?q=1#part"))

    assert result.ok
    assert said(result) == {
        "url": server.url("/page?q=1#part"),
        "status": 200,
        "content_type": "text/plain",
        "truncated": False,
        "text": "Grüße",
    }
    assert server.seen[0].startswith("GET /page?q=1 HTTP/1.1\r\n")
    assert f"\r\nHost: 127.0.0.1:{server.port}\r\n" in server.seen[0]


async def test_an_error_status_is_a_failed_call_that_tells_what_was_said() -> None:
    async with serving({}) as server:
        result = await fetch(server.url("/no"))

    assert (result.ok, result.error_reason, said(result)["status"]) == (False, "TOOL_FAILED", 404)
    assert "nothing here" in result.output


async def test_the_charset_of_the_answer_is_used_and_a_nonsense_one_is_not() -> None:
    routes = {
        "/latin": plain("é".encode("latin-1"), content_type="text/html; charset=iso-8859-1"),
        "/nonsense": plain(b"ok", content_type="text/html; charset=nonsense"),
    }
    async with serving(routes) as server:
        assert said(await fetch(server.url("/latin")))["text"] == "é"
        assert said(await fetch(server.url("/nonsense")))["text"] == "ok"


async def test_bytes_are_kept_as_an_artifact() -> None:
    context = FakeContext()
    async with serving({"/a/p.png": plain(b"\x89PNG", content_type="image/png")}) as server:
        result = await fetch(server.url("/a/p.png"), context=context)

    assert context.saved == {"p.png": b"\x89PNG"}
    assert (result.artifacts[0].media_type, "text" in said(result)) == ("image/png", False)


async def test_without_an_allowance_loopback_is_refused_and_nothing_connects() -> None:
    async with serving({"/": plain(b"secret")}) as server:
        with pytest.raises(PermissionDeniedError):
            await fetch(server.url(), Egress())

    assert server.seen == []


async def test_redirects_are_followed_through_the_same_rule() -> None:
    async with serving({"/inner": plain(b"inner")}) as inner:
        routes = {
            "/near": redirect("/page"),
            "/page": plain(b"page"),
            "/localhost": redirect(f"http://localhost:{inner.port}/inner"),
            "/decimal": redirect(f"http://2130706433:{inner.port}/inner"),
            "/mapped": redirect(f"http://[::ffff:127.0.0.1]:{inner.port}/inner"),
            "/file": redirect("file:///etc/passwd"),
            "/loop": redirect("/loop"),
        }
        async with serving(routes) as server:
            egress = Egress(allowed_hosts=(f"127.0.0.1:{server.port}",))

            assert said(await fetch(server.url("/near"), egress))["url"] == server.url("/page")
            for path in ("/localhost", "/decimal", "/mapped"):
                with pytest.raises(PermissionDeniedError):
                    await fetch(server.url(path), egress)
            with pytest.raises(ToolFailedError, match="cannot be requested"):
                await fetch(server.url("/file"), egress)
            before = len(server.seen)
            with pytest.raises(ToolFailedError, match="redirects"):
                await fetch(server.url("/loop"), egress)

    assert inner.seen == []
    assert len(server.seen) - before == 6


async def test_a_name_that_changes_its_address_is_connected_where_it_was_looked_at() -> None:
    asked: list[str] = []

    async def rebinding(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["10.255.255.1"]

    async with serving({"/": plain(b"pinned")}) as server:
        egress = Egress(allowed_hosts=("rebind.test",), resolver=rebinding)
        result = await fetch(server.url(host="rebind.test"), egress)

    assert (said(result)["text"], asked) == ("pinned", ["rebind.test"])
    assert f"\r\nHost: rebind.test:{server.port}\r\n" in server.seen[0]


async def test_a_redirect_is_looked_up_again() -> None:
    asked: list[tuple[str, int]] = []

    async def rebinding(host: str, port: int) -> Sequence[str]:
        asked.append((host, port))
        return ["127.0.0.1"] if len(asked) == 1 else ["169.254.169.254"]

    async with serving({"/": redirect("http://first.test:1/meta")}) as server:
        egress = Egress(allowed_hosts=(f"first.test:{server.port}",), resolver=rebinding)
        with pytest.raises(PermissionDeniedError):
            await fetch(server.url(host="first.test"), egress)

    assert asked == [("first.test", server.port), ("first.test", 1)]


def endless(head: str, chunk: bytes) -> Answering:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(head.encode())
        while not writer.is_closing():
            writer.write(chunk)
            await writer.drain()

    return answer


async def test_a_huge_body_is_cut_and_the_connection_closed() -> None:
    head = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n"
    async with serving({"/": endless(head, b"x" * 65_536)}) as server:
        result = await fetch(server.url())

        async with asyncio.timeout(5):
            await server.closed.wait()
    assert said(result)["truncated"] is True
    assert len(str(said(result)["text"])) == MAX_TEXT_CHARS


async def test_a_packed_bomb_is_unpacked_no_further_than_the_limit() -> None:
    bomb = gzip.compress(b"\0" * 100_000_000)
    routes = {
        "/bomb": plain(bomb, content_type="application/octet-stream", content_encoding="gzip"),
        "/deflate": plain(zlib.compress(b"hello"), content_encoding="deflate"),
        "/broken": plain(b"no gzip at all", content_encoding="gzip"),
        "/brotli": plain(b"?", content_encoding="br"),
    }
    context = FakeContext()
    async with serving(routes) as server:
        result = await fetch(server.url("/bomb"), context=context)
        assert said(await fetch(server.url("/deflate")))["text"] == "hello"
        for path in ("/broken", "/brotli"):
            with pytest.raises(ToolFailedError, match="decoded"):
                await fetch(server.url(path))

    assert len(context.saved["bomb"]) == MAX_BODY_BYTES
    assert said(result)["truncated"] is True


class HurriedFetch(HttpFetch):
    @property
    def info(self) -> ToolInfo:
        return replace(super().info, timeout_s=0.2)


async def test_a_server_that_dribbles_is_left_when_the_time_is_over() -> None:
    async def dribble(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\nx")
        await writer.drain()
        await asyncio.Event().wait()

    async with serving({"/": dribble}) as server:
        with pytest.raises(StepTimeoutError):
            await ToolRegistry([HurriedFetch(LOCAL)]).execute(
                "http_fetch", {"url": server.url()}, FakeContext()
            )


async def test_broken_answers_and_closed_ports_are_failures_of_the_tool(free_port: int) -> None:
    async def nonsense(writer: asyncio.StreamWriter) -> None:
        writer.write(b"\0\0\0 hello\r\n\r\n")

    async def short(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nx")

    async def headers(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n" + b"a: " + b"b" * 1_000_000 + b"\r\n\r\n")

    async with serving({"/nonsense": nonsense, "/short": short, "/headers": headers}) as server:
        urls = [server.url(path) for path in ("/nonsense", "/short", "/headers")]
        for url in (*urls, f"http://127.0.0.1:{free_port}/"):
            with pytest.raises(ToolFailedError):
                await fetch(url)


async def test_no_credentials_in_urls() -> None:
    with pytest.raises(InvalidRequestError):
        await fetch("http://user:pass@127.0.0.1/")


def certificate_for(name: str, folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now, day = datetime.now(UTC), timedelta(days=1)
    names = x509.SubjectAlternativeName([x509.DNSName(name), x509.IPAddress(ip_address("192.0.2.1"))])
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), 1, now - day, now + day)
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / f"{name}.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return file


async def test_tls_is_checked_against_the_name_not_the_pinned_address(tmp_path: Path) -> None:
    file = certificate_for("tls.test", tmp_path)
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.load_cert_chain(file)
    told: list[str | None] = []
    theirs.sni_callback = lambda _socket, name, _context: told.append(name)
    ours = ssl.create_default_context(cafile=str(file))

    async def resolver(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    client = WebClient(Egress(allowed_hosts=("tls.test", "other.test"), resolver=resolver), tls=ours)
    async with serving({"/": plain(b"private")}, tls=theirs) as server:
        answer = await client.get(f"https://tls.test:{server.port}/")
        with pytest.raises(ToolFailedError):
            await client.get(f"https://other.test:{server.port}/")

    assert (answer.body, told) == (b"private", ["tls.test", "other.test"])
