"""Calls with an idempotency key: carried out once, answered alike however often they come.

Draft-ietf-httpapi-idempotency-key-header-07: a malformed key is 400, a call that comes while the first is
under way 409, one with another payload 422, and any other gets the first answer. A use case takes part with
one line above it, `@idempotent(...)`. Tasks have a stronger way of their own: `TaskStore.create` keeps the
key in the task's transaction.
"""

import asyncio
import hashlib
import inspect
import json
import logging
import secrets
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property, wraps
from typing import Any, Concatenate, Final, Generic, ParamSpec, Protocol, TypeVar

from pydantic import TypeAdapter

from app.domain.call import CallContext, Idempotency, KeyedCall
from app.domain.errors import InvalidRequestError, NotConfiguredError, StorageUnavailableError
from app.domain.identity import TenantId
from app.domain.secrets import Secret
from app.policy.use_cases import USE_CASES
from app.service.configuration import Sealer
from app.storage.base import IdempotencyStore

log = logging.getLogger(__name__)

MAX_KEY_CHARS: Final = 255
LEASE: Final = timedelta(seconds=30)
"""How long a call whose process died keeps its key from being used again."""
MAX_LEFT: Final = 256
"""Calls that go on although their callers left; the work of a further one ends with its caller."""
MAX_LEFT_PER_TENANT: Final = 16
"""Of these, calls of one tenant."""
GRACE_S: Final = 2.0
"""What such calls get to end when the process closes."""

T = TypeVar("T")
P = ParamSpec("P")


class Answers(Protocol[T]):
    """How the answers of a use case are kept."""

    @property
    def secret(self) -> bool:
        """Whether they hold what must not be stored in the clear."""
        ...

    def encode(self, answer: T) -> bytes:
        """As bytes."""
        ...

    def decode(self, kept: bytes) -> T:
        """From bytes, also those an earlier version wrote."""
        ...


class PlainAnswers(Generic[T]):
    """Answers of a type of ours that holds no secret, as JSON."""

    secret = False

    def __init__(self, kind: type[T]) -> None:
        self._kind = kind

    @cached_property
    def _adapter(self) -> TypeAdapter[T]:
        return TypeAdapter(self._kind)  # when first needed: a start has no use for it

    def encode(self, answer: T) -> bytes:
        """See `Answers`."""
        return self._adapter.dump_json(answer)

    def decode(self, kept: bytes) -> T:
        """See `Answers`."""
        return self._adapter.validate_json(kept)


def checked_key(given: Idempotency) -> str:
    """The key. Raises InvalidRequestError."""
    key = given.key
    if not 0 < len(key) <= MAX_KEY_CHARS or not key.isprintable():
        description = f"must have 1 to {MAX_KEY_CHARS} printable characters"
        raise InvalidRequestError.of("request_id", description, "INVALID_IDEMPOTENCY_KEY")
    return key


class KeyedCalls:
    """Carries out calls that have a key.

    The work is a task of this object, not of its caller: who leaves, or whose deadline passes, does not
    stop it, and comes back with the key for the answer.
    """

    def __init__(
        self,
        store: IdempotencyStore,
        *,
        sealer: Sealer | None,
        now: Callable[[], datetime],
        ttl: timedelta,
        lease: timedelta = LEASE,
    ) -> None:
        """`ttl` is how long answers are kept. Without `sealer` no answer that is secret can be."""
        self._store = store
        self._sealer = sealer
        self._now = now
        self._ttl = ttl
        self._lease = lease
        self._running: set[asyncio.Task[Any]] = set()
        self._left: dict[asyncio.Task[Any], TenantId] = {}

    async def once(
        self,
        call: CallContext,
        given: Idempotency,
        *,
        use_case: str,
        asked: Mapping[str, object],
        work: Callable[[], Awaitable[T]],
        answers: Answers[T],
    ) -> T:
        """What `work` returns, or returned the first time (then `given.replayed` is set).

        What it raises is not kept: the key is free again.

        Raises InvalidRequestError (the key), IdempotencyInProgressError, IdempotencyMismatchError,
        NotConfiguredError (a secret answer, and no key to seal it with), StorageUnavailableError, and
        what `work` raises.
        """
        key = checked_key(given)
        if answers.secret and self._sealer is None:
            raise NotConfiguredError(
                "an idempotency key here needs GATEWAY_SECRETS__KEYS: the answer is secret",
                setting="secrets.keys",
            )
        # A caller of the same name that may do less must not be handed the secret of one that may do more.
        rights = sorted(call.principal.scopes) if answers.secret else []
        now = self._now()
        keyed = KeyedCall(
            tenant=call.tenant,
            scope=f"{call.principal.subject}:{use_case}",
            key=key,
            fingerprint=fingerprint_of([{name: one for name, one in asked.items() if one}, rights]),
            owner=secrets.token_hex(16),
            leased_until=now + self._lease,
            expires_at=now + self._ttl,
        )
        carried_out = self._carried_out(keyed, work, answers)
        running = asyncio.create_task(carried_out, name=f"keyed {use_case}")  # noqa: TID251 - see `aclose`
        self._running.add(running)
        running.add_done_callback(self._ended)
        try:
            answer, given.replayed = await asyncio.shield(running)
        except asyncio.CancelledError:
            if self._may_leave(call.tenant):
                if not running.done():
                    self._left[running] = call.tenant
            else:
                running.cancel()
            raise
        return answer

    def _may_leave(self, tenant: TenantId) -> bool:
        """What goes on without its caller holds no place, so there is only so much of it."""
        of_tenant = sum(one == tenant for one in self._left.values())
        return len(self._left) < MAX_LEFT and of_tenant < MAX_LEFT_PER_TENANT

    async def aclose(self) -> None:
        """Give what goes on `GRACE_S` seconds, then stop it; its keys are free when the leases are over."""
        if self._running:
            await asyncio.wait(self._running, timeout=GRACE_S)
        for running in self._running:
            running.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _carried_out(
        self, keyed: KeyedCall, work: Callable[[], Awaitable[T]], answers: Answers[T]
    ) -> tuple[T, bool]:
        kept = await self._store.begin(keyed, self._now())
        if kept is not None:
            return self._decoded(kept, answers), True
        renewing = asyncio.create_task(self._renew(keyed))  # noqa: TID251 - ended below
        try:
            answer = await work()
        except Exception:
            with suppress(StorageUnavailableError):
                await self._store.release(keyed)
            raise
        finally:
            renewing.cancel()
        try:
            plain = answers.encode(answer)
            await self._store.finish(keyed, plain if self._sealer is None else self._sealer.seal(plain))
        except StorageUnavailableError:  # it was carried out: its caller must not think it was not
            log.warning("the answer of a call with an idempotency key could not be kept")
        return answer, False

    def _decoded(self, kept: bytes, answers: Answers[T]) -> T:
        if self._sealer is None:
            return answers.decode(kept)
        try:
            plain = self._sealer.unseal(kept)
        except NotConfiguredError:
            if answers.secret:
                raise
            with suppress(ValueError):  # it may be from before there was a key to seal with
                return answers.decode(kept)
            raise
        return answers.decode(plain)

    async def _renew(self, keyed: KeyedCall) -> None:
        while True:
            await asyncio.sleep(self._lease.total_seconds() / 3)
            with suppress(StorageUnavailableError):
                await self._store.renew(keyed, self._now() + self._lease)

    def _ended(self, running: asyncio.Task[Any]) -> None:
        self._running.discard(running)
        self._left.pop(running, None)
        if not running.cancelled():
            running.exception()  # whoever waited was told; nobody waits for what was left


class TakesKeys(Protocol):
    """A group of use cases some of which take idempotency keys."""

    @property
    def keyed(self) -> KeyedCalls:
        """Who carries out calls that have one."""
        ...


S = TypeVar("S", bound=TakesKeys)
Method = Callable[Concatenate[S, CallContext, P], Coroutine[Any, Any, T]]


def idempotent(use_case: str, answers: Answers[T]) -> Callable[[Method[S, P, T]], Method[S, P, T]]:
    """Have a use case honour the caller's idempotency key; `USE_CASES` says of it that it does.

    An argument that is empty is the same as one that is absent: protocols differ in how they leave out.
    """
    if not USE_CASES[use_case].takes_key:
        raise TypeError(f"the table of use cases does not say that {use_case} takes an idempotency key")

    def around(method: Method[S, P, T]) -> Method[S, P, T]:
        signature = inspect.signature(method)

        @wraps(method)
        async def honouring(self: S, call: CallContext, /, *args: P.args, **kwargs: P.kwargs) -> T:
            if call.idempotency is None:
                return await method(self, call, *args, **kwargs)
            _, _, *asked = signature.bind(self, call, *args, **kwargs).arguments.items()
            return await self.keyed.once(
                call,
                call.idempotency,
                use_case=use_case,
                asked=dict(asked),
                work=lambda: method(self, call, *args, **kwargs),
                answers=answers,
            )

        return honouring

    return around


def fingerprint_of(payload: object) -> str:
    """A hash of what was asked for; a secret inside it counts, but only by its own hash."""
    text = json.dumps(payload, sort_keys=True, separators=(",", ":"), default=_plain)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _plain(value: Any) -> object:
    if isinstance(value, Secret):
        return hashlib.sha256(value.reveal().encode("utf-8", "surrogatepass")).hexdigest()
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, set | frozenset):
        return sorted(value)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if isinstance(value, Mapping):
        return dict(value)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    raise TypeError(f"a {type(value).__name__} cannot be told from another by its text")
