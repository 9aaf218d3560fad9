"""The tables, one text for SQLite and PostgreSQL.

Times are microseconds since 1970 (UTC). Bodies are JSON as bytes: unlike text they may hold
anything a caller can say, U+0000 included. Narrow columns stand before the bodies, so that a scan
need not read these. A change here needs a revision in `migrations/versions` (a test compares).
"""

import sqlalchemy as sa

NAMING = {
    "pk": "pk_%(table_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
}
metadata = sa.MetaData(naming_convention=NAMING)

Id = sa.String(128)
Row64 = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
"""SQLite numbers rows by itself only in a column called INTEGER."""

tenants = sa.Table(
    "tenants",
    metadata,
    sa.Column("tenant", Id, primary_key=True),
    sa.Column("last_position", sa.BigInteger, nullable=False),
    sa.Column("queued", sa.BigInteger, nullable=False),
    sa.Column("unfinished", sa.BigInteger, nullable=False, server_default="0"),
)

sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("tenant", Id, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("updated_at", sa.BigInteger, nullable=False),
    sa.Column("task_count", sa.Integer, nullable=False),
    sa.Column("last_task_id", Id),
    sa.Column("sandbox_id", Id),
    sa.Column("title", sa.LargeBinary, nullable=False),
    sa.Column("metadata", sa.LargeBinary, nullable=False),
    sa.Index(None, "tenant", "created_at", "id"),
)

tasks = sa.Table(
    "tasks",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("tenant", Id, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("session_id", Id),
    sa.Column("agent_id", Id, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("ended_at", sa.BigInteger),
    sa.Column("expires_at", sa.BigInteger),
    sa.Column("first_seq", sa.BigInteger, nullable=False),
    sa.Column("last_seq", sa.BigInteger, nullable=False),
    sa.Column("sealed", sa.LargeBinary),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("spec", sa.LargeBinary, nullable=False),
    sa.Index(None, "tenant", "created_at", "id"),
)
_started_in_session = tasks.c.session_id.is_not(None)
_unfinished = tasks.c.ended_at.is_(None)
_ended = tasks.c.ended_at.is_not(None)
_expiring = tasks.c.expires_at.is_not(None)
for name, where, columns in (
    ("ix_tasks_session", _started_in_session, (tasks.c.session_id, tasks.c.created_at, tasks.c.id)),
    ("ix_tasks_unfinished", _unfinished, (tasks.c.created_at, tasks.c.id)),
    ("ix_tasks_ended", _ended, (tasks.c.ended_at,)),
    ("ix_tasks_expiring", _expiring, (tasks.c.expires_at,)),
):
    sa.Index(name, *columns, sqlite_where=where, postgresql_where=where)

labels = sa.Table(
    "labels",
    metadata,
    sa.Column("task_id", Id, primary_key=True),
    sa.Column("key", sa.LargeBinary, primary_key=True),
    sa.Column("value", sa.LargeBinary, nullable=False),
    comment="The metadata pairs of tasks, to filter by",
)

events = sa.Table(
    "events",
    metadata,
    sa.Column("task_id", Id, primary_key=True),
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("tenant", Id, nullable=False),
    sa.Column("position", sa.BigInteger, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("type", sa.String(64), nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Index("ix_events_position", "tenant", "position", unique=True),
)

messages = sa.Table(
    "messages",
    metadata,
    sa.Column("id", Row64, primary_key=True, autoincrement=True),
    sa.Column("task_id", Id, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Index(None, "task_id", "id"),
)

idempotency = sa.Table(
    "idempotency",
    metadata,
    sa.Column("tenant", Id, primary_key=True),
    sa.Column("scope", sa.String(512), primary_key=True),
    sa.Column("key", sa.String(512), primary_key=True),
    sa.Column("fingerprint", sa.String(128), nullable=False),
    sa.Column("task_id", Id, nullable=False),
    sa.Column("expires_at", sa.BigInteger, nullable=False),
    sa.Index(None, "task_id"),
    sa.Index(None, "expires_at"),
)

api_keys = sa.Table(
    "api_keys",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("tenant", Id, nullable=False),
    sa.Column("prefix", sa.String(32), nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("expires_at", sa.BigInteger),
    sa.Column("revoked_at", sa.BigInteger),
    sa.Column("rotated_at", sa.BigInteger),
    sa.Column("previous_until", sa.BigInteger),
    sa.Column("last_used_at", sa.BigInteger),
    sa.Column("digest", sa.LargeBinary, nullable=False),
    sa.Column("previous_digest", sa.LargeBinary),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Index("ix_api_keys_prefix", "prefix", unique=True),
    sa.Index(None, "tenant", "created_at", "id"),
    comment="Digests of keys; the keys themselves are nowhere",
)

agents = sa.Table(
    "agents",
    metadata,
    sa.Column("tenant", Id, primary_key=True),
    sa.Column("id", Id, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
)

configurations = sa.Table(
    "configurations",
    metadata,
    sa.Column("tenant", Id, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("updated_at", sa.BigInteger),
    sa.Column("sealed", sa.LargeBinary),
    sa.Column("body", sa.LargeBinary, nullable=False),
)

sandboxes = sa.Table(
    "sandboxes",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("tenant", Id, nullable=False),
    sa.Column("kind", sa.String(64), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("expires_at", sa.BigInteger),
    sa.Column("task_id", Id),
    sa.Column("session_id", Id),
    sa.Index(None, "tenant", "created_at", "id"),
)
_open = sandboxes.c.state == sa.literal_column("'open'")
sa.Index("ix_sandboxes_open", sandboxes.c.id, sqlite_where=_open, postgresql_where=_open)

claims = sa.Table(
    "claims",
    metadata,
    sa.Column("id", Row64, primary_key=True, autoincrement=True),
    sa.Column("tenant", Id, nullable=False),
    sa.Column("digest", sa.String(80), nullable=False),
    sa.Column("task_id", Id, nullable=False),
    sa.Column("name", sa.LargeBinary, nullable=False),
    sa.Column("media_type", sa.LargeBinary, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Index("ix_claims_once", "tenant", "digest", "task_id", "name", unique=True),
    sa.Index(None, "digest"),
    sa.Index(None, "task_id"),
    comment="Who may read which bytes; `task_id` is empty for bytes no task made",
)

blobs = sa.Table(
    "blobs",
    metadata,
    sa.Column("digest", sa.String(80), primary_key=True),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
)

rate_buckets = sa.Table(
    "rate_buckets",
    metadata,
    sa.Column("key", sa.String(32), primary_key=True),
    sa.Column("due", sa.BigInteger, nullable=False),
    comment="When shared rates are whole again, in microseconds since 1970 (PostgreSQL: unlogged)",
)

chunks = sa.Table(
    "chunks",
    metadata,
    sa.Column("digest", sa.String(80), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    comment="The bytes of blobs where replicas share no file system",
)

budget_accounts = sa.Table(
    "budget_accounts",
    metadata,
    sa.Column("task_id", Id, primary_key=True),
    sa.Column("tenant", Id, nullable=False),
    sa.Column("epoch", sa.BigInteger, nullable=False),
    sa.Column("day", sa.Integer, nullable=False),
    sa.Column("counted_tokens", sa.BigInteger, nullable=False),
    sa.Column("counted_micro_usd", sa.BigInteger, nullable=False),
    sa.Column("counted_steps", sa.BigInteger, nullable=False),
    sa.Column("held_tokens", sa.BigInteger, nullable=False),
    sa.Column("held_micro_usd", sa.BigInteger, nullable=False),
    sa.Column("held_steps", sa.BigInteger, nullable=False),
    sa.Index(None, "day"),
    comment="What a task told of its counters, and what it holds of its tenant's day",
)
_nothing: sa.ColumnClause[int] = sa.literal_column("0")
budgets_held = sa.or_(
    budget_accounts.c.held_tokens > _nothing,
    budget_accounts.c.held_micro_usd > _nothing,
    budget_accounts.c.held_steps > _nothing,
)
sa.Index(
    "ix_budget_accounts_holding",
    budget_accounts.c.task_id,
    sqlite_where=budgets_held,
    postgresql_where=budgets_held,
)

budget_days = sa.Table(
    "budget_days",
    metadata,
    sa.Column("tenant", Id, primary_key=True),
    sa.Column("day", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("used_tokens", sa.BigInteger, nullable=False),
    sa.Column("used_micro_usd", sa.BigInteger, nullable=False),
    sa.Column("used_steps", sa.BigInteger, nullable=False),
    sa.Column("reserved_tokens", sa.BigInteger, nullable=False),
    sa.Column("reserved_micro_usd", sa.BigInteger, nullable=False),
    sa.Column("reserved_steps", sa.BigInteger, nullable=False),
    sa.Index(None, "day"),
    comment="Days since 1970 (UTC) of tenants that have a budget",
)

budgets = sa.Table(
    "budgets",
    metadata,
    sa.Column("tenant", Id, primary_key=True),
    sa.Column("tokens", sa.BigInteger),
    sa.Column("micro_usd", sa.BigInteger),
    sa.Column("steps", sa.BigInteger),
    sa.Column("updated_at", sa.BigInteger, nullable=False),
    comment="Limits of a day, stored by the operator; NULL is what the settings say, -1 no limit",
)

browser_sessions = sa.Table(
    "browser_sessions",
    metadata,
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("id", Id, nullable=False),
    sa.Column("tenant", Id, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("used_at", sa.BigInteger, nullable=False),
    sa.Column("expires_at", sa.BigInteger, nullable=False),
    sa.Column("principal", sa.LargeBinary, nullable=False),
    sa.Index(None, "id", unique=True),
    sa.Index(None, "expires_at"),
    comment="Browsers that were let in, by the digest of their cookie",
)

stream_tickets = sa.Table(
    "stream_tickets",
    metadata,
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("tenant", Id, nullable=False),
    sa.Column("expires_at", sa.BigInteger, nullable=False),
    sa.Column("path", sa.LargeBinary, nullable=False),
    sa.Column("principal", sa.LargeBinary, nullable=False),
    sa.Index(None, "expires_at"),
    comment="One-time tickets that were not used yet, by their digest",
)

keyed_calls = sa.Table(
    "keyed_calls",
    metadata,
    sa.Column("tenant", Id, primary_key=True),
    sa.Column("scope", sa.String(512), primary_key=True),
    sa.Column("key", sa.String(512), primary_key=True),
    sa.Column("fingerprint", sa.String(128), nullable=False),
    sa.Column("owner", sa.String(64), nullable=False),
    sa.Column("leased_until", sa.BigInteger, nullable=False),
    sa.Column("expires_at", sa.BigInteger, nullable=False),
    sa.Column("answer", sa.LargeBinary),
    sa.Index(None, "expires_at"),
    comment="Calls with an idempotency key, other than those that submit a task; no answer: under way",
)
