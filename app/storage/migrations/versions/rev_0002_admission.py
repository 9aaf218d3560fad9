"""Credentials, limits, budgets, webhooks and the audit log.

Revision ID: 0002
"""

import sqlalchemy as sa
from alembic import op

from app.storage.migrations.take_rates import TAKE_RATES

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables, in alphabetical order."""
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(length=128), nullable=False),
        sa.Column("tenant", sa.String(length=128), nullable=False),
        sa.Column("prefix", sa.String(length=32), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.Column("rotated_at", sa.BigInteger(), nullable=True),
        sa.Column("previous_until", sa.BigInteger(), nullable=True),
        sa.Column("last_used_at", sa.BigInteger(), nullable=True),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("previous_digest", sa.LargeBinary(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        comment="Digests of keys; the keys themselves are nowhere",
    )
    op.create_index("ix_api_keys_prefix", "api_keys", ["prefix"], unique=True)
    op.create_index(op.f("ix_api_keys_tenant_created_at_id"), "api_keys", ["tenant", "created_at", "id"])
    op.create_table(
        "browser_sessions",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("id", sa.String(length=128), nullable=False),
        sa.Column("tenant", sa.String(length=128), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("principal", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_browser_sessions")),
        comment="Browsers that were let in, by the digest of their cookie",
    )
    op.create_index(op.f("ix_browser_sessions_expires_at"), "browser_sessions", ["expires_at"], unique=False)
    op.create_index(op.f("ix_browser_sessions_id"), "browser_sessions", ["id"], unique=True)
    op.create_table(
        "budget_accounts",
        sa.Column("task_id", sa.String(length=128), nullable=False),
        sa.Column("tenant", sa.String(length=128), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("counted_tokens", sa.BigInteger(), nullable=False),
        sa.Column("counted_micro_usd", sa.BigInteger(), nullable=False),
        sa.Column("counted_steps", sa.BigInteger(), nullable=False),
        sa.Column("held_tokens", sa.BigInteger(), nullable=False),
        sa.Column("held_micro_usd", sa.BigInteger(), nullable=False),
        sa.Column("held_steps", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("task_id", name=op.f("pk_budget_accounts")),
        comment="What a task told of its counters, and what it holds of its tenant's day",
    )
    op.create_index(op.f("ix_budget_accounts_day"), "budget_accounts", ["day"], unique=False)
    op.create_index(
        "ix_budget_accounts_holding",
        "budget_accounts",
        ["task_id"],
        unique=False,
        sqlite_where=sa.text("held_tokens > 0 OR held_micro_usd > 0 OR held_steps > 0"),
        postgresql_where=sa.text("held_tokens > 0 OR held_micro_usd > 0 OR held_steps > 0"),
    )
    op.create_table(
        "budget_days",
        sa.Column("tenant", sa.String(length=128), nullable=False),
        sa.Column("day", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("used_tokens", sa.BigInteger(), nullable=False),
        sa.Column("used_micro_usd", sa.BigInteger(), nullable=False),
        sa.Column("used_steps", sa.BigInteger(), nullable=False),
        sa.Column("reserved_tokens", sa.BigInteger(), nullable=False),
        sa.Column("reserved_micro_usd", sa.BigInteger(), nullable=False),
        sa.Column("reserved_steps", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "day", name=op.f("pk_budget_days")),
        comment="Days since 1970 (UTC) of tenants that have a budget",
    )
    op.create_index(op.f("ix_budget_days_day"), "budget_days", ["day"], unique=False)
    op.create_table(
        "budgets",
        sa.Column("tenant", sa.String(length=128), nullable=False),
        sa.Column("tokens", sa.BigInteger(), nullable=True),
        sa.Column("micro_usd", sa.BigInteger(), nullable=True),
        sa.Column("steps", sa.BigInteger(), nullable=True),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", name=op.f("pk_budgets")),
        comment="Limits of a day, stored by the operator; NULL is what the settings say, -1 no limit",
    )
    op.create_table(
        "rate_buckets",
        sa.Column("key", sa.String(length=32), nullable=False),
        sa.Column("due", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_rate_buckets")),
        comment="When shared rates are whole again, in microseconds since 1970 (PostgreSQL: unlogged)",
    )
    op.create_table(
        "stream_tickets",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("tenant", sa.String(length=128), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("path", sa.LargeBinary(), nullable=False),
        sa.Column("principal", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_stream_tickets")),
        comment="One-time tickets that were not used yet, by their digest",
    )
    op.create_index(op.f("ix_stream_tickets_expires_at"), "stream_tickets", ["expires_at"], unique=False)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE rate_buckets SET UNLOGGED")
        op.execute(TAKE_RATES)
    op.add_column("tenants", sa.Column("unfinished", sa.BigInteger(), nullable=False, server_default="0"))
    op.execute(
        "UPDATE tenants SET unfinished = (SELECT count(*) FROM tasks"
        " WHERE tasks.tenant = tenants.tenant AND tasks.state IN ('queued', 'running'))"
    )
    op.create_table(
        "keyed_calls",
        sa.Column("tenant", sa.String(length=128), nullable=False),
        sa.Column("scope", sa.String(length=512), nullable=False),
        sa.Column("key", sa.String(length=512), nullable=False),
        sa.Column("fingerprint", sa.String(length=128), nullable=False),
        sa.Column("owner", sa.String(length=64), nullable=False),
        sa.Column("leased_until", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("answer", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("tenant", "scope", "key", name=op.f("pk_keyed_calls")),
        comment="Calls with an idempotency key, other than those that submit a task; no answer: under way",
    )
    op.create_index(op.f("ix_keyed_calls_expires_at"), "keyed_calls", ["expires_at"], unique=False)
