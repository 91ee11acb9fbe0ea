"""What is read of the query store: entries by token, event, recipient and time.

One `Reading` is one transaction that sees the store as it was at one moment, however long it
takes and whatever is added, taken out or made again meanwhile.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from hashlib import sha256
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from broker.storage.audit_packing import SAID, TOKEN_BYTES, short
from broker.storage.audit_rows import portions
from broker.storage.audit_tables import ENTRY, LOOKUP, PHRASE, POSITION, RECEIVED

AT_ONCE: Final = 500
"""Values in one statement: SQLite takes some thousands, and plans for few are quick."""


class Position(NamedTuple):
    """How far the store has the log: the entry and the stream's offset that come next.

    ``key_mark`` tells keys apart: tokens of another key would never be found.
    """

    next_entry: int
    next_offset: int
    key_mark: bytes


class Extent(NamedTuple):
    """What the store has of the log.

    Entries before ``first_entry`` were taken out, of which the last was decided before
    ``gone_before_ms``; None when nothing was. ``made`` tells this store from what it is when
    it was made again.
    """

    position: Position
    first_entry: int
    gone_before_ms: int | None
    made: int


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


def extent_of(connection: sa.Connection) -> Extent | None:
    """Return what the store has; None when nothing was ever put there."""
    row = connection.execute(_EXTENT).one_or_none()
    if row is None:
        return None
    return Extent(Position(row[0], row[1], bytes(row[2])), row[3], row[4], row[5])


class Reading:
    """Reads a query store as it is at one moment. Make one with `AuditTables.reading`."""

    def __init__(self, connection: sa.Connection, *, segment_bits: int) -> None:
        self._connection = connection
        self.extent = extent_of(connection)
        self._segments = range(0)
        if self.extent is not None:
            first, end = self.extent.first_entry, self.extent.position.next_entry
            self._segments = range(first >> segment_bits, (end >> segment_bits) + 1)

    def with_tokens(self, tokens: Collection[bytes]) -> list[Stored]:
        """Return the entries in which one of these tokens of a subject stands, in order."""
        wanted = frozenset(tokens)
        found = self._looked_up(wanted)
        return [one for one in found if not wanted.isdisjoint(one.tokens)]

    def of_event(self, event_token: bytes) -> list[Stored]:
        """Return the entries found by an event's token, in order: half of it was compared."""
        return self._looked_up({event_token})

    def entries(self, numbers: Iterable[int]) -> list[Stored]:
        """Return entries by number, in order; those that are not there are left out."""
        found: list[Stored] = []
        for some in portions(sorted(numbers), AT_ONCE):
            wanted = sa.select(ENTRY).where(ENTRY.c.entry.in_(some)).order_by(ENTRY.c.entry)
            found += map(_stored, self._connection.execute(wanted))
        return found

    def _looked_up(self, tokens: Iterable[bytes]) -> list[Stored]:
        found: dict[int, Stored] = {}
        for some in portions(map(short, tokens), AT_ONCE):
            for few in portions(self._segments, AT_ONCE):
                rows = self._connection.execute(
                    looking_up(self._connection.dialect.name, few, some)
                )
                found |= {row.entry: _stored(row) for row in rows}
        return [found[entry] for entry in sorted(found)]

    def between(self, since_ms: int, until_ms: int) -> Iterator[list[Stored]]:
        """Give the entries decided from one time to before another, in order of time, by pages."""
        place = sa.tuple_(ENTRY.c.decided_ms, ENTRY.c.entry)
        wanted = sa.select(ENTRY).where(ENTRY.c.decided_ms < until_ms)
        wanted = wanted.order_by(ENTRY.c.decided_ms, ENTRY.c.entry).limit(AT_ONCE)
        last = (since_ms, -1)
        while True:
            after = sa.and_(ENTRY.c.decided_ms >= last[0], place > last)
            page = [_stored(row) for row in self._connection.execute(wanted.where(after))]
            if not page:
                return
            yield page
            last = (page[-1].decided_ms, page[-1].entry)

    def received(self, recipient: bytes, since_ms: int, until_ms: int) -> Iterator[list[Stored]]:
        """Give the entries that name a recipient, decided in a time, by pages in its order."""
        is_then = sa.and_(ENTRY.c.decided_ms >= since_ms, ENTRY.c.decided_ms < until_ms)
        limits = sa.select(sa.func.min(ENTRY.c.entry), sa.func.max(ENTRY.c.entry)).where(is_then)
        number = sa.select(PHRASE.c.number).where(PHRASE.c.digest == sha256(recipient).digest())
        first, end = self._connection.execute(limits).one()
        named = self._connection.scalar(number)
        if first is None or named is None:
            return
        wanted = sa.select(ENTRY).join(RECEIVED, RECEIVED.c.entry == ENTRY.c.entry)
        wanted = wanted.where(RECEIVED.c.recipient == named, RECEIVED.c.entry <= end, is_then)
        wanted = wanted.order_by(RECEIVED.c.entry).limit(AT_ONCE)
        last = first - 1
        while True:
            rows = self._connection.execute(wanted.where(RECEIVED.c.entry > last))
            page = [_stored(row) for row in rows]
            if not page:
                return
            yield page
            last = page[-1].entry

    def phrases(self, numbers: Iterable[int]) -> dict[int, bytes]:
        """Return phrases by number."""
        found: dict[int, bytes] = {}
        for some in portions(numbers, AT_ONCE):
            wanted = sa.select(PHRASE.c.number, PHRASE.c.body).where(PHRASE.c.number.in_(some))
            found.update((number, bytes(body)) for number, body in self._connection.execute(wanted))
        return found


def looking_up(dialect: str, segments: Sequence[int], shorts: Sequence[int]) -> sa.Select[Any]:
    """Return the question for entries by what their tokens begin with, in one statement.

    Each segment is looked into once for each, and each entry found is fetched by its number:
    no plan reads a table through, whatever the database thinks to know of their sizes.
    """
    found = sa.select(LOOKUP.c.entry).where(
        LOOKUP.c.segment.in_(segments), LOOKUP.c.token.in_(shorts)
    )
    if dialect == "postgresql":  # which would plan a join, and by what it guesses of the tables
        return sa.select(ENTRY).where(
            ENTRY.c.entry == sa.func.any(sa.func.array(found.scalar_subquery()))
        )
    return sa.select(ENTRY).where(ENTRY.c.entry.in_(found))


_EXTENT: Final = sa.select(
    POSITION.c.next_entry,
    POSITION.c.next_offset,
    POSITION.c.key_mark,
    POSITION.c.first_entry,
    POSITION.c.gone_before_ms,
    POSITION.c.made,
)


def _stored(row: Iterable[Any]) -> Stored:
    entry, event_id, sender, decided_ms, occurred_ms, told, given, settles = row
    tokens, said, at = bytes(given), bytes(told), 0
    parts = []
    while at < len(said):
        number, length = SAID.unpack_from(said, at)
        at += SAID.size + length
        parts.append((number, said[at - length : at]))
    return Stored(
        entry,
        bytes(event_id),
        sender,
        decided_ms,
        occurred_ms,
        tuple(parts),
        tuple(tokens[at : at + TOKEN_BYTES] for at in range(0, len(tokens), TOKEN_BYTES)),
        settles,
    )
