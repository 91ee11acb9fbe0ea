"""The query store's rows: entries of the log, and what they are found by.

Rows go in behind a position, in one transaction with it: of two who add the same, one has
its way and the other is told (`Overtaken`). No identifier is here, and nothing that one
could be made of without the key that the tokens were made with (`broker.audit.store`).
"""

import contextlib
import struct
from collections.abc import Collection, Iterable, Iterator, Sequence
from hashlib import sha256
from typing import Any, ClassVar, Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import URL

from broker.storage.audit_rows import insert, portions
from broker.storage.audit_tables import ENTRY, LOOKUP, PHRASE, POSITION, RECEIVED, SEGMENT_BITS
from broker.storage.engine import WRITING
from broker.storage.errors import told_in_our_words
from schemas.errors import DeliveryError

TOKEN_BYTES: Final = 16
_AT_ONCE: Final = 500
"""Values in one statement: SQLite takes some thousands, and plans for few are quick."""
_MOST_CACHED: Final = 20_000
"""Phrases that are kept in mind; a scheme has some for each flow."""
SAID: Final = struct.Struct(">IB")
"""A candidate: the number of its phrase, and how long the digest of its seal is."""


class Overtaken(DeliveryError):
    """Somebody else has added to the store meanwhile: nothing was written; go on from there."""

    code: ClassVar[str] = "overtaken"


class Position(NamedTuple):
    """How far the store has the log: the entry and the stream's offset that come next.

    ``key_mark`` tells keys apart: tokens of another key would never be found.
    """

    next_entry: int
    next_offset: int
    key_mark: bytes


class Row(NamedTuple):
    """One record of the log. What is repeated in many of them is given as it is.

    ``said`` is each candidate with the digest of its seal, ``recipients`` whom they name;
    ``tokens`` are the subject's, of `TOKEN_BYTES` each, ``event_token`` is the event id's.
    """

    entry: int
    event_id: bytes
    sender: bytes
    decided_ms: int
    occurred_ms: int
    said: Sequence[tuple[bytes, bytes]]
    recipients: Collection[bytes]
    tokens: Sequence[bytes]
    event_token: bytes
    settles: str | None


class Stored(NamedTuple):
    """One record of the log as it comes back; ``said`` and ``sender`` are phrases' numbers."""

    entry: int
    event_id: bytes
    sender: int
    decided_ms: int
    occurred_ms: int
    said: tuple[tuple[int, bytes], ...]
    tokens: tuple[bytes, ...]
    settles: str | None


class AuditTables:
    """The query store's tables. Open them with ``broker.storage.open_audit_store``."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._numbers: dict[bytes, int] = {}
        self._phrases: dict[int, bytes] = {}
        self._reading: sa.Connection | None = None

    @property
    def url(self) -> URL:
        """Where the store lies; it may hold a password."""
        return self._engine.url

    # -- writing ------------------------------------------------------------------------

    def position(self) -> Position | None:
        """Return how far the store is; None when nothing was ever put there."""
        with self._connect() as connection:
            row = connection.execute(_POSITION).one_or_none()
        return None if row is None else Position(row[0], row[1], bytes(row[2]))

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
            connection.execute(_FOUND, position._asdict())
            row = connection.execute(_POSITION).one()
        return Position(row[0], row[1], bytes(row[2]))

    def begin(self, position: Position) -> None:
        """Take away everything, and begin at a position."""
        with self.writing() as connection:
            for table in (LOOKUP, RECEIVED, ENTRY, PHRASE, POSITION):
                connection.execute(sa.delete(table))
            connection.execute(sa.insert(POSITION).values(one=1, **position._asdict()))
        self._numbers.clear()
        self._phrases.clear()

    def forget(self, tokens_of: Iterable[tuple[int, Sequence[bytes]]]) -> int:
        """Take entries away, each given with all tokens that it is found by; return how many."""
        forgotten = 0
        for some in portions(tokens_of, _AT_ONCE):
            entries = [entry for entry, _ in some]
            lookups = [lookup for entry, tokens in some for lookup in _lookups(entry, tokens)]
            with self.writing() as connection:
                for few in portions(lookups, _AT_ONCE):
                    place = sa.tuple_(LOOKUP.c.segment, LOOKUP.c.token, LOOKUP.c.entry)
                    connection.execute(sa.delete(LOOKUP).where(place.in_(few)))
                connection.execute(sa.delete(RECEIVED).where(RECEIVED.c.entry.in_(entries)))
                gone = connection.execute(sa.delete(ENTRY).where(ENTRY.c.entry.in_(entries)))
                forgotten += gone.rowcount
        return forgotten

    def _insert(self, connection: sa.Connection, rows: Sequence[Row]) -> None:
        numbers = self._numbers_of(connection, rows)
        pack = SAID.pack
        entries: list[tuple[Any, ...]] = []
        lookups: list[tuple[int, int, int]] = []
        received: list[tuple[int, int]] = []
        for row in rows:
            entry = row.entry
            said = b"".join([pack(numbers[part], len(seal)) + seal for part, seal in row.said])
            entries.append(
                (
                    entry,
                    row.event_id,
                    numbers[row.sender],
                    row.decided_ms,
                    row.occurred_ms,
                    said,
                    b"".join(row.tokens),
                    row.settles,
                )
            )
            lookups += _lookups(entry, {*row.tokens, row.event_token})
            received += [(numbers[name], entry) for name in row.recipients]
        # In the order in which they lie: neighbours are written together.
        lookups.sort()
        received.sort()
        insert(connection, ENTRY, entries)
        insert(connection, LOOKUP, lookups)
        insert(connection, RECEIVED, received)

    def _numbers_of(self, connection: sa.Connection, rows: Sequence[Row]) -> dict[bytes, int]:
        """Return the numbers of all phrases in rows; those that are new get one."""
        if len(self._numbers) > _MOST_CACHED:
            self._numbers.clear()
        wanted: set[bytes] = set()
        for row in rows:
            wanted.add(row.sender)
            wanted.update(row.recipients)
            wanted.update([part for part, _ in row.said])
        missing = {sha256(body).digest(): body for body in wanted if body not in self._numbers}
        for some in portions(missing, _AT_ONCE):
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

    # -- reading ------------------------------------------------------------------------

    def with_tokens(self, tokens: Collection[bytes]) -> list[Stored]:
        """Return the entries in which one of these tokens of a subject stands, in order."""
        wanted = frozenset(tokens)
        found = self._looked_up(wanted)
        return [one for one in found if not wanted.isdisjoint(one.tokens)]

    def of_event(self, event_id: bytes, event_token: bytes) -> list[Stored]:
        """Return the entries about an event, in order."""
        return [one for one in self._looked_up({event_token}) if one.event_id == event_id]

    def entries(self, numbers: Iterable[int]) -> list[Stored]:
        """Return entries by number, in order; those that are not there are left out."""
        with self._connect() as connection:
            return _entries(connection, numbers)

    def _looked_up(self, tokens: Collection[bytes]) -> list[Stored]:
        with self._connect() as connection:
            last = connection.scalar(sa.select(POSITION.c.next_entry)) or 0
            segments = range((last >> SEGMENT_BITS) + 1)
            found: set[int] = set()
            for some in portions((_short(token)[0] for token in tokens), _AT_ONCE):
                for few in portions(segments, _AT_ONCE):
                    found.update(
                        connection.scalars(
                            sa.select(LOOKUP.c.entry).where(
                                LOOKUP.c.segment.in_(few), LOOKUP.c.token.in_(some)
                            )
                        )
                    )
            return _entries(connection, found)

    def between(self, since_ms: int, until_ms: int) -> Iterator[Stored]:
        """Give the entries decided from one time to before another, in order of time."""
        place = sa.tuple_(ENTRY.c.decided_ms, ENTRY.c.entry)
        wanted = sa.select(ENTRY).where(ENTRY.c.decided_ms < until_ms)
        wanted = wanted.order_by(ENTRY.c.decided_ms, ENTRY.c.entry).limit(_AT_ONCE)
        last = (since_ms, -1)
        while True:
            with self._connect() as connection:
                after = sa.and_(ENTRY.c.decided_ms >= last[0], place > last)
                rows = connection.execute(wanted.where(after)).all()
            if not rows:
                return
            last = (rows[-1].decided_ms, rows[-1].entry)
            yield from map(_stored, rows)

    def received(self, recipient: bytes, since_ms: int, until_ms: int) -> Iterator[Stored]:
        """Give the entries that name a recipient, decided in a time, in the log's order."""
        is_then = sa.and_(ENTRY.c.decided_ms >= since_ms, ENTRY.c.decided_ms < until_ms)
        limits = sa.select(sa.func.min(ENTRY.c.entry), sa.func.max(ENTRY.c.entry)).where(is_then)
        number = sa.select(PHRASE.c.number).where(PHRASE.c.digest == sha256(recipient).digest())
        with self._connect() as connection:
            first, end = connection.execute(limits).one()
            named = connection.scalar(number)
        if first is None or named is None:
            return
        wanted = sa.select(ENTRY).join(RECEIVED, RECEIVED.c.entry == ENTRY.c.entry)
        wanted = wanted.where(RECEIVED.c.recipient == named, RECEIVED.c.entry <= end, is_then)
        wanted = wanted.order_by(RECEIVED.c.entry).limit(_AT_ONCE)
        last = first - 1
        while True:
            with self._connect() as connection:
                rows = connection.execute(wanted.where(RECEIVED.c.entry > last)).all()
            if not rows:
                return
            last = rows[-1].entry
            yield from map(_stored, rows)

    def learn(self, numbers: Collection[int]) -> None:
        """Read phrases that will be asked for, in one go."""
        if len(self._phrases) > _MOST_CACHED:
            self._phrases.clear()
        for some in portions((n for n in numbers if n not in self._phrases), _AT_ONCE):
            wanted = sa.select(PHRASE.c.number, PHRASE.c.body).where(PHRASE.c.number.in_(some))
            with self._connect() as connection:
                found = connection.execute(wanted).all()
            self._phrases.update((number, bytes(body)) for number, body in found)

    def phrase(self, number: int) -> bytes:
        """Return a phrase."""
        self.learn([number])
        return self._phrases[number]

    def writing(self) -> contextlib.AbstractContextManager[sa.Connection]:
        """Return a transaction that writes, to be entered with ``with``."""
        return self._connect(writing=True)

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Read on one connection what is read within."""
        with self._connect() as connection:
            self._reading = connection
            try:
                yield
            finally:
                self._reading = None

    @contextlib.contextmanager
    def _connect(self, *, writing: bool = False) -> Iterator[sa.Connection]:
        if self._reading is not None and not writing:
            yield self._reading
            return
        with told_in_our_words(self.url), self._engine.connect() as connection:
            connection.execution_options(**{WRITING: writing})
            with connection.begin():
                yield connection


_POSITION: Final = sa.select(POSITION.c.next_entry, POSITION.c.next_offset, POSITION.c.key_mark)
_FOUND: Final = sa.text(
    "INSERT INTO audit_position (one, next_entry, next_offset, key_mark)"
    " VALUES (1, :next_entry, :next_offset, :key_mark) ON CONFLICT DO NOTHING"
)


def _entries(connection: sa.Connection, numbers: Iterable[int]) -> list[Stored]:
    found: list[Stored] = []
    for some in portions(sorted(numbers), _AT_ONCE):
        wanted = sa.select(ENTRY).where(ENTRY.c.entry.in_(some)).order_by(ENTRY.c.entry)
        found += map(_stored, connection.execute(wanted))
    return found


def _stored(row: sa.Row[Any]) -> Stored:
    tokens, said, at = bytes(row.tokens), bytes(row.said), 0
    parts = []
    while at < len(said):
        number, length = SAID.unpack_from(said, at)
        at += SAID.size + length
        parts.append((number, said[at - length : at]))
    return Stored(
        row.entry,
        bytes(row.event_id),
        row.sender,
        row.decided_ms,
        row.occurred_ms,
        tuple(parts),
        tuple(tokens[at : at + TOKEN_BYTES] for at in range(0, len(tokens), TOKEN_BYTES)),
        row.settles,
    )


def _lookups(entry: int, tokens: Iterable[bytes]) -> list[tuple[int, int, int]]:
    segment = entry >> SEGMENT_BITS
    return [(segment, _short(token)[0], entry) for token in tokens]


_short: Final = struct.Struct(f">q{TOKEN_BYTES - 8}x").unpack
"""Returns what a token is looked up by: 64 bits; the whole of it is compared afterwards."""
