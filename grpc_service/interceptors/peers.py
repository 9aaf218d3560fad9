"""The other end of an RPC's connection, as admission wants to know it."""

from collections.abc import Mapping, Sequence
from typing import Any, cast
from urllib.parse import unquote

from app.policy.admission import ClientCertificate
from app.policy.certificates import client_certificate_of_pem
from grpc_service.errors import RpcContext

_CERTIFICATE = "x509_pem_cert"
"""Where gRPC keeps the client's certificate, once it was verified."""


class GrpcPeer:
    """Reads the RPC's context only when asked: most calls never do."""

    __slots__ = ("_context",)

    def __init__(self, context: RpcContext) -> None:
        self._context = context

    @property
    def address(self) -> str:
        """From `ipv4:127.0.0.1:4711`, `ipv6:%5B::1%5D:4711` or `unix:`, as gRPC writes peers."""
        kind, _, rest = unquote(self._context.peer()).partition(":")
        return rest.rpartition(":")[0].strip("[]") if kind in {"ipv4", "ipv6"} else ""

    @property
    def certificate(self) -> ClientCertificate | None:
        """From the connection's authentication context; gRPC has verified it."""
        context: Any = self._context
        found = cast("Mapping[str, Sequence[bytes]]", context.auth_context()).get(_CERTIFICATE)
        return client_certificate_of_pem(found[0]) if found else None
