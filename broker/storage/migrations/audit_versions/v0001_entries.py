"""Entries of the log, and what they are found by."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the first tables."""
    op.create_table(
        "audit_position",
        sa.Column("one", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("next_entry", sa.BigInteger, nullable=False),
        sa.Column("next_offset", sa.BigInteger, nullable=False),
        sa.Column("key_mark", sa.LargeBinary, nullable=False),
        sa.CheckConstraint("one = 1", name="one"),
    )
    op.create_table(
        "audit_phrase",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("digest", sa.LargeBinary, nullable=False, unique=True),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "audit_entry",
        sa.Column("entry", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("event_id", sa.LargeBinary, nullable=False),
        sa.Column("sender", sa.Integer, nullable=False),
        sa.Column("decided_ms", sa.BigInteger, nullable=False, index=True),
        sa.Column("occurred_ms", sa.BigInteger, nullable=False),
        sa.Column("said", sa.LargeBinary, nullable=False),
        sa.Column("tokens", sa.LargeBinary, nullable=False),
        sa.Column("settles", sa.Text, nullable=True),
    )
    op.create_table(
        "audit_lookup",
        sa.Column("segment", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("token", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("entry", sa.BigInteger, primary_key=True, autoincrement=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "audit_received",
        sa.Column("recipient", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("entry", sa.BigInteger, primary_key=True, autoincrement=False),
        sqlite_with_rowid=False,
    )
