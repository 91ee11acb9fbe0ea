"""Bring deliveries into the order of the permits that they follow from.

An export tells of them in the log's order, so that whoever verifies it needs no more
memory for a hundred million than for a hundred. They are sorted in a file of their own,
which goes when it is done.
"""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Self

_TABLES = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
CREATE TABLE permits (
    sealed BLOB PRIMARY KEY, topic TEXT NOT NULL, entry INTEGER NOT NULL,
    candidate INTEGER NOT NULL, is_in INTEGER NOT NULL, line TEXT
) WITHOUT ROWID;
CREATE TABLE strays (sealed BLOB NOT NULL, at_ms INTEGER NOT NULL, line TEXT NOT NULL);
"""


class DeliveriesIndex:
    """Which delivery follows from which permit, by the SHA-256 of what was sealed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._database = sqlite3.connect(path, isolation_level=None)
        self._database.executescript(_TABLES)

    def __enter__(self) -> Self:
        self._database.execute("BEGIN")
        return self

    def __exit__(self, *_: object) -> None:
        with closing(self._database):
            self._database.execute("COMMIT")
        self._path.unlink()

    def permit(self, sealed: bytes, topic: str, *, entry: int, candidate: int, is_in: bool) -> None:
        """Take in a permit; one that is not in the period only explains its delivery."""
        self._database.execute(
            "INSERT OR IGNORE INTO permits VALUES (?, ?, ?, ?, ?, NULL)",
            (sealed, topic, entry, candidate, is_in),
        )

    def delivery(self, line: dict[str, Any], *, at_ms: int) -> None:
        """Take in a delivery; what follows from a permit is the first where it was to go."""
        sealed, text = bytes.fromhex(line["sealed"]), json.dumps(line)
        taken = self._database.execute(
            "UPDATE permits SET line = ? WHERE sealed = ? AND topic = ? AND line IS NULL",
            (text, sealed, line["topic"]),
        )
        if not taken.rowcount:
            self._database.execute("INSERT INTO strays VALUES (?, ?, ?)", (sealed, at_ms, text))

    def forget(self, sealed: bytes) -> None:
        """Leave out what a permit explains that is not in the log yet."""
        self._database.execute("DELETE FROM strays WHERE sealed = ?", (sealed,))

    def lines(self, *, first_ms: int, end_ms: int) -> Iterator[dict[str, Any]]:
        """Give a line for each permit of the period in the log's order, then what has none.

        That is copies of deliveries of the period, wherever somebody put them, and what
        no permit explains and was appended in the period (milliseconds since the epoch).
        """
        permits = self._database.execute(
            "SELECT entry, candidate, line FROM permits WHERE is_in ORDER BY entry, candidate"
        )
        for entry, candidate, line in permits:
            found = {"held": False} if line is None else json.loads(line)
            yield {"entry": entry, "candidate": candidate, **found}
        strays = self._database.execute(
            "SELECT at_ms, strays.line, entry, candidate FROM strays"
            " LEFT JOIN permits ON permits.sealed = strays.sealed"
            " WHERE coalesce(is_in, at_ms >= ? AND at_ms < ?) ORDER BY at_ms, strays.line",
            (first_ms, end_ms),
        )
        for at_ms, line, entry, candidate in strays:
            copied = {} if entry is None else {"copy_of": [entry, candidate]}
            yield {"entry": None, "at_ms": at_ms, **copied, **json.loads(line)}
