"""The topics of the embedded adapter as tables: what is written, and in which order.

A partition of a topic is a *log*; a record's row id is the log's number and the
offset in one integer, so that a log is one contiguous run of the table's B-tree and
reading on is one range scan. Everything here runs inside a transaction that the
caller has begun, and none of it waits.
"""

import sqlite3
import time
from collections.abc import Mapping, Sequence
from itertools import count
from typing import NamedTuple

from connectors.streams import Outgoing, Record, RecordTooLarge, UnknownTopic
from connectors.streams.embedded_headers import pack_headers, unpack_headers
from connectors.streams.partitioning import RECORD_OVERHEAD_BYTES, key_hash

OFFSET_BITS = 40
"""2^40 records in a log, 2^23 logs: together the 63 bits of a SQLite row id."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS topics (
    name TEXT PRIMARY KEY, partitions INTEGER NOT NULL, compacted INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS logs (
    id INTEGER PRIMARY KEY, topic TEXT NOT NULL, partition INTEGER NOT NULL,
    next_offset INTEGER NOT NULL DEFAULT 0, UNIQUE (topic, partition)
);
CREATE TABLE IF NOT EXISTS records (
    id INTEGER PRIMARY KEY, timestamp_ms INTEGER NOT NULL, key BLOB, value BLOB, headers BLOB
);
-- The offset of each key's last record, for compacted topics only.
CREATE TABLE IF NOT EXISTS latest (
    log INTEGER NOT NULL, key BLOB NOT NULL, id INTEGER NOT NULL, PRIMARY KEY (log, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS members (
    grp TEXT NOT NULL, id TEXT NOT NULL, joined_at REAL NOT NULL, deadline REAL NOT NULL,
    topics TEXT NOT NULL, PRIMARY KEY (grp, id)
) WITHOUT ROWID;
-- INVARIANT: epoch grows whenever the owner changes, so an owner's commit names both.
CREATE TABLE IF NOT EXISTS positions (
    grp TEXT NOT NULL, log INTEGER NOT NULL, next_offset INTEGER NOT NULL DEFAULT 0,
    owner TEXT, epoch INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (grp, log)
) WITHOUT ROWID;
PRAGMA user_version = 1;
"""


class Log(NamedTuple):
    """One partition of one topic."""

    id: int
    topic: str
    partition: int


class Topic(NamedTuple):
    """A topic's logs, in the order of their partitions."""

    logs: tuple[int, ...]
    compacted: bool


class Page(NamedTuple):
    """Some consecutive records of a log."""

    records: list[Record]
    next_offset: int


def read_topics(connection: sqlite3.Connection) -> dict[str, Topic]:
    """Return every topic by its name."""
    rows = connection.execute(
        "SELECT t.name, t.compacted, l.id FROM topics t JOIN logs l ON l.topic = t.name"
        " ORDER BY t.name, l.partition"
    ).fetchall()
    logs: dict[str, list[int]] = {}
    compacted: dict[str, bool] = {}
    for name, is_compacted, log in rows:
        logs.setdefault(name, []).append(log)
        compacted[name] = bool(is_compacted)
    return {name: Topic(tuple(ids), compacted[name]) for name, ids in logs.items()}


def create_topic(
    connection: sqlite3.Connection, name: str, partitions: int, *, compacted: bool
) -> None:
    """Create a topic unless it exists."""
    made = connection.execute(
        "INSERT OR IGNORE INTO topics VALUES (?, ?, ?)", (name, partitions, compacted)
    )
    if made.rowcount:
        connection.executemany(
            "INSERT INTO logs (topic, partition) VALUES (?, ?)",
            [(name, partition) for partition in range(partitions)],
        )


_turns = count()


def append_records(
    connection: sqlite3.Connection,
    topics: Mapping[str, Topic],
    outgoing: Sequence[Outgoing],
    *,
    max_record_bytes: int,
) -> None:
    """Write records at the ends of their logs.

    Raises:
        RecordTooLarge: roll the transaction back.
        UnknownTopic: roll the transaction back.
    """
    now_ms = int(time.time() * 1000)
    next_ids: dict[int, int] = {}
    rows = []
    compacted: list[tuple[int, bytes, int]] = []
    for name, key, value, headers in outgoing:
        topic = topics.get(name)
        if topic is None:
            raise UnknownTopic(f"the topic {name} does not exist")
        logs = topic.logs
        turn = next(_turns) if key is None else key_hash(key)
        log = logs[turn % len(logs)]
        row_id = next_ids.get(log)
        if row_id is None:
            row_id = _next_id(connection, log)
        next_ids[log] = row_id + 1
        packed = pack_headers(headers) if headers else None
        size = RECORD_OVERHEAD_BYTES + len(key or b"") + len(value or b"") + len(packed or b"")
        if size > max_record_bytes:
            raise RecordTooLarge(name, size, max_record_bytes)
        rows.append((row_id, now_ms, key, value, packed))
        if topic.compacted and key is not None:
            compacted.append((log, key, row_id))
    connection.executemany("INSERT INTO records VALUES (?, ?, ?, ?, ?)", rows)
    mask = (1 << OFFSET_BITS) - 1
    connection.executemany(
        "UPDATE logs SET next_offset = ? WHERE id = ?",
        [(row_id & mask, log) for log, row_id in next_ids.items()],
    )
    for entry in compacted:
        _supersede(connection, *entry)


def _next_id(connection: sqlite3.Connection, log: int) -> int:
    (offset,) = connection.execute("SELECT next_offset FROM logs WHERE id = ?", (log,)).fetchone()
    return int((log << OFFSET_BITS) | offset)


def _supersede(connection: sqlite3.Connection, log: int, key: bytes, row_id: int) -> None:
    """Remove the record that this one replaces on a compacted topic."""
    connection.execute(
        "DELETE FROM records WHERE id = (SELECT id FROM latest WHERE log = ? AND key = ?)",
        (log, key),
    )
    connection.execute("INSERT OR REPLACE INTO latest VALUES (?, ?, ?)", (log, key, row_id))


def read_page(  # noqa: PLR0913  a range is three numbers, its limits two
    connection: sqlite3.Connection,
    log: Log,
    start: int,
    *,
    end: int | None = None,
    max_records: int,
    max_bytes: int,
) -> Page:
    """Return records from offset ``start`` (inclusive) to ``end`` (exclusive), within limits."""
    base = log.id << OFFSET_BITS
    bound = base + (end if end is not None else (1 << OFFSET_BITS) - 1)
    cursor = connection.execute(
        "SELECT id, timestamp_ms, key, value, headers FROM records"
        " WHERE id >= ? AND id < ? ORDER BY id LIMIT ?",
        (base + start, bound, max_records),
    )
    _, topic, partition = log
    records: list[Record] = []
    size = 0
    next_offset = start
    for row_id, timestamp_ms, key, value, packed in cursor:
        size += len(value or b"") + len(packed or b"") + len(key or b"")
        if records and size > max_bytes:
            break
        headers = unpack_headers(packed) if packed else ()
        offset = row_id - base
        records.append(Record(topic, partition, offset, timestamp_ms, key, value, headers))
        next_offset = offset + 1
    # An open cursor is an open read transaction: it would keep the WAL from being reset.
    cursor.close()
    return Page(records, next_offset)


def read_ends(connection: sqlite3.Connection, topic: str) -> dict[int, int]:
    """Return the next offset of each partition of a topic, empty if there is none."""
    return dict(
        connection.execute(
            "SELECT partition, next_offset FROM logs WHERE topic = ? ORDER BY partition", (topic,)
        ).fetchall()
    )


_REMOVED_TOGETHER = 1_000


def read_begins(connection: sqlite3.Connection, topic: str) -> dict[int, int]:
    """Return the offset of the first record of each partition; where none is left, the next."""
    begins = {}
    for log, partition, next_offset in connection.execute(
        "SELECT id, partition, next_offset FROM logs WHERE topic = ? ORDER BY partition", (topic,)
    ).fetchall():
        base = log << OFFSET_BITS
        (first,) = connection.execute(
            "SELECT min(id) FROM records WHERE id >= ? AND id < ?", (base, base + next_offset)
        ).fetchone()
        begins[partition] = next_offset if first is None else first - base
    return begins


def remove_records(connection: sqlite3.Connection, log: Log, before: int) -> int:
    """Remove the first records of a log below an offset, some at a time; return how many."""
    base = log.id << OFFSET_BITS
    removed = connection.execute(
        "DELETE FROM records WHERE id IN"
        " (SELECT id FROM records WHERE id >= ? AND id < ? ORDER BY id LIMIT ?)",
        (base, base + before, _REMOVED_TOGETHER),
    )
    return removed.rowcount
