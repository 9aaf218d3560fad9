"""`IdempotencyStore` for both makes."""

from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from app.domain.call import KeyedCall
from app.domain.errors import IdempotencyInProgressError, IdempotencyMismatchError
from app.storage.codec import to_us
from app.storage.schema import keyed_calls
from app.storage.sql.database import Database

_RETRY_AFTER = timedelta(seconds=1)
_KEY = ("tenant", "scope", "key")


class SqlIdempotencyStore:
    """See `IdempotencyStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, call: KeyedCall, now: datetime) -> bytes | None:
        """See `IdempotencyStore`. The upsert locks the row, also one that it leaves as it is: of those
        who begin at once, on whatever replica, one gets it."""
        values = {
            "fingerprint": call.fingerprint,
            "owner": call.owner,
            "leased_until": to_us(call.leased_until),
            "expires_at": to_us(call.expires_at),
            "answer": None,
        }
        lapsed = sa.and_(
            keyed_calls.c.answer.is_(None),
            keyed_calls.c.leased_until <= to_us(now),
            keyed_calls.c.fingerprint == call.fingerprint,
        )
        free = sa.or_(keyed_calls.c.expires_at <= to_us(now), lapsed)

        def begin(db: sa.Connection) -> bytes | None:
            insert = _insert(db).values(tenant=call.tenant, scope=call.scope, key=call.key, **values)
            upsert = insert.on_conflict_do_update(index_elements=_KEY, set_=values, where=free)
            if db.execute(upsert.returning(keyed_calls.c.owner)).first() is not None:
                return None
            row = db.execute(sa.select(keyed_calls).where(*_here(call))).one()
            if row.fingerprint != call.fingerprint:
                raise IdempotencyMismatchError("the idempotency key was used with another request")
            if row.answer is None:
                raise IdempotencyInProgressError(
                    "the first call with this idempotency key has not ended", retry_after=_RETRY_AFTER
                )
            return bytes(row.answer)

        return await self._database.write(begin)

    async def renew(self, call: KeyedCall, leased_until: datetime) -> None:
        """See `IdempotencyStore`."""
        update = sa.update(keyed_calls).where(*_own(call)).values(leased_until=to_us(leased_until))
        await self._database.write(lambda db: db.execute(update).close())

    async def finish(self, call: KeyedCall, answer: bytes) -> None:
        """See `IdempotencyStore`."""
        update = sa.update(keyed_calls).where(*_own(call)).values(answer=answer)
        await self._database.write(lambda db: db.execute(update).close())

    async def release(self, call: KeyedCall) -> None:
        """See `IdempotencyStore`."""
        forget = sa.delete(keyed_calls).where(*_own(call))
        await self._database.write(lambda db: db.execute(forget).close())


def _here(call: KeyedCall) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        keyed_calls.c.tenant == call.tenant,
        keyed_calls.c.scope == call.scope,
        keyed_calls.c.key == call.key,
    )


def _own(call: KeyedCall) -> tuple[sa.ColumnElement[bool], ...]:
    return (*_here(call), keyed_calls.c.owner == call.owner, keyed_calls.c.answer.is_(None))


def _insert(db: sa.Connection) -> "postgresql.Insert | sqlite.Insert":
    return postgresql.insert(keyed_calls) if db.dialect.name == "postgresql" else sqlite.insert(keyed_calls)
