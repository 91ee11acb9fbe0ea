"""The tables of the query store, as its newest migration leaves them.

Lookups are laid out by segment: what is written is written in one small part of the index,
however long the log has become, and what is old goes by segments.
"""

from typing import Final

import sqlalchemy as sa

from broker.storage.tables import NAMES

AUDIT_METADATA: Final = sa.MetaData(naming_convention=NAMES)

SEGMENT_BITS: Final = 18
"""Entries are looked up in segments of 2¹⁸: a quarter of a million."""

POSITION: Final = sa.Table(
    "audit_position",
    AUDIT_METADATA,
    sa.Column("one", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("next_entry", sa.BigInteger, nullable=False),
    sa.Column("next_offset", sa.BigInteger, nullable=False),
    sa.Column("key_mark", sa.LargeBinary, nullable=False),
    sa.Column("first_entry", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("gone_before_ms", sa.BigInteger, nullable=True),
    sa.Column("made", sa.BigInteger, nullable=False, server_default="0"),
    sa.CheckConstraint("one = 1", name="one"),
)
"""How far the store has the log, and a mark of the key that its tokens are made with.

Whole segments before ``first_entry`` were taken out, all decided before ``gone_before_ms``;
``made`` is another number each time that the store is made.
"""

PHRASE: Final = sa.Table(
    "audit_phrase",
    AUDIT_METADATA,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("digest", sa.LargeBinary, nullable=False, unique=True),
    sa.Column("body", sa.LargeBinary, nullable=False),
)
"""What records say again and again, kept once: senders, recipients, candidates."""

ENTRY: Final = sa.Table(
    "audit_entry",
    AUDIT_METADATA,
    # An INTEGER is the row's own number on SQLite; of a BIGINT it makes an index beside.
    sa.Column(
        "entry",
        sa.BigInteger().with_variant(sa.Integer, "sqlite"),
        primary_key=True,
        autoincrement=False,
    ),
    sa.Column("event_id", sa.LargeBinary, nullable=False),
    sa.Column("sender", sa.Integer, nullable=False),
    sa.Column("decided_ms", sa.BigInteger, nullable=False, index=True),
    sa.Column("occurred_ms", sa.BigInteger, nullable=False),
    sa.Column("said", sa.LargeBinary, nullable=False),
    sa.Column("tokens", sa.LargeBinary, nullable=False),
    sa.Column("settles", sa.Text, nullable=True),
)
"""One record of the log; ``said`` has its candidates (phrase and seal of each)."""

LOOKUP: Final = sa.Table(
    "audit_lookup",
    AUDIT_METADATA,
    sa.Column("segment", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("token", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("entry", sa.BigInteger, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)
"""Which records have a token in them, by its first eight bytes: of a subject or an event id."""

RECEIVED: Final = sa.Table(
    "audit_received",
    AUDIT_METADATA,
    sa.Column("recipient", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("entry", sa.BigInteger, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)
"""Which records name a recipient, by the number of its phrase."""
