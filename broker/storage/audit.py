"""The query store's rows: entries of the log, and what they are found by.

Rows go in behind a position, in one transaction with it: of two who add the same, one has
its way and the other is told (`Overtaken`). No identifier is here, and nothing that one
could be made of without the key that the tokens were made with (`broker.audit.store`).
"""

import contextlib
import secrets
import weakref
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from typing import ClassVar, Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import URL

from broker.storage.audit_packing import Row, lookups_of, packed, phrases_of
from broker.storage.audit_reading import AT_ONCE, Extent, Position, Reading, extent_of
from broker.storage.audit_rows import insert, portions
from broker.storage.audit_tables import ENTRY, LOOKUP, PHRASE, POSITION, RECEIVED, SEGMENT_BITS
from broker.storage.engine import WRITING
from broker.storage.errors import told_in_our_words
from schemas.errors import DeliveryError

_MOST_CACHED: Final = 20_000
"""Phrases that are kept in mind; a scheme has some for each flow."""


class Overtaken(DeliveryError):
    """Somebody else has added to the store meanwhile: nothing was written; go on from there."""

    code: ClassVar[str] = "overtaken"


class Droppable(NamedTuple):
    """Whole segments at the beginning of the store: up to which entry, and how many are there.

    Each of them was decided before ``gone_before_ms``.
    """

    first_entry: int
    end_entry: int
    entries: int
    gone_before_ms: int


class AuditTables:
    """The query store's tables. Open them with ``broker.storage.open_audit_store``.

    Connections are kept until it is closed, or nobody has it any more. Threads may share it
    for reading; one at a time writes.
    """

    segment_bits: int = SEGMENT_BITS

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._numbers: dict[bytes, int] = {}
        self.close = weakref.finalize(self, engine.dispose)
        """Closes the connections."""

    @property
    def url(self) -> URL:
        """Where the store lies; it may hold a password."""
        return self._engine.url

    def extent(self) -> Extent | None:
        """Return what the store has; None when nothing was ever put there."""
        with self._connect() as connection:
            return extent_of(connection)

    @contextlib.contextmanager
    def reading(self) -> Iterator[Reading]:
        """Read the store as it is at one moment."""
        with self._connect() as connection:
            yield Reading(connection, segment_bits=self.segment_bits)

    def add(self, rows: Sequence[Row], *, after: Position, position: Position) -> None:
        """Add rows that come after one position and before the other.

        Raises:
            Overtaken: the store is not at the first position.

        """
        with self.writing() as connection:
            self._move(connection, after, position)
            try:
                self._insert(connection, rows)
            except BaseException:
                self._numbers.clear()  # those that were to be written are not
                raise

    def _move(self, connection: sa.Connection, after: Position, position: Position) -> None:
        moved = connection.execute(
            sa.update(POSITION)
            .where(
                POSITION.c.next_entry == after.next_entry,
                POSITION.c.next_offset == after.next_offset,
                POSITION.c.key_mark == after.key_mark,
            )
            .values(position._asdict())
        )
        if moved.rowcount != 1:
            self._numbers.clear()
            raise Overtaken("another process has added to the query store: go on from there")

    def found(self, position: Position) -> Position:
        """Begin at a position, unless somebody has begun already; return how far the store is."""
        with self.writing() as connection:
            connection.execute(_FOUND, {**position._asdict(), "made": _new_mark()})
            row = connection.execute(_POSITION).one()
        return Position(row[0], row[1], bytes(row[2]))

    def begin(self, position: Position) -> None:
        """Take away everything, and begin at a position."""
        with self.writing() as connection:
            for table in (LOOKUP, RECEIVED, ENTRY, PHRASE, POSITION):
                connection.execute(sa.delete(table))
            connection.execute(_FOUND, {**position._asdict(), "made": _new_mark()})
        self._numbers.clear()

    def forget(self, tokens_of: Iterable[tuple[int, Sequence[bytes]]]) -> int:
        """Take entries away, each given with all tokens that it is found by; return how many."""
        forgotten = 0
        for some in portions(tokens_of, AT_ONCE):
            entries = [entry for entry, _ in some]
            lookups = [
                lookup
                for entry, tokens in some
                for lookup in lookups_of(entry, tokens, segment_bits=self.segment_bits)
            ]
            with self.writing() as connection:
                for few in portions(lookups, AT_ONCE):
                    place = sa.tuple_(LOOKUP.c.segment, LOOKUP.c.token, LOOKUP.c.entry)
                    connection.execute(sa.delete(LOOKUP).where(place.in_(few)))
                connection.execute(sa.delete(RECEIVED).where(RECEIVED.c.entry.in_(entries)))
                gone = connection.execute(sa.delete(ENTRY).where(ENTRY.c.entry.in_(entries)))
                forgotten += gone.rowcount
        return forgotten

    def droppable(self, before_ms: int) -> Droppable | None:
        """Return the segments whose every entry was decided before a time; None when none was.

        They are whole, and from the first that is there without a gap. Where they have acts
        alone, there is nothing to take out.
        """
        with self._connect() as connection:
            extent = extent_of(connection)
            if extent is None:
                return None
            start, count, latest = extent.first_entry, 0, -1
            size = 1 << self.segment_bits
            while start + size <= extent.position.next_entry:
                here, newest = connection.execute(
                    sa.select(sa.func.count(), sa.func.max(ENTRY.c.decided_ms)).where(
                        ENTRY.c.entry >= start, ENTRY.c.entry < start + size
                    )
                ).one()
                if newest is not None and newest >= before_ms:
                    break
                start, count = start + size, count + here
                latest = max(latest, -1 if newest is None else newest)
        if not count:
            return None
        return Droppable(extent.first_entry, start, count, latest + 1)

    def drop(self, dropped: Droppable) -> None:
        """Take segments out that `droppable` named, each in a transaction of its own.

        Raises:
            Overtaken: somebody else did, or the store was made again meanwhile.

        """
        for start in range(dropped.first_entry, dropped.end_entry, 1 << self.segment_bits):
            with self.writing() as connection:
                self._drop(connection, start, dropped.gone_before_ms)

    def _drop(self, connection: sa.Connection, start: int, gone_before_ms: int) -> None:
        end = start + (1 << self.segment_bits)
        # INVARIANT: the store says that it has not everything from the moment that it has not.
        moved = connection.execute(
            sa.update(POSITION)
            .where(POSITION.c.first_entry == start, POSITION.c.next_entry >= end)
            .values(
                first_entry=end,
                gone_before_ms=sa.case(
                    (POSITION.c.gone_before_ms > gone_before_ms, POSITION.c.gone_before_ms),
                    else_=gone_before_ms,
                ),
            )
        )
        if moved.rowcount != 1:
            raise Overtaken("somebody else has taken entries out of the query store: see what")
        segment = start >> self.segment_bits
        connection.execute(sa.delete(LOOKUP).where(LOOKUP.c.segment == segment))
        for recipient in connection.scalars(_RECIPIENTS).all():
            connection.execute(
                sa.delete(RECEIVED).where(
                    RECEIVED.c.recipient == recipient,
                    RECEIVED.c.entry >= start,
                    RECEIVED.c.entry < end,
                )
            )
        connection.execute(sa.delete(ENTRY).where(ENTRY.c.entry >= start, ENTRY.c.entry < end))

    def _insert(self, connection: sa.Connection, rows: Sequence[Row]) -> None:
        numbers = self._numbers_of(connection, rows)
        entries, lookups, received = packed(rows, numbers, segment_bits=self.segment_bits)
        insert(connection, ENTRY, entries)
        insert(connection, LOOKUP, lookups)
        insert(connection, RECEIVED, received)

    def _numbers_of(self, connection: sa.Connection, rows: Sequence[Row]) -> dict[bytes, int]:
        """Return the numbers of all phrases in rows; those that are new get one."""
        if len(self._numbers) > _MOST_CACHED:
            self._numbers.clear()
        unknown = phrases_of(rows).difference(self._numbers)
        missing = {sha256(body).digest(): body for body in unknown}
        for some in portions(missing, AT_ONCE):
            known = connection.execute(
                sa.select(PHRASE.c.digest, PHRASE.c.number).where(PHRASE.c.digest.in_(some))
            ).all()
            self._numbers.update((missing[bytes(digest)], number) for digest, number in known)
        new = [pair for pair in missing.items() if pair[1] not in self._numbers]
        if new:
            # Nobody else gives numbers: the position's row is ours until the transaction ends.
            last = connection.scalar(sa.select(sa.func.max(PHRASE.c.number))) or 0
            added = [(number, *pair) for number, pair in enumerate(new, last + 1)]
            insert(connection, PHRASE, added)
            self._numbers.update((body, number) for number, _, body in added)
        return self._numbers

    def writing(self) -> contextlib.AbstractContextManager[sa.Connection]:
        """Return a transaction that writes, to be entered with ``with``."""
        return self._connect(writing=True)

    @contextlib.contextmanager
    def _connect(self, *, writing: bool = False) -> Iterator[sa.Connection]:
        with told_in_our_words(self.url), self._engine.connect() as connection:
            connection.execution_options(**{WRITING: writing})
            if not writing and connection.dialect.name == "postgresql":
                # What is read in one transaction is read at one moment, as SQLite has it.
                connection.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                yield connection


def _new_mark() -> int:
    """Return what tells a store from what it is when it was made again."""
    return secrets.randbits(62)


_POSITION: Final = sa.select(POSITION.c.next_entry, POSITION.c.next_offset, POSITION.c.key_mark)
_FOUND: Final = sa.text(
    "INSERT INTO audit_position (one, next_entry, next_offset, key_mark, made)"
    " VALUES (1, :next_entry, :next_offset, :key_mark, :made) ON CONFLICT DO NOTHING"
)
_RECIPIENTS: Final = sa.text(
    "WITH RECURSIVE named(number) AS (SELECT min(recipient) FROM audit_received UNION ALL"
    " SELECT (SELECT min(recipient) FROM audit_received WHERE recipient > number) FROM named"
    " WHERE number IS NOT NULL) SELECT number FROM named WHERE number IS NOT NULL"
)
"""Each recipient once, by as many looks into the index as there are."""
