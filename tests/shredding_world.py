"""Invented decision records, and logs of them, for tests of how long they are kept."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

from broker.acts import KEY, Act, is_act
from broker.evidence.entries import content_of
from broker.evidence.holds import Hold, Scope
from broker.evidence.keys import LogKeys
from broker.evidence.reading import LogFiles
from broker.evidence.retention import Keeping, Period
from broker.evidence.shredding import Plan, acts_of, carry_out, plan
from broker.evidence.verified import Verified
from broker.evidence.verifying import verify_log
from broker.evidence.writing import LogWriter, writing
from broker.recording import (
    NO_CLAUSE,
    Clause,
    LegalBasis,
    batch_part,
    candidates_part,
    event_part,
    refused,
    sender_part,
)
from broker.routing import DECISIONS
from connectors.streams import Record
from schemas.keys import SigningKey
from schemas.notes import NoteKey

SIGNING = SigningKey(b"\x07" * 32)
KEYS = LogKeys(SIGNING, b"s" * 32)
ORIGIN = "anytown.example/decisions"
LOG = NoteKey(ORIGIN, SIGNING.public)
FIRST_DAY = datetime(2020, 1, 1, 9, tzinfo=UTC)
NO_BASIS = LegalBasis("uk-gdpr", (), ())
SHORT, LONG, SILENT = (sha256(name).digest() for name in (b"short", b"long", b"silent"))
PERIODS = {
    SHORT: Period("P1Y", "retention P1Y of short version 1"),
    LONG: Period("P6Y", "retention P6Y of long version 1"),
    SILENT: None,
}
KEEPING = Keeping(PERIODS, None)
"""Two agreements say how long, one does not, and neither does the scheme."""


def a_decision(
    at: datetime,
    *agreements: bytes,
    recipient: str = "trust",
    publisher: str = "council",
    subject: str = "somebody",
) -> bytes:
    """Return a decision record that names a candidate under each agreement."""
    ms = _to_ms(at)
    clauses = [
        Clause(recipient, hash_.hex()[:8], 1, hash_, "flow", "care", NO_BASIS, NO_BASIS).to_avro()
        for hash_ in agreements
    ] or [NO_CLAUSE]
    return b"".join(
        (
            sender_part("uk.example.v1", b"\1" * 8, publisher, "key"),
            batch_part("events.council", 0, decided_at_ms=ms, rules=7),
            event_part(3, b"event-1", ms, ms, ms, b"\2" * 32, [sha256(subject.encode()).digest()]),
            candidates_part([refused("deny", "no-flow", "", one) for one in clauses]),
        )
    )


def a_record(offset: int, at: datetime, value: bytes) -> Record:
    """Return a record as the stream gives it."""
    key = KEY if is_act(value) else b"person"
    return Record(DECISIONS, 0, offset, _to_ms(at), key, value, ())


def days(count: int, *agreements: bytes) -> list[Record]:
    """Return a record for each day: the agreements take turns, and offsets have gaps."""
    turns: Sequence[tuple[bytes, ...]] = [(one,) for one in agreements] or [()]
    return [
        a_record(
            number + number // 10 * 2,
            FIRST_DAY + timedelta(days=number),
            a_decision(FIRST_DAY + timedelta(days=number), *turns[number % len(turns)]),
        )
        for number in range(count)
    ]


def follow(writer: LogWriter, records: Iterable[Record], *, sign_every: int = 100) -> None:
    """Take records into a log as the worker does."""
    for record in records:
        writer.append(record.offset, content_of(record))
        carry_out(writer, record)
        if writer.unsigned >= sign_every:
            writer.sign()
    writer.sign()


def write(path: Path, records: Iterable[Record]) -> LogFiles:
    """Make a log of records, or go on with it."""
    with writing(path, KEYS, origin=ORIGIN) as writer:
        follow(writer, (one for one in records if one.offset >= writer.next_offset))
    return LogFiles(path)


def what_is_due(
    path: Path, *, now: datetime, keeping: Keeping = KEEPING, holds: Sequence[Hold] = ()
) -> Plan:
    """Return what is due of the whole log."""
    files = LogFiles(path)
    return plan(files, size_of(files), keeping=keeping, holds=holds, now=now)


def size_of(files: LogFiles) -> int:
    """Return how many entries are signed."""
    latest = files.latest(LOG)
    return latest[0].size if latest else 0


def as_records(acts: Iterable[Act], *, after: Record) -> list[Record]:
    """Return acts as they lie on the stream after a record."""
    return [
        a_record(after.offset + number, act.at, act.to_bytes())
        for number, act in enumerate(acts, start=1)
    ]


def shred(path: Path, records: list[Record], made: Plan, *, at: datetime) -> list[Record]:
    """Shred what is due; return the stream with the acts."""
    acts = as_records(acts_of(made, LogFiles(path), by="an officer", at=at), after=records[-1])
    stream = [*records, *acts]
    write(path, stream)
    return stream


def a_hold(scope: Scope, *, lifted_at: datetime | None = None) -> Hold:
    """Return a hold that an officer has put."""
    return Hold("h1", scope, FIRST_DAY, "an officer", "claim 7", 1, lifted_at)


def verified(path: Path) -> Verified:
    """Verify a log as an auditor does."""
    return verify_log(LogFiles(path), LOG)


def kept_of(path: Path) -> list[bool]:
    """Return for each entry whether its record is there."""
    files = LogFiles(path)
    size = size_of(files)
    kept = [one for number in range(-(-size // 256)) for one in files.records(number)]
    return [not one.is_shredded for one in kept[:size]]


def files_of(path: Path) -> dict[str, bytes]:
    """Return every file that says what the log has, not when it was signed."""
    return {
        str(file.relative_to(path)): file.read_bytes()
        for file in sorted(path.rglob("*"))
        if file.is_file() and file.name not in {"history.jsonl", "lock"} and ".p/" not in str(file)
    }


def _to_ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)
