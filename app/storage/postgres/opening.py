"""Opens the PostgreSQL make: every port of `Stores` over one schema that replicas share."""

import contextlib
from collections.abc import AsyncGenerator, Callable

from app.domain.secrets import Secret
from app.storage.base import OnCommit, Stores
from app.storage.codec import warm_up
from app.storage.postgres.blobs import TableBlobs
from app.storage.postgres.database import POOL_SIZE, Address, open_database
from app.storage.postgres.transaction import Enqueue, Notify, PostgresTransaction
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


@contextlib.asynccontextmanager
async def open_postgres(
    dsn: Secret | str,
    *,
    on_commit: OnCommit,
    schema: str = "public",
    enqueue: Enqueue | None = None,
    notify: Notify | None = None,
    max_artifact_bytes: int = 64 * 1024 * 1024,
    linger_s: float = 0.0,
    observe: ObserveCommit = unobserved,
    pool_size: int = POOL_SIZE,
    on_deliveries: Callable[[], None] | None = None,
) -> AsyncGenerator[Stores]:
    """All stores in `schema` (made and migrated when needed) of the database at `dsn`.

    `enqueue` and `notify` run inside each transaction that queues tasks or writes events, before
    its COMMIT: a queue in the same database, and wake-ups for other replicas. `pool_size` are the
    connections for reads and small writes; task writes, queue and bus have their own besides.

    Raises:
        StorageUnavailableError: the database cannot be reached or migrated.
    """
    address = Address(dsn=dsn.reveal() if isinstance(dsn, Secret) else dsn, schema=schema)
    warm_up()
    async with open_database(address, pool_size=pool_size) as database:
        transaction = PostgresTransaction(address, enqueue=enqueue, notify=notify)
        writer = GroupCommit(
            transaction, on_commit, linger_s=linger_s, observe=observe, on_deliveries=on_deliveries
        )
        blobs = TableBlobs(database)
        try:
            async with writer.running():
                yield Stores(
                    tasks=SqlTaskStore(database, writer, None),
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
                    retention=SqlRetention(database, blobs, None),
                    budgets=SqlBudgetStore(database),
                    webhooks=SqlWebhookStore(database),
                    deliveries=SqlDeliveryStore(database),
                    backend="postgres",
                )
        finally:
            await transaction.close()
