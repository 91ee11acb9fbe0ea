"""What waits on ``held``: events under an agreement that a party has suspended.

A record there is one event for one flow to one recipient, sealed by the broker to
itself, with everything that says what it waits for bound to the seal: a copy that
somebody moved, or gave another suspension, does not open. One copy settles once
(`settling`), however often it lies there.

Behind what was settled lies a mark, sealed too: of this suspension everything before an
offset of this partition is settled. A group's own offset would not do: Kafka forgets it
some days after the group's last member has left.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Self

import cbor2

from agreements.candidates import from_us
from agreements.deciding import Hold
from broker.keyring import Keyring
from connectors.streams import Outgoing, Record
from connectors.streams.partitioning import key_hash
from schemas.control import BROKER
from schemas.errors import RejectedInput
from schemas.events import Envelope
from schemas.sealing import Binding, Opener, Sealer, bound_headers
from schemas.times import format_time, parse_time

HELD: Final = "held"

_NAMES: Final = (
    "place", "event", "recipient", "agreement", "version", "flow", "suspension", "until", "decided",
)  # fmt: skip
_MARK_NAMES: Final = ("settled", "before")
_SUSPENSION: Final = re.compile(rb"[0-9a-f]{64}")
_LATEST_US: Final = 253_402_300_799_999_000
"""The last millisecond of the year 9999, with which times on the wire end."""


class BadCopy(RejectedInput):
    """What lies on ``held`` is not a held event where the broker put it."""

    code: ClassVar[str] = "bad-held-copy"


@dataclass(frozen=True, slots=True)
class Held:
    """An event that waits for a suspension to end, for one flow to one recipient."""

    copy: Record
    """As it lies on ``held``."""
    event: Record
    """As it came from its publisher."""
    event_id: str
    recipient: str
    agreement: str
    version: int
    flow: str
    suspension: str
    until_us: int
    decided_at_us: int

    @property
    def identity(self) -> bytes:
        """What is settled once: this event, for this recipient and flow, of this suspension."""
        parts = (self.recipient, self.agreement, self.flow, self.suspension)
        return "\0".join((place_of(self.event), *parts)).encode()


def place_of(record: Record) -> str:
    """Return where a record lies, in one word."""
    return f"{record.topic}/{record.partition}/{record.offset}"


def waits_for(record: Record) -> tuple[str, int] | None:
    """Return the suspension that a record on ``held`` names, and until when it waits (µs).

    What the headers say, not yet believed; None when they say nothing of it.
    """
    said = dict(record.headers)
    suspension, until = said.get("suspension") or b"", said.get("until") or b""
    if not _SUSPENSION.fullmatch(suspension):
        return None
    try:
        return suspension.decode(), parse_time(until)
    except RejectedInput:
        return None


def pack(record: Record) -> bytes:
    """Return a whole record as it is sealed into a copy."""
    headers = [list(pair) for pair in record.headers]
    return cbor2.dumps([record.timestamp_ms, record.key, record.value, headers])


class Copies:
    """Makes the copies on ``held``, and opens them again."""

    def __init__(self, keys: Keyring, own: Sealer) -> None:
        senders = {key.kid: key.public for key in keys.signing}
        self._own = own
        self._opener = Opener(keys.sealing, senders.get)

    @classmethod
    def of_keys(cls, keys: Keyring) -> Self:
        """Return them with a sealer of their own."""
        return cls(keys, Sealer(keys.signing[0], BROKER, keys.sealing[0].public))

    def of(self, record: Record, envelope: Envelope, decision: Hold, *, at_us: int) -> Outgoing:
        """Return the copy of an event that is held by a decision at ``at_us``."""
        candidate = decision.candidate
        until_us = min(decision.until_us, _LATEST_US)
        headers = [
            ("place", place_of(record).encode()),
            ("event", envelope.id.encode()),
            ("recipient", candidate.recipient.encode()),
            ("agreement", candidate.agreement_id.encode()),
            ("version", str(candidate.version).encode()),
            ("flow", candidate.flow.id.encode()),
            ("suspension", decision.detail.encode()),
            ("until", format_time(from_us(until_us))),
            ("decided", format_time(from_us(at_us))),
        ]
        sealed = self._own.seal(pack(record), _binding(headers))
        return Outgoing(HELD, record.key, sealed, headers)

    def open(self, copy: Record, *, partitions: int | None) -> Held:
        """Return what waits in a copy; ``partitions`` is how many ``held`` has, if that counts.

        Raises:
            RejectedInput: it is not as the broker made it, or not where it put it.

        """
        names, values = tuple(zip(*copy.headers, strict=True)) if copy.headers else ((), ())
        if names != _NAMES or not all(values):
            raise BadCopy("expected the headers of a held event")
        said = dict(zip(names, values, strict=True))
        content = self._opener.open(copy.value or b"", _binding(copy.headers))
        timestamp_ms, key, value, headers = cbor2.loads(content)
        if key != copy.key or (
            partitions is not None and key_hash(key) % partitions != copy.partition
        ):
            raise BadCopy("expected a held event under its own key, in the partition it gives")
        topic, partition, offset = said["place"].decode().rsplit("/", 2)
        pairs = [(name, text) for name, text in headers]
        event = Record(topic, int(partition), int(offset), timestamp_ms, key, value, pairs)
        return Held(
            copy=copy,
            event=event,
            event_id=said["event"].decode(),
            recipient=said["recipient"].decode(),
            agreement=said["agreement"].decode(),
            version=int(said["version"]),
            flow=said["flow"].decode(),
            suspension=said["suspension"].decode(),
            until_us=parse_time(said["until"]),
            decided_at_us=parse_time(said["decided"]),
        )

    def mark(self, suspension: str, last: Record, *, before: int) -> Outgoing:
        """Return the mark that a suspension's copies before an offset are settled.

        ``last`` is one of them: under its key, the mark lies in their partition.
        """
        headers = [("settled", suspension.encode()), ("before", b"%d" % before)]
        sealed = self._own.seal(b"", _mark_binding(headers, last.partition))
        return Outgoing(HELD, last.key, sealed, headers)

    def read_mark(self, record: Record) -> tuple[str, int] | None:
        """Return the suspension of a mark and its offset; None for what is no mark of ours."""
        if tuple(name for name, _ in record.headers) != _MARK_NAMES:
            return None
        (_, suspension), (_, before) = record.headers
        try:
            self._opener.open(record.value or b"", _mark_binding(record.headers, record.partition))
            return suspension.decode("ascii"), int(before)
        except (RejectedInput, ValueError, TypeError):
            return None


def _mark_binding(headers: Any, partition: int) -> bytes:
    place = f"{HELD}/{partition}"
    return Binding(BROKER, HELD, place, "", "", headers=bound_headers(headers)).to_aad()


def _binding(headers: Any) -> bytes:
    said = dict(headers)
    place = said["place"].decode(errors="replace")
    return Binding(BROKER, HELD, place, "", "", headers=bound_headers(headers)).to_aad()


class Waiting:
    """Which suspensions the records on ``held`` name, how far they lie, and what is settled.

    One entry for each suspension and limit, however many records wait.
    """

    def __init__(self, copies: Copies) -> None:
        self._copies = copies
        self._last: dict[tuple[str, int], dict[int, int]] = {}
        self._settled: dict[str, dict[int, int]] = {}

    def add(self, record: Record) -> None:
        """Take in one record of the topic; a second time changes nothing."""
        waits = waits_for(record)
        if waits is not None:
            last = self._last.setdefault(waits, {})
            last[record.partition] = max(record.offset, last.get(record.partition, -1))
        elif (mark := self._copies.read_mark(record)) is not None:
            self.settle(mark[0], record.partition, before=mark[1])

    def settle(self, suspension: str, partition: int, *, before: int) -> None:
        """Note that a suspension's records before an offset of a partition are settled."""
        settled = self._settled.setdefault(suspension, {})
        settled[partition] = max(before, settled.get(partition, 0))

    def settled_before(self, suspension: str, partition: int) -> int:
        """Return the offset before which a suspension's records are settled."""
        return self._settled.get(suspension, {}).get(partition, 0)

    def due(self, lifted: Mapping[str, int], at_us: int) -> frozenset[str]:
        """Return the suspensions that have ended by ``at_us`` and are not settled.

        ``lifted`` tells of each known suspension from when it is lifted (µs); a name that
        is not in it is nobody's.
        """
        return frozenset(
            suspension
            for (suspension, until_us), last in self._last.items()
            if suspension in lifted
            and min(until_us, lifted[suspension]) <= at_us
            and any(
                offset >= self.settled_before(suspension, partition)
                for partition, offset in last.items()
            )
        )
