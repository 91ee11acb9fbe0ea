"""Fill a query store with made-up entries, to measure what a large one does.

Nearly all of them are noise that the database makes itself, laid out as the store lays its
own: whoever asks finds nothing of it, and has to find what was put between it. A store in
which something is, is left alone.
"""

from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Final

import sqlalchemy as sa

from broker.storage.audit import AuditTables
from broker.storage.audit_packing import SAID, Row
from broker.storage.audit_reading import Position
from broker.storage.audit_rows import insert
from broker.storage.audit_tables import AUDIT_METADATA, PHRASE, SEGMENT_BITS
from broker.storage.errors import UnusableStore

EVERY: Final = 500
"""Of so many entries one is not noise."""


def fill(
    tables: AuditTables,
    entries: int,
    *,
    said: Sequence[tuple[bytes, bytes]],
    key_mark: bytes,
    told: Callable[[int], None],
) -> None:
    """Write noise at every place but each `EVERY`-th, for rows that `put_between` adds.

    ``said`` are candidates with the phrases of their recipients.

    Raises:
        UnusableStore: something is in the store.

    """
    if tables.extent() is not None:
        raise UnusableStore("the store to measure with is not empty: name an empty one")
    with tables.writing() as connection:
        numbers = {body: n for n, body in enumerate(dict.fromkeys(sum(said, ())), 1)}
        phrases = [(n, sha256(body).digest(), body) for body, n in numbers.items()]
        insert(connection, PHRASE, phrases)
        connection.execute(sa.text(_SAID_TABLE[connection.dialect.name]))
        if connection.dialect.name == "postgresql":  # which makes an index faster in one go
            for table in _INDEXED:
                name = sa.inspect(connection).get_pk_constraint(table)["name"]
                connection.execute(sa.text(f"ALTER TABLE {table} DROP CONSTRAINT {name}"))
        connection.execute(
            sa.text("INSERT INTO audit_noise VALUES (:number, :said, :recipient)"),
            [
                {
                    "number": number,
                    "said": SAID.pack(numbers[part], 32) + bytes(32),
                    "recipient": numbers[recipient],
                }
                for number, (part, recipient) in enumerate(said)
            ],
        )
    for first in range(0, entries, 1 << SEGMENT_BITS):
        last = min(first + (1 << SEGMENT_BITS), entries)
        limits = {"first": first, "last": last, "some": len(said), "every": EVERY}
        with tables.writing() as connection:
            numbers_of = _NUMBERS[connection.dialect.name]
            made = _MADE[connection.dialect.name]
            for statement in _STATEMENTS:
                text = statement.format(numbers=numbers_of, bits=SEGMENT_BITS, **made)
                connection.execute(sa.text(text), limits)
        told(last)
    with tables.writing() as connection:
        connection.execute(sa.text("DROP TABLE audit_noise"))
        if connection.dialect.name == "postgresql":
            for table, columns in _INDEXED.items():
                connection.execute(sa.text(f"ALTER TABLE {table} ADD PRIMARY KEY ({columns})"))
        connection.execute(sa.text("ANALYZE"))
    tables.found(Position(0, entries, key_mark))


def empty(tables: AuditTables) -> None:
    """Take away everything, so that the store is as it was before the first entry."""
    with tables.writing() as connection:
        for table in AUDIT_METADATA.sorted_tables:
            connection.execute(sa.delete(table))


def put_between(tables: AuditTables, rows: Sequence[Row], entries: int) -> None:
    """Add rows at the places that the noise has left, and go to the end."""
    extent = tables.extent()
    if extent is None:
        raise UnusableStore("the store to measure with is not filled")
    at = extent.position
    tables.add(rows, after=at, position=at._replace(next_entry=entries))


_SAID_TABLE: Final = {
    "sqlite": "CREATE TABLE audit_noise (number INTEGER PRIMARY KEY, said BLOB, recipient INTEGER)",
    "postgresql": "CREATE TABLE audit_noise (number int4 PRIMARY KEY, said bytea, recipient int4)",
}
_INDEXED: Final = {
    "audit_entry": "entry",
    "audit_lookup": "segment, token, entry",
    "audit_received": "recipient, entry",
}
_NUMBERS: Final = {
    "sqlite": (
        "WITH RECURSIVE every_one(e) AS (SELECT :first UNION ALL"
        " SELECT e + 1 FROM every_one WHERE e + 1 < :last),"
        " numbers AS (SELECT e FROM every_one WHERE e % :every <> 0)"
    ),
    "postgresql": (
        "WITH numbers AS (SELECT e FROM generate_series(CAST(:first AS int8), :last - 1) AS e"
        " WHERE e % :every <> 0)"
    ),
}
_MADE: Final = {
    "sqlite": {"token": "randomblob(16)", "short": "random()", "event": "randomblob(36)"},
    "postgresql": {
        "token": "decode(md5(CAST(e AS text)), 'hex')",
        "short": "hashint8extended(e, 1 + turn)",
        "event": "convert_to('2e86210d-caab-5540-9a39-' || lpad(CAST(e AS text), 12, '0'), 'UTF8')",
    },
}
_STATEMENTS: Final = (
    (
        "{numbers} INSERT INTO audit_entry SELECT e, {event}, 1, e * 250, e * 250 - 60000, said,"
        " {token}, NULL FROM numbers JOIN audit_noise ON number = e % :some"
    ),
    # Of each entry its subject, and its event's id.
    (
        "{numbers} INSERT INTO audit_lookup SELECT e >> {bits}, {short} AS short, e FROM numbers,"
        " (SELECT 0 AS turn UNION ALL SELECT 1) AS turns ORDER BY 2"
    ),
    (
        "{numbers} INSERT INTO audit_received SELECT recipient, e FROM numbers"
        " JOIN audit_noise ON number = e % :some ORDER BY 1, 2"
    ),
)
