"""Opens the SQLite make: every port of `Stores` over one data directory."""

import contextlib
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

from app.storage.base import OnCommit, Stores
from app.storage.codec import warm_up
from app.storage.sql.access import SqlBrowserSessionStore, SqlStreamTicketStore
from app.storage.sql.agents import SqlAgentStore
from app.storage.sql.artifacts import SqlArtifactStore
from app.storage.sql.budgets import SqlBudgetStore
from app.storage.sql.configuration import SqlConfigurationStore
from app.storage.sql.credentials import SqlCredentialStore
from app.storage.sql.deliveries import SqlDeliveryStore
from app.storage.sql.group_commit import GroupCommit, ObserveCommit, unobserved
from app.storage.sql.idempotency import SqlIdempotencyStore
from app.storage.sql.journal import SqlJournal
from app.storage.sql.retention import SqlRetention
from app.storage.sql.sandboxes import SqlSandboxStore
from app.storage.sql.sessions import SqlSessionStore
from app.storage.sql.tasks import SqlTaskStore
from app.storage.sql.webhooks import SqlWebhookStore
from app.storage.sqlite.blobs import FileBlobs
from app.storage.sqlite.database import open_database
from app.storage.sqlite.transaction import SqliteTransaction


@contextlib.asynccontextmanager
async def open_sqlite(
    path: Path,
    *,
    on_commit: OnCommit,
    max_artifact_bytes: int = 64 * 1024 * 1024,
    linger_s: float = 0.0,
    observe: ObserveCommit = unobserved,
    cache_bytes: int = 64 * 1024 * 1024,
    on_deliveries: Callable[[], None] | None = None,
) -> AsyncGenerator[Stores]:
    """All stores on the database file `path`; artifacts lie in `artifacts/` beside it.

    One process owns the file while the block is open. `linger_s` is how long a writer on a
    busy loop gathers commands before it commits again, for `on_deliveries` (see `GroupCommit`).

    Raises:
        StorageUnavailableError: another process owns the file, or it cannot be opened.
    """
    warm_up()
    async with open_database(path, cache_bytes=cache_bytes) as database:
        transaction = SqliteTransaction(database)
        writer = GroupCommit(
            transaction, on_commit, linger_s=linger_s, observe=observe, on_deliveries=on_deliveries
        )
        blobs = FileBlobs(database, path.parent / "artifacts")
        async with writer.running():
            yield Stores(
                tasks=SqlTaskStore(database, writer, database.cache),
                journal=SqlJournal(database),
                artifacts=SqlArtifactStore(database, blobs, max_bytes=max_artifact_bytes),
                sessions=SqlSessionStore(database),
                agents=SqlAgentStore(database),
                configuration=SqlConfigurationStore(database),
                sandboxes=SqlSandboxStore(database),
                credentials=SqlCredentialStore(database),
                browser_sessions=SqlBrowserSessionStore(database),
                stream_tickets=SqlStreamTicketStore(database),
                keyed_calls=SqlIdempotencyStore(database),
                retention=SqlRetention(database, blobs, database.cache),
                budgets=SqlBudgetStore(database),
                webhooks=SqlWebhookStore(database, changed=transaction.forget_tenant),
                deliveries=SqlDeliveryStore(database, changed=transaction.forget_tenant),
                backend="sqlite",
            )
