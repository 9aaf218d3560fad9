"""Writes the audit log: acts before they are answered, refusals in bounded numbers.

What is done to tasks (but deleting them) is in one transaction with its entry. The entry of any other act
is appended right after the act was committed, in a transaction of its own that those who act at once share,
and the act is answered when the entry is durable. So an act that was answered is in the log; one whose
process died between the two commits was answered to nobody, and may be missing. When the
store cannot be written just then, the act stands and is answered, and its entry is kept in memory and
tried again (`MAX_OWED`; then it is in the process' log alone).

Refusals change nothing, and whoever has no credential can cause them by the million: equal ones within
`FLUSH_S` are one entry with a count, and at most so many entries a minute are written, those of known
callers and those of others counted apart. What is beyond is one entry a time that tells how many.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from app.domain.audit import MAX_TEXT_CHARS, NOBODYS, REPLAYED, AuditDraft, AuditEntry, AuditOutcome
from app.domain.call import CallContext
from app.domain.errors import DomainError, Kind, StorageUnavailableError
from app.domain.identity import Principal
from app.policy.admission import CallHead, request_id_of
from app.storage.base import AuditStore
from app.telemetry.known_secrets import mask_known

log = logging.getLogger(__name__)

FLUSH_S: Final = 1.0
"""How long a refusal waits for its like."""
MAX_OWED: Final = 1_000
BEYOND: Final = "TOO_MANY_REFUSALS"
"""The reason of the entry that stands for refusals which have none of their own."""
_OURS: Final = frozenset({Kind.INTERNAL, Kind.UNAVAILABLE, Kind.DEADLINE_EXCEEDED, Kind.CANCELLED})
"""Kinds of errors that are no mistake of the caller."""
_MINUTE_S: Final = 60.0
_STRANGER: Final = Principal(subject="", tenant=NOBODYS, scopes=frozenset())


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """What was done to what."""

    resource: str = ""
    resource_id: str = ""


NOTHING: Final = Act()


class AuditTrail:
    """Takes notes of calls. Use `FLUSH_S` apart `flush`, and at the end `flush(last=True)`."""

    def __init__(
        self,
        store: AuditStore,
        *,
        now: Callable[[], datetime],
        mint: Callable[[str], str],
        refusals_per_minute: int,
    ) -> None:
        self._store = store
        self._now = now
        self._mint = mint
        self._refusals = Refusals(refusals_per_minute)
        self._owed: deque[AuditEntry] = deque()
        self._flushing = asyncio.Lock()

    async def record(self, call: CallContext, act: Act) -> None:
        """The act was committed; returns when its entry is, too. Never raises but on cancellation."""
        replayed = call.idempotency is not None and call.idempotency.replayed
        entry = self._entry(call, act, "ok", REPLAYED if replayed else "")
        try:
            await self._store.append([entry])
        except asyncio.CancelledError:
            self._owe(entry)  # perhaps it was committed: the same entry twice is one
            raise
        except StorageUnavailableError as error:
            log.warning("an entry of the audit log waits: %s", error.message)
            self._owe(entry)

    def draft(self, call: CallContext, act: Act) -> AuditDraft:
        """The entry of an act whose store writes it with the act, should it be done."""
        return AuditDraft(self._entry(call, act, "ok"))

    def refused(self, call: CallContext, act: Act, error: DomainError) -> None:
        """The act was refused, or failed on our side."""
        outcome = "failed" if error.kind in _OURS else "refused"
        self._refusals.add(self._entry(call, act, outcome, error.reason, entry_id=""))

    def left(self, call: CallContext, act: Act) -> None:
        """The caller left, or its deadline passed: perhaps it was done."""
        draft = call.audit
        if draft is None:
            entry = self._entry(call, act, "unknown", Kind.CANCELLED.name)
        else:  # under its id and time: if it was done and committed with the act, it is there
            entry = replace(draft.entry, outcome="unknown", reason=Kind.CANCELLED.name)
        self._owe(entry)

    def turned_away(self, head: CallHead, principal: Principal | None, error: DomainError) -> None:
        """See `RefusalLog`."""
        call = CallContext(
            principal=principal or _STRANGER,
            request_id=head.request_id or request_id_of(head.metadata),
            protocol=head.protocol,
            traceparent=head.traceparent,
            use_case=head.method,
            peer=head.peer,
        )
        self._refusals.add(self._entry(call, NOTHING, "refused", error.reason, entry_id=""))

    async def flush(self, *, last: bool = False) -> None:
        """Write what waits, also what another flush has in hand: who reads after it reads all.

        What the store does not take now waits on; nothing is raised. The `last` one also writes how many
        refusals found no room, though their minute is not over.
        """
        async with self._flushing:
            await self._write_owed(last=last)

    async def _write_owed(self, *, last: bool) -> None:
        self._owed.extend(self._refusals.taken(self._now(), self._mint, last=last))
        entries = list(self._owed)
        self._owed.clear()
        try:
            await self._store.append(entries)
        except asyncio.CancelledError:
            self._owed.extendleft(reversed(entries))
            raise
        except StorageUnavailableError as error:
            log.warning("%d entries of the audit log wait: %s", len(entries), error.message)
            for entry in entries:
                self._owe(entry)

    def _entry(
        self,
        call: CallContext,
        act: Act,
        outcome: AuditOutcome,
        reason: str = "",
        *,
        entry_id: str | None = None,
    ) -> AuditEntry:
        return entry_of(
            call,
            entry_id=self._mint("audit") if entry_id is None else entry_id,
            at=self._now(),
            outcome=outcome,
            reason=reason,
            resource=act.resource,
            resource_id=act.resource_id,
        )

    def _owe(self, entry: AuditEntry) -> None:
        if len(self._owed) < MAX_OWED:
            self._owed.append(entry)
        else:
            log.error("an entry of the audit log has no room to wait and is only here: %r", entry)


class Refusals:
    """Refusals that wait to be written: equal ones as one, and no more than fit into the minute."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._minute: datetime | None = None
        self._written = {True: 0, False: 0}
        """This minute's entries: of callers that are known, and of others."""
        self._waiting: dict[tuple[str, ...], AuditEntry] = {}
        self._beyond: AuditEntry | None = None

    def add(self, entry: AuditEntry) -> None:
        """Note one, which needs no id yet. With no entries a minute nothing is noted."""
        if not self._per_minute:
            return
        key = (
            *(entry.tenant, entry.subject, entry.credential_id, entry.action, entry.reason),
            *(entry.resource_id, entry.protocol, entry.peer),
        )
        like = self._waiting.get(key)
        if like is not None:
            self._waiting[key] = replace(like, count=like.count + 1)
            return
        if self._minute is None or (entry.at - self._minute).total_seconds() >= _MINUTE_S:
            self._minute, self._written = entry.at, {True: 0, False: 0}
        known = entry.tenant != NOBODYS
        if self._written[known] < self._per_minute:
            self._written[known] += 1
            self._waiting[key] = entry
        elif self._beyond is None:
            self._beyond = _without_names(entry)
        else:
            self._beyond = replace(self._beyond, count=self._beyond.count + 1)

    def taken(self, now: datetime, mint: Callable[[str], str], *, last: bool = False) -> Iterator[AuditEntry]:
        """What waited, with ids; those beyond the number as one entry, a minute later or at `last`."""
        waiting, self._waiting = self._waiting, {}
        for entry in waiting.values():
            yield replace(entry, id=mint("audit"))
        beyond = self._beyond
        if beyond is not None and (last or (now - beyond.at).total_seconds() >= _MINUTE_S):
            self._beyond = None
            yield replace(beyond, id=mint("audit"), at=now)


def _without_names(entry: AuditEntry) -> AuditEntry:
    return replace(
        entry,
        tenant=NOBODYS,
        subject="",
        credential="none",
        credential_id="",
        action="",
        resource="",
        resource_id="",
        reason=BEYOND,
        request_id="",
        trace_id="",
        peer="",
    )


def entry_of(
    call: CallContext,
    *,
    entry_id: str,
    at: datetime,
    outcome: AuditOutcome,
    reason: str = "",
    resource: str = "",
    resource_id: str = "",
) -> AuditEntry:
    """What is written of a call. Texts that others chose are cut to `MAX_TEXT_CHARS`."""
    who, parent = call.principal, call.traceparent
    return AuditEntry(
        id=entry_id,
        at=at,
        tenant=who.tenant,
        subject=_decent(who.subject),
        credential=who.credential,
        credential_id=_decent(who.credential_id),
        action=call.use_case,
        resource=resource,
        resource_id=_decent(mask_known(resource_id)),  # whatever the caller said it is
        outcome=outcome,
        reason=reason,
        request_id=call.request_id,
        trace_id=parent.split("-", 2)[1] if parent else "",
        protocol=call.protocol,
        peer=call.peer.address if call.peer is not None else "",
    )


def _decent(text: str) -> str:
    """Valid Unicode of a bounded length."""
    text = text[:MAX_TEXT_CHARS]
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
