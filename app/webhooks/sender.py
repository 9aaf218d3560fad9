"""One attempt: a signed POST to a looked-at address, with every size and time bounded."""

import asyncio
import contextlib
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

import httpx2

from app.breakers.board import Attempt, CircuitBoard, CircuitOpenError, Target
from app.domain.breaker import Verdict
from app.domain.errors import InvalidRequestError
from app.domain.webhooks import AttemptResult
from app.tools.egress import Destination
from app.tools.pinned import own_tls, pinned_request
from app.webhooks.targets import Targets

USER_AGENT: Final = "agent-gateway-webhooks"
MAX_ANSWER_BYTES: Final = 64 * 1024
"""Of an answer's body, read and dropped: a receiver that says more is cut off."""
READING_S: Final = 2.0
GONE: Final = 410
TOO_MANY: Final = 429


class Sender:
    """Makes attempts. Each has a connection of its own: a shared one would be trusted for the wrong name."""

    def __init__(
        self,
        targets: Targets,
        *,
        timeout: timedelta,
        board: CircuitBoard | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`tls` None: the certificate authorities of the system."""
        self._targets = targets
        self._timeout_s = timeout.total_seconds()
        self._board = board
        self._own_tls = tls

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> AttemptResult:
        """What came of it; raises nothing but CancelledError. Redirects are not followed."""
        try:
            async with asyncio.timeout(self._timeout_s) as deadline:
                to = await self._targets.destination(url)  # again each time: names lead elsewhere by then
                return await self._through_circuit(to, headers, body, deadline)
        except InvalidRequestError as error:
            return AttemptResult(outcome="failed", error=error.message)
        except CircuitOpenError as error:
            return AttemptResult(outcome="postponed", retry_after=error.retry_after)
        except (TimeoutError, httpx2.TimeoutException):
            return AttemptResult(outcome="failed", error=f"no answer within {self._timeout_s:g} s")
        except (httpx2.TransportError, httpx2.InvalidURL, ssl.SSLError, OSError) as error:
            return AttemptResult(outcome="failed", error=f"the request failed ({type(error).__name__})")

    async def _through_circuit(
        self, to: Destination, headers: Mapping[str, str], body: bytes, deadline: asyncio.Timeout
    ) -> AttemptResult:
        attempt = self._attempt(to)
        try:
            result = await self._post(to, headers, body)
        except asyncio.CancelledError:
            # A deadline that passed says something about the host; being stopped ourselves does not.
            _settle(attempt, Verdict.FAILURE if deadline.expired() else Verdict.NEUTRAL)
            raise
        except BaseException:
            _settle(attempt, Verdict.FAILURE)
            raise
        _settle(attempt, _verdict(result.status or 0))
        return result

    def _attempt(self, to: Destination) -> Attempt | None:
        if self._board is None:
            return None
        target = Target(kind="webhook", label="webhook", host=f"{to.host}:{to.port}")
        return self._board.circuit(target).enter()

    async def _post(self, to: Destination, headers: Mapping[str, str], body: bytes) -> AttemptResult:
        # Making a TLS context reads the certificate store: some 10 ms.
        tls = self._own_tls or await asyncio.to_thread(own_tls)
        ours = {
            "User-Agent": USER_AGENT,
            "Content-Type": "application/json",
            "Accept-Encoding": "identity",
            **headers,
        }
        times = httpx2.Timeout(self._timeout_s)
        async with pinned_request("POST", to, headers=ours, tls=tls, times=times, body=body) as response:
            status = response.status_code
            with contextlib.suppress(httpx2.HTTPError, TimeoutError, OSError):
                await _drop(response)
        if 200 <= status < 300:
            return AttemptResult(outcome="succeeded", status=status)
        if status == GONE:
            return AttemptResult(outcome="gone", status=status, error="the receiver answered 410 Gone")
        error = f"the receiver answered {status}"
        if 300 <= status < 400:
            error += "; redirects are not followed"
        wait = retry_after(response.headers.get("retry-after"), datetime.now(UTC))
        return AttemptResult(outcome="failed", status=status, error=error, retry_after=wait)


def retry_after(text: str | None, at: datetime) -> timedelta | None:
    """The wait that a `Retry-After` header asks for (RFC 9110, 10.2.3); None for none, or nonsense."""
    if not text or len(text) > 64:
        return None
    if text.isascii() and text.isdecimal():
        return timedelta(seconds=min(int(text), 86_400))
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return None
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return max(until - at, timedelta(0))


def _settle(attempt: Attempt | None, verdict: Verdict) -> None:
    if attempt is not None:
        attempt.settle(verdict)


def _verdict(status: int) -> Verdict:
    """A receiver that says no is alive."""
    if status >= 500:
        return Verdict.FAILURE
    return Verdict.NEUTRAL if status == TOO_MANY else Verdict.SUCCESS


async def _drop(response: httpx2.Response) -> None:
    left = MAX_ANSWER_BYTES
    async with asyncio.timeout(READING_S):
        async for chunk in response.aiter_raw():
            left -= len(chunk)
            if left <= 0:
                return
