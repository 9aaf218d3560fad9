"""One HTTP request to an address that was looked at: what the name leads to later does not count."""

import ssl
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from functools import cache

import httpx2

from app.domain.errors import InvalidRequestError
from app.tools.egress import Destination


@cache
def own_tls() -> ssl.SSLContext:
    """The authorities this machine trusts; nothing of the environment."""
    return httpx2.create_ssl_context(trust_env=False)


@asynccontextmanager
async def pinned_request(
    method: str,
    to: Destination,
    *,
    headers: Mapping[str, str],
    tls: ssl.SSLContext,
    times: httpx2.Timeout,
    body: bytes | None = None,
) -> AsyncGenerator[httpx2.Response]:
    """The answer, its body not read yet. A connection of its own; no proxy, cookies or redirects.
    `times` bounds its phases.

    Raises InvalidRequestError (no URL) and what httpx2 raises.
    """
    try:
        pinned = httpx2.URL(to.url).copy_with(host=to.address, port=to.port, fragment=None)
    except httpx2.InvalidURL:
        raise InvalidRequestError.of("url", "is not a URL") from None
    request = httpx2.Request(
        method,
        pinned,
        headers={"Host": to.authority, "Accept": "*/*", **headers},
        content=body,
        # The certificate is checked against the name, not against the address.
        extensions={"timeout": times.as_dict(), "sni_hostname": to.host},
    )
    async with httpx2.AsyncHTTPTransport(verify=tls, trust_env=False) as transport:
        response = await transport.handle_async_request(request)
        response.request = request
        try:
            yield response
        finally:
            await response.aclose()
