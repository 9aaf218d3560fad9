"""Sessions of browsers: a key or token is shown once, and a cookie stands for it from then on.

Kept on the server, so that they can be ended: by the browser, by time, and by revoking the credential
they came from. The cookie's value is random and only its digest is stored.
"""

import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from app.domain.access import BrowserSession
from app.domain.errors import NotFoundError, PermissionDeniedError
from app.domain.identity import Principal
from app.domain.secrets import Secret
from app.policy.admission import CallHead
from app.policy.authentication.origins import SAFE_METHODS, Origins
from app.policy.authentication.presented import refused, token_digest
from app.policy.authentication.standing import Standing
from app.storage.base import BrowserSessionStore

log = logging.getLogger(__name__)

_TOUCHED_EVERY: Final = timedelta(minutes=1)
"""How exactly the last use is known, or a tenth of the idle limit: not every call is a write."""
_MAX_VALUE_CHARS: Final = 128
_DERIVED: Final = frozenset({"session", "ticket"})


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedSession:
    """What the browser is given, once."""

    cookie: Secret
    id: str
    lifetime: timedelta
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRules:
    """How long a session lasts, at most and without being used."""

    lifetime: timedelta
    idle: timedelta


class BrowserSessions:
    """Opens sessions, knows them again, ends them."""

    def __init__(
        self,
        store: BrowserSessionStore,
        rules: SessionRules,
        origins: Origins,
        *,
        now: Callable[[], datetime],
        mint: Callable[[str], str],
        stands: Standing,
    ) -> None:
        self._store = store
        self._rules = rules
        self._origins = origins
        self._now = now
        self._mint = mint
        self._stands = stands
        self._touched_every = min(_TOUCHED_EVERY, rules.idle / 10)

    async def open(self, principal: Principal) -> OpenedSession:
        """A session of the caller, no longer than its credential is good.

        Raises PermissionDeniedError for a caller that came with a session or ticket: none is prolonged.
        """
        if principal.credential in _DERIVED:
            raise PermissionDeniedError("a session is opened with a key, a token or a certificate")
        now, value = self._now(), secrets.token_urlsafe(32)
        expires_at = now + self._rules.lifetime
        if principal.expires_at is not None:
            expires_at = min(expires_at, principal.expires_at)
        session = BrowserSession(
            id=self._mint("browser"),
            digest=_digest(value),
            principal=principal,
            created_at=now,
            used_at=now,
            expires_at=expires_at,
        )
        await self._store.add(session)
        return OpenedSession(
            cookie=Secret(value), id=session.id, lifetime=expires_at - now, expires_at=expires_at
        )

    async def recognise(self, head: CallHead) -> Principal | None:
        """See `Recogniser`. Raises PermissionDeniedError for a change that no page of ours asks for."""
        value = head.session_cookie
        if value is None:
            return None
        session = None
        if len(value) <= _MAX_VALUE_CHARS:
            session = await self._store.find(_digest(value))
        why = await self._flaw(session)
        if session is None or why is not None:
            log.info("a browser session was refused: %s", why)
            raise refused()
        if head.http_method not in SAFE_METHODS and not self._origins.from_own_page(head.metadata):
            raise PermissionDeniedError(
                "with a session cookie, changes need a page of this origin (Origin or Sec-Fetch-Site; see "
                "rest.cors_origins) and either JSON or the header X-Requested-With"
            )
        await self._touch(session)
        return replace(
            session.principal,
            credential="session",
            credential_id=session.id,
            expires_at=session.expires_at,
        )

    async def end(self, principal: Principal) -> None:
        """End the session that the caller came with. Raises NotFoundError when it came with none."""
        if principal.credential != "session":
            raise NotFoundError("browser_session", "current")
        await self._store.end(principal.credential_id)

    async def stands(self, principal: Principal) -> bool:
        """Whether the session that a principal once came with is still good."""
        return await self._flaw(await self._store.get(principal.credential_id)) is None

    async def _flaw(self, session: BrowserSession | None) -> str | None:
        if session is None:
            return "nobody has it, or it was ended"
        now = self._now()
        if session.expires_at <= now:
            return "it has expired"
        if session.used_at + self._rules.idle <= now:
            return "it was not used for too long"
        if not await self._stands(session.principal):
            await self._store.end(session.id)
            return "the credential it came from is no longer good"
        return None

    async def _touch(self, session: BrowserSession) -> None:
        now = self._now()
        if now - session.used_at >= self._touched_every:
            await self._store.touch(session.digest, now)


def _digest(value: str) -> str:
    return token_digest(value).hex()
