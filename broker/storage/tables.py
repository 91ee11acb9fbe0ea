"""The tables, as the newest migration leaves them (a test holds the two together)."""

from datetime import UTC, datetime
from typing import Final

import sqlalchemy as sa
from sqlalchemy.types import TypeDecorator

NAMES: Final = {
    "pk": "pk_%(table_name)s",
    "fk": "fk_%(table_name)s_%(referred_table_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ix": "ix_%(table_name)s_%(column_0_name)s",
}

METADATA = sa.MetaData(naming_convention=NAMES)


class Moment(TypeDecorator[datetime]):
    """An aware time in UTC; SQLite, which has no time zones, keeps it without."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """Write UTC."""
        del dialect
        return value if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """Read UTC."""
        del dialect
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


DOCUMENT = sa.Table(
    "document",
    METADATA,
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.CheckConstraint("revision >= 1", name="revision"),
)
"""Which revision of a document is the latest: the one place where two officers meet."""

REVISION = sa.Table(
    "revision",
    METADATA,
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("revision", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("changed_by", sa.Text, nullable=False),
    sa.Column("changed_at", Moment, nullable=False),
    sa.ForeignKeyConstraint(
        ["kind", "id", "version"], ["document.kind", "document.id", "document.version"]
    ),
)
"""What a document said in each of its revisions; the body is JSON."""

OUTBOX = sa.Table(
    "outbox",
    METADATA,
    sa.Column(
        "number",
        sa.BigInteger().with_variant(sa.Integer, "sqlite"),
        primary_key=True,
        autoincrement=True,
    ),
    sa.Column("key", sa.LargeBinary, nullable=False),
    sa.Column("value", sa.LargeBinary, nullable=False),
    sa.Column("made_by", sa.Text, nullable=False),
    sa.Column("made_at", Moment, nullable=False),
    sa.Column("published_at", Moment, nullable=True),
    sqlite_autoincrement=True,  # a number is never given again
)
"""Records for ``control`` in the order of their commits; kept once they are published."""

sa.Index(
    "ix_outbox_waiting",
    OUTBOX.c.number,
    sqlite_where=OUTBOX.c.published_at.is_(None),
    postgresql_where=OUTBOX.c.published_at.is_(None),
)
