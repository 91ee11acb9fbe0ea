"""What a store has of the log, as old segments can be taken out; entries without a second index.

SQLite made an index beside the table of entries, as their number was a BIGINT there.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Say so beside the position."""
    op.add_column(
        "audit_position",
        sa.Column("first_entry", sa.BigInteger, nullable=False, server_default="0"),
    )
    op.add_column("audit_position", sa.Column("gone_before_ms", sa.BigInteger, nullable=True))
    op.add_column(
        "audit_position", sa.Column("made", sa.BigInteger, nullable=False, server_default="0")
    )
    if op.get_bind().dialect.name == "sqlite":
        op.drop_index("ix_audit_entry_decided_ms", "audit_entry")
        op.rename_table("audit_entry", "audit_entry_before")
        op.create_table(
            "audit_entry",
            sa.Column("entry", sa.Integer, primary_key=True, autoincrement=False),
            sa.Column("event_id", sa.LargeBinary, nullable=False),
            sa.Column("sender", sa.Integer, nullable=False),
            sa.Column("decided_ms", sa.BigInteger, nullable=False, index=True),
            sa.Column("occurred_ms", sa.BigInteger, nullable=False),
            sa.Column("said", sa.LargeBinary, nullable=False),
            sa.Column("tokens", sa.LargeBinary, nullable=False),
            sa.Column("settles", sa.Text, nullable=True),
        )
        op.execute("INSERT INTO audit_entry SELECT * FROM audit_entry_before ORDER BY entry")
        op.drop_table("audit_entry_before")
