"""Sessions and tickets over a real store, with a clock of the test's own."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from pathlib import Path

import pytest

from app.domain.errors import UnauthenticatedError
from app.domain.identity import Principal, TenantId
from app.policy.admission import CallHead
from app.policy.authentication.browser import BrowserSessions, SessionRules
from app.policy.authentication.chain import AuthenticatorChain, Recogniser
from app.policy.authentication.origins import Origins
from app.policy.authentication.presented import refused
from app.policy.authentication.standing import StandingByKind
from app.policy.authentication.tickets import StreamTickets
from app.storage.sql.access import SqlBrowserSessionStore, SqlStreamTicketStore
from app.storage.sqlite.database import SqliteDatabase, open_database
from tests.unit.policy.gatehouse import Clock

PATH = "/v1/tasks/task_1/events"
ZOE = Principal(
    subject="zoe",
    tenant=TenantId("acme"),
    scopes=frozenset({"tasks:read"}),
    credential="key",
    credential_id="key_1",
)


@dataclass
class Doorways:
    """What browsers come in by; `revoked` are the ids of keys that are no longer good."""

    database: SqliteDatabase
    clock: Clock
    sessions: BrowserSessions
    tickets: StreamTickets
    revoked: set[str] = field(default_factory=set[str])

    async def enter(
        self, *, ticket: str | None = None, cookie: str | None = None, **head: object
    ) -> Principal:
        given = {"protocol": "rest", "method": "m", "metadata": {}, "path": PATH, "http_method": "GET"} | head
        call = CallHead(query_ticket=ticket, session_cookie=cookie, **given)  # type: ignore[arg-type]
        links: list[Recogniser] = [self.tickets, self.sessions]
        return await AuthenticatorChain(links).authenticate(call)

    async def refuses(self, **how: object) -> None:
        with pytest.raises(UnauthenticatedError) as error:
            await self.enter(**how)  # type: ignore[arg-type]
        assert (error.value.message, error.value.facts) == (refused().message, {})


@asynccontextmanager
async def open_doorways(path: Path) -> AsyncGenerator[Doorways]:
    """An empty store under `path`."""
    clock, numbers, revoked = Clock(), count(1), set[str]()

    async def stands(principal: Principal) -> bool:
        return principal.credential_id not in revoked

    async with open_database(path / "gateway.db", cache_bytes=0) as database:
        sessions = BrowserSessions(
            SqlBrowserSessionStore(database),
            SessionRules(lifetime=timedelta(hours=12), idle=timedelta(hours=1)),
            Origins(["https://app.example", "*"], secure=True),
            now=clock.now,
            mint=lambda prefix: f"{prefix}_{next(numbers)}",
            stands=StandingByKind({"key": stands}),
        )
        tickets = StreamTickets(
            SqlStreamTicketStore(database),
            now=clock.now,
            stands=StandingByKind({"key": stands, "session": sessions.stands}),
        )
        yield Doorways(database, clock, sessions, tickets, revoked)
