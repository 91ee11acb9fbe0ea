"""Count what a party signs or opens, where the party is, so that nobody can leave any out.

A file (SQLite) that the party keeps beside its keys. Each event and each delivery is in it
once, however often it comes again, and on disk before the event is appended, or before the
delivery's place is kept. What was counted is stated, signed, on the topic ``counts``
(`schemas.counting`).
"""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final

from connectors.streams import Outgoing, Streams
from connectors.write_ahead import write_ahead
from schemas.counting import COUNTS, Counted, Side, digest_of_statement, month_of, state
from schemas.keys import SigningKey

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS counted (
    side TEXT NOT NULL, element BLOB NOT NULL, type TEXT NOT NULL, published_ms INTEGER NOT NULL,
    month TEXT NOT NULL, PRIMARY KEY (side, element)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS counted_by_month ON counted (side, month);
CREATE TABLE IF NOT EXISTS stated (
    side TEXT NOT NULL, sequence INTEGER NOT NULL, month TEXT NOT NULL, total INTEGER NOT NULL,
    jws TEXT NOT NULL, PRIMARY KEY (side, sequence)
) WITHOUT ROWID;
"""
_WAIT_SECONDS: Final = 30.0


class Ledger:
    """The counts of one party, in the file at ``path``."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = path
        with self._open() as database:
            write_ahead(database)
            database.executescript(_SCHEMA)

    def add(self, side: Side, counted: Iterable[Counted]) -> None:
        """Count what was not counted yet; on disk when this returns."""
        rows = [(side, one.element, *one[1:], month_of(one.published_ms)) for one in counted]
        with self._open() as database, database:
            database.executemany("INSERT OR IGNORE INTO counted VALUES (?, ?, ?, ?, ?)", rows)

    def counted(self, side: Side, month: str, *, before_ms: int) -> Iterator[Counted]:
        """Give what was counted of a month, published before a time."""
        with self._open() as database:
            yield from map(
                Counted._make,
                database.execute(
                    "SELECT element, type, published_ms FROM counted"
                    " WHERE side = ? AND month = ? AND published_ms < ?",
                    (side, month, before_ms),
                ),
            )

    def to_state(self, side: Side) -> list[str]:
        """Return the months of which more was counted than was stated, in order."""
        with self._open() as database:
            found = database.execute(
                "SELECT month FROM counted WHERE side = ? GROUP BY month"
                " HAVING count(*) IS NOT (SELECT total FROM stated"
                "  WHERE side = ?1 AND month = counted.month ORDER BY sequence DESC LIMIT 1)"
                " ORDER BY month",
                (side,),
            )
            return [month for (month,) in found]

    def statements(self, side: Side) -> list[str]:
        """Return every statement that was made, in order."""
        with self._open() as database:
            rows = database.execute(
                "SELECT jws FROM stated WHERE side = ? ORDER BY sequence", (side,)
            )
            return [token for (token,) in rows]

    def state(  # noqa: PLR0913  whose statement of what, and when
        self,
        side: Side,
        month: str,
        key: SigningKey,
        *,
        scheme: str,
        party: str,
        at: datetime,
    ) -> str:
        """Make the next statement, of a month as it was counted so far, and keep it."""
        before = self.statements(side)
        statement = state(
            self.counted(side, month, before_ms=int(at.timestamp() * 1000)),
            scheme=scheme,
            party=party,
            side=side,
            month=month,
            until=at,
            signed_at=at,
            sequence=len(before) + 1,
            previous=digest_of_statement(before[-1]) if before else None,
        )
        token = statement.to_jws(key)
        row = (side, statement.sequence, month, statement.total, token)
        with self._open() as database, database:
            database.execute("INSERT INTO stated VALUES (?, ?, ?, ?, ?)", row)
        return token

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._path, timeout=_WAIT_SECONDS)) as database:
            yield database


async def publish_statements(  # noqa: PLR0913  whose counts, and where they are told
    ledger: Ledger,
    streams: Streams,
    key: SigningKey,
    *,
    scheme: str,
    party: str,
    at: datetime,
) -> int:
    """State every month of which more was counted than was stated; return how many were told.

    ``scheme`` is the thumbprint of the scheme's key. What an earlier run has stated and not
    told is told now.

    Raises:
        StreamsUnavailable: they are kept, and told by the next call.

    """
    for side in Side:
        for month in ledger.to_state(side):
            ledger.state(side, month, key, scheme=scheme, party=party, at=at)
    if COUNTS not in await streams.topics():  # a scheme that is older than this
        await streams.create_topics({COUNTS: 1}, kept=frozenset({COUNTS}))
    told = {record.value async for record in streams.read(COUNTS)}
    made = [token.encode() for side in Side for token in ledger.statements(side)]
    untold = [token for token in made if token not in told]
    await streams.append([Outgoing(COUNTS, party.encode(), token) for token in untold])
    return len(untold)
