"""An identity provider on this machine: an HTTP server with metadata and keys, and the tokens it signs."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

AUDIENCE = "https://gateway.example"
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


def jwk_of(key: PrivateKey, kid: str | None, alg: str | None = None) -> dict[str, Any]:
    """The public half as a JSON web key."""
    public = key.public_key()
    match public:
        case rsa.RSAPublicKey():
            jwk = RSAAlgorithm.to_jwk(public, as_dict=True)
        case ec.EllipticCurvePublicKey():
            jwk = ECAlgorithm.to_jwk(public, as_dict=True)
        case _:
            jwk = OKPAlgorithm.to_jwk(public, as_dict=True)
    named = {"kid": kid, "alg": alg}
    return {**jwk, "use": "sig", **{name: value for name, value in named.items() if value is not None}}


def public_pem(key: rsa.RSAPrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@dataclass
class IdentityProvider:
    """What it serves may be changed at any time; `asked` are the paths that were requested."""

    issuer: str = ""
    keys: dict[str, PrivateKey] = field(default_factory=dict[str, PrivateKey])
    document: bytes | None = None
    """Instead of the key set."""
    metadata: dict[str, Any] = field(default_factory=dict[str, Any])
    status: int = 200
    asked: list[str] = field(default_factory=list[str])
    open: asyncio.Event = field(default_factory=asyncio.Event)
    """Answers wait for it."""

    def token(self, kid: str | None = "one", *, alg: str = "RS256", key: Any = None, **claims: Any) -> str:
        """A token that is good, but for what is given; a claim that is None is left out."""
        now = int(time.time())
        said = {
            "iss": self.issuer,
            "aud": AUDIENCE,
            "sub": "zoe",
            "tenant": "acme",
            "scope": "tasks:read access:read",
            "iat": now,
            "exp": now + 600,
        } | claims
        said = {name: value for name, value in said.items() if value is not None}
        signing = key if key is not None else self.keys[kid or "one"]
        return jwt.encode(said, signing, algorithm=alg, headers={} if kid is None else {"kid": kid})

    def answer(self, path: str) -> bytes:
        if path == "/.well-known/openid-configuration":
            return json.dumps(
                {"issuer": self.issuer, "jwks_uri": f"{self.issuer}/jwks"} | self.metadata
            ).encode()
        if self.document is not None:
            return self.document
        return json.dumps({"keys": [jwk_of(key, kid) for kid, key in self.keys.items()]}).encode()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            path = head.split(b" ")[1].decode()
            self.asked.append(path)
            await self.open.wait()
            body = self.answer(path)
            location = f"location: {self.issuer}/elsewhere\r\n" if self.status == 302 else ""
            writer.write(
                f"HTTP/1.1 {self.status} x\r\n{location}content-length: {len(body)}\r\n"
                "connection: close\r\n\r\n".encode()
                + body
            )
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client left
        finally:
            writer.close()


@asynccontextmanager
async def open_provider() -> AsyncGenerator[IdentityProvider]:
    """Serves on a free port of 127.0.0.1, with one RSA key called `one`."""
    provider = IdentityProvider(keys={"one": rsa_key()})
    provider.open.set()
    server = await asyncio.start_server(provider.serve, "127.0.0.1", 0)
    provider.issuer = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        try:
            yield provider
        finally:
            provider.open.set()
            server.close()
