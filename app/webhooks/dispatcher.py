"""Sends what is due: at least once, in the order of each task's events where nothing fails.

Deliveries are taken by leases, so replicas share the work, and what a process leaves behind when it dies is
taken by another (or by its next start). An attempt that ends is settled in the store; one that is cut short
is given back untried.
"""

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol
from urllib.parse import urlsplit

from app.domain.errors import NotConfiguredError, StorageUnavailableError
from app.domain.ids import WebhookId
from app.domain.secrets import Secret
from app.domain.webhooks import (
    AttemptResult,
    RetrySchedule,
    attempted,
    signed_headers,
    signing_key,
)
from app.storage.base_webhooks import Claimed, DeliveryStore, Settled
from app.telemetry import names, spans
from app.telemetry.tracing import Tracing
from app.webhooks.sender import Sender

log = logging.getLogger(__name__)

FORGET_EVERY_S: Final = 600.0
FORGET_AT_ONCE: Final = 500
ENDPOINTS_AT_ONCE: Final = 32
LEAST_PER_TENANT: Final = 4
SHORTEST_WAIT_S: Final = 0.01
GIVING_BACK_S: Final = 5.0


class WebhookObserver(Protocol):
    """Told of attempts, on the event loop; must neither block nor raise."""

    def attempted(self, outcome: str, duration_s: float) -> None:
        """One attempt ended: `succeeded`, `failed`, `gone` or `postponed`."""
        ...

    def ended(self, state: str) -> None:
        """One delivery ended: `succeeded` or `dead`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class DispatchRules:
    """How much at a time, and how long. `owned`: nobody else sends from this store."""

    schedule: RetrySchedule
    disable_after: timedelta
    lease: timedelta
    poll_interval: timedelta
    keep: timedelta
    max_concurrent: int = 64
    max_concurrent_per_endpoint: int = 4
    owned: bool = False

    @property
    def max_concurrent_per_tenant(self) -> int:
        """A quarter of all, so that the slow receivers of one tenant leave room to the others."""
        return max(self.max_concurrent // 4, LEAST_PER_TENANT)


class Dispatcher:
    """Owns the attempts of this process. Use `running` around it."""

    def __init__(
        self,
        store: DeliveryStore,
        sender: Sender,
        *,
        unseal: Callable[[bytes], bytes] | None,
        due: asyncio.Event,
        tracing: Tracing,
        observer: WebhookObserver,
        now: Callable[[], datetime],
        rules: DispatchRules,
        dice: Callable[[], float] = random.random,
    ) -> None:
        """`due` is set when something was written; `unseal` None: no key, so nothing can be signed."""
        self._store = store
        self._sender = sender
        self._unseal = unseal
        self._due = due
        self._tracing = tracing
        self._observer = observer
        self._now = now
        self._rules = rules
        self._dice = dice
        self._attempts: dict[asyncio.Task[None], Claimed] = {}
        self._stopping = False
        self._idle = asyncio.Event()
        self._idle.set()

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Deliver inside the block. Leaving it cuts short what `drain` left, and gives it back."""
        if self._rules.owned:
            await self._store.release_all(self._now())
        cut: set[str] = set()
        try:
            async with asyncio.TaskGroup() as group:
                looking = [
                    group.create_task(self._serve(group), name="webhook-dispatch"),
                    group.create_task(self._forget(), name="webhook-retention"),
                ]
                try:
                    yield
                finally:
                    self._stopping = True
                    cut |= {claimed.claim for claimed in self._attempts.values()}
                    for task in (*looking, *self._attempts):
                        task.cancel()
        finally:
            await self._give_back(cut)

    async def drain(self, longest: timedelta) -> None:
        """Take nothing new; return when what is under way ended, after `longest` all the same."""
        self._stopping = True
        self._due.set()
        try:
            async with asyncio.timeout(longest.total_seconds()):
                await self._idle.wait()
        except TimeoutError:
            log.warning("%d webhook deliveries are cut short; they stay pending", len(self._attempts))

    async def _serve(self, group: asyncio.TaskGroup) -> None:
        while not self._stopping:
            self._due.clear()
            try:
                wait_s = await self._round(group)
            except StorageUnavailableError as error:
                log.warning("webhook deliveries cannot be read: %s", error.message)
                wait_s = self._rules.poll_interval.total_seconds()
            except Exception:
                log.exception("webhook deliveries cannot be started")
                wait_s = self._rules.poll_interval.total_seconds()
            try:
                async with asyncio.timeout(wait_s):
                    await self._due.wait()
            except TimeoutError:
                continue

    async def _round(self, group: asyncio.TaskGroup) -> float:
        """Start what can be started now; the seconds after which to look again unless something happens."""
        poll_s, now = self._rules.poll_interval.total_seconds(), self._now()
        free = self._rules.max_concurrent - len(self._attempts)
        if free <= 0:
            return poll_s
        held = Counter(claimed.delivery.tenant for claimed in self._attempts.values())
        taken = Counter(claimed.delivery.webhook_id for claimed in self._attempts.values())
        places, of_tenant = self._rules.max_concurrent_per_endpoint, self._rules.max_concurrent_per_tenant
        # Also what this round looked at: an endpoint may be due and yet have nothing to claim, while all
        # its events wait for an earlier one, and must not hide those behind it.
        busy: set[WebhookId] = {webhook_id for webhook_id, count in taken.items() if count >= places}
        started, more = 0, True
        while more and started < free and not self._stopping:
            full = {tenant for tenant, count in held.items() if count >= of_tenant}
            found = await self._store.due(busy, full=full, limit=ENDPOINTS_AT_ONCE)
            more = len(found) == ENDPOINTS_AT_ONCE
            for webhook_id, tenant, at in found:
                if at > now:
                    poll_s, more = min(poll_s, (at - now).total_seconds()), False
                    break
                if started >= free or self._stopping:
                    break
                busy.add(webhook_id)
                limit = min(places - taken[webhook_id], of_tenant - held[tenant], free - started)
                if limit <= 0:
                    continue
                for claimed in await self._store.claim(webhook_id, now, lease=self._rules.lease, limit=limit):
                    self._start(group, claimed)
                    started += 1
                    held[tenant] += 1
        return 0.0 if started else max(poll_s, SHORTEST_WAIT_S)

    def _start(self, group: asyncio.TaskGroup, claimed: Claimed) -> None:
        task = group.create_task(self._attempt(claimed), name=f"webhook {claimed.delivery.id}")
        self._attempts[task] = claimed
        self._idle.clear()
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._attempts[task]
        if not self._attempts:
            self._idle.set()
        self._due.set()

    async def _attempt(self, claimed: Claimed) -> None:
        """One attempt and its outcome; whatever is wrong with it is wrong with it alone."""
        try:
            began = time.monotonic()
            result = await self._deliver(claimed)
            self._observer.attempted(result.outcome, time.monotonic() - began)
            at = self._now()
            delivery = attempted(claimed.delivery, result, at, self._rules.schedule, self._dice())
            settled = Settled(
                delivery=delivery,
                claim=claimed.claim,
                result=result,
                at=at,
                disable_after=self._rules.disable_after,
            )
            if await self._store.settle(settled) and delivery.state.ended:
                self._observer.ended(delivery.state.value)
        except StorageUnavailableError as error:  # its lease ends, and it is sent again
            log.warning("what came of delivery %s cannot be kept: %s", claimed.delivery.id, error.message)
        except Exception:
            log.exception("delivery %s met something unexpected", claimed.delivery.id)

    async def _deliver(self, claimed: Claimed) -> AttemptResult:
        delivery, parts = claimed.delivery, urlsplit(claimed.url)
        plan = spans.webhook_attempt(
            delivery.type,
            webhook_id=delivery.webhook_id,
            delivery_id=delivery.id,
            tenant=delivery.tenant,
            task_id=delivery.task_id,
            attempt=delivery.attempts + 1,
            server_address=parts.hostname,
            server_port=parts.port,
        )
        with self._tracing.span(plan, parent=claimed.traceparent) as span:
            try:
                keys = self._keys(claimed)
            except NotConfiguredError as error:
                result = AttemptResult(outcome="failed", error=error.message)
            else:
                headers = signed_headers(delivery.id, claimed.body, self._now(), keys)
                result = await self._sender.send(claimed.url, headers, claimed.body)
            if result.status is not None:
                span.set({names.HTTP_RESPONSE_STATUS_CODE: result.status})
            if result.outcome != "succeeded":
                span.fail(str(result.status or result.outcome))
        return result

    def _keys(self, claimed: Claimed) -> list[bytes]:
        """The newest first. Raises NotConfiguredError when a secret cannot be opened."""
        if self._unseal is None:
            raise NotConfiguredError("webhook secrets need GATEWAY_SECRETS__KEYS on every replica")
        sealed = [claimed.sealed]
        until = claimed.previous_until
        if claimed.previous_sealed is not None and until is not None and self._now() < until:
            sealed.append(claimed.previous_sealed)
        return [signing_key(Secret(self._unseal(one).decode())) for one in sealed]

    async def _forget(self) -> None:
        """Drop what ended long ago, a bounded portion at a time."""
        while True:
            before = self._now() - self._rules.keep
            try:
                dropped = FORGET_AT_ONCE
                while dropped == FORGET_AT_ONCE:
                    dropped = await self._store.forget(ended_before=before, limit=FORGET_AT_ONCE)
            except StorageUnavailableError as error:
                log.warning("old webhook deliveries cannot be dropped: %s", error.message)
            await asyncio.sleep(FORGET_EVERY_S)

    async def _give_back(self, claims: set[str]) -> None:
        try:
            async with asyncio.timeout(GIVING_BACK_S):
                await self._store.release(claims, self._now())
        except (TimeoutError, StorageUnavailableError):
            log.warning("webhook deliveries that were cut short are due again when their lease ends")
