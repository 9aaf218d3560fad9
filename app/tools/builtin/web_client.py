"""HTTP requests of tools: to looked-at addresses only, with every size and time bounded."""

import asyncio
import ssl
import zlib
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx2

from app.domain.errors import InvalidRequestError, ToolFailedError
from app.tools.egress import Destination, Egress
from app.tools.pinned import own_tls, pinned_request

MAX_REDIRECTS = 5
MAX_BODY_BYTES = 2 * 1024 * 1024
CONNECT_TIMEOUT_S = 10.0
USER_AGENT = "agent-gateway"
_NO_HEADERS: Mapping[str, str] = {}
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_TIMES = httpx2.Timeout(20.0, connect=CONNECT_TIMEOUT_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a server answered. `body` is decoded (gzip and the like) and at most `MAX_BODY_BYTES` long."""

    url: str
    status: int
    media_type: str
    charset: str | None
    body: bytes
    cut: bool


class WebClient:
    """GET, following redirects through the same rule as the first request."""

    def __init__(self, egress: Egress, *, tls: ssl.SSLContext | None = None) -> None:
        """`tls` None: the certificate authorities of the system."""
        self._egress = egress
        self._own_tls = tls

    async def get(self, url: str, *, headers: Mapping[str, str] | None = None) -> Answer:
        """Get `url`. `headers` do not go along when a redirect leaves its origin.

        Raises what `Egress.destination` raises, and ToolFailedError for a server that cannot be
        reached, breaks off or redirects too often. The caller sets the deadline; cancelling closes
        the connection.
        """
        # Making a TLS context reads the certificate store: some 10 ms.
        tls = self._own_tls or await asyncio.to_thread(own_tls)
        headers = headers or {}
        first = to = await self._egress.destination(url)
        for _ in range(MAX_REDIRECTS + 1):
            own = headers if to.origin == first.origin else _NO_HEADERS
            async with _requesting(to, own, tls) as response:
                follow = response.headers.get("location") if response.status_code in _REDIRECTS else None
                if follow is None:
                    return await _read(to, response)
            to = await self._redirected(to, follow)
        raise ToolFailedError(f"more than {MAX_REDIRECTS} redirects", host=to.host)

    async def _redirected(self, to: Destination, location: str) -> Destination:
        try:
            return await self._egress.destination(str(httpx2.URL(to.url).join(location)))
        except (InvalidRequestError, httpx2.InvalidURL):
            raise ToolFailedError(
                f"{to.host} redirects to something that cannot be requested", host=to.host
            ) from None


@asynccontextmanager
async def _requesting(
    to: Destination, headers: Mapping[str, str], tls: ssl.SSLContext
) -> AsyncGenerator[httpx2.Response]:
    """One request, its failures as a tool says them."""
    ours = {"User-Agent": USER_AGENT, "Accept-Encoding": "gzip, deflate", **headers}
    try:
        async with pinned_request("GET", to, headers=ours, tls=tls, times=_TIMES) as response:
            yield response
    except httpx2.TimeoutException:
        raise ToolFailedError(f"{to.host} did not answer in time", host=to.host) from None
    except zlib.error:
        raise ToolFailedError(f"{to.host} sent a body that cannot be decoded", host=to.host) from None
    except (httpx2.TransportError, ssl.SSLError, OSError) as error:
        what = type(error).__name__
        raise ToolFailedError(f"the request to {to.host} failed ({what})", host=to.host) from None


async def _read(to: Destination, response: httpx2.Response) -> Answer:
    body, cut = bytearray(), False
    unpack = _unpacker(to, response.headers.get("content-encoding", ""))
    async for chunk in response.aiter_raw():
        body += unpack(chunk, MAX_BODY_BYTES + 1 - len(body))
        if len(body) > MAX_BODY_BYTES:
            del body[MAX_BODY_BYTES:]
            cut = True
            break
    content_type = response.headers.get("content-type", "")
    return Answer(
        url=to.url,
        status=response.status_code,
        media_type=content_type.partition(";")[0].strip().lower()[:127],
        charset=response.charset_encoding,
        body=bytes(body),
        cut=cut,
    )


def _unpacker(to: Destination, encoding: str) -> Callable[[bytes, int], bytes]:
    """Chunk and most bytes -> unpacked bytes. Our own, because a packed chunk may be 1,000 times as long."""
    match encoding.strip().lower():
        case "" | "identity":
            return lambda chunk, most: chunk[:most]
        case "gzip" | "x-gzip" | "deflate":
            return zlib.decompressobj(wbits=zlib.MAX_WBITS | 32).decompress
        case _:
            raise ToolFailedError(f"{to.host} sent a body that cannot be decoded", host=to.host)
