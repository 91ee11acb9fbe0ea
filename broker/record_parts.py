"""Take decision records apart, several times as fast as fastavro alone.

What one flow does for one recipient is, bar the digest of the seal, written in the same
bytes again and again. An encoding says itself where it ends, so bytes that begin with one
that was read before mean the same again.
"""

import io
import json
from collections.abc import Mapping
from typing import Any, ClassVar, Final

import fastavro

from agreements.candidates import to_us
from broker.recording import FINGERPRINT, SCHEMA_TEXT, read_decision
from schemas.errors import EvidenceError
from schemas.framing import frame

NOTICES: Final = ""
"""What ``settles`` is where a record tells of notices that an event was taken back."""
_KEPT_PARTS: Final = 32


class UnreadableDecision(EvidenceError):
    """What lies on ``decisions`` is not a decision record of ours."""

    code: ClassVar[str] = "unreadable-decision"


class Part:
    """A candidate without the digest of its seal: as it is written, and what that says."""

    __slots__ = ("body", "recipient", "says")

    def __init__(self, body: bytes, says: Mapping[str, Any]) -> None:
        self.body = body
        self.says = says
        self.recipient: str = says["recipient"]


class Parts:
    """A decision record. Times are milliseconds; each candidate has the digest of its seal.

    ``settles`` is the id of the suspension that had held it, `NOTICES`, or None.
    """

    __slots__ = (
        "candidates", "decided_ms", "event_id", "event_type", "occurred_ms", "offset",
        "partition", "published_ms", "publisher", "rules", "settles", "subjects", "topic",
    )  # fmt: skip

    def __init__(  # noqa: PLR0913  a record's fields
        self,
        *,
        event_type: str,
        publisher: str,
        topic: str,
        partition: int,
        offset: int,
        rules: int,
        decided_ms: int,
        occurred_ms: int,
        published_ms: int,
        event_id: bytes,
        subjects: tuple[bytes, ...],
        candidates: tuple[tuple[Part, bytes], ...],
        settles: str | None,
    ) -> None:
        self.event_type = event_type
        self.publisher = publisher
        self.topic = topic
        self.partition = partition
        self.offset = offset
        self.rules = rules
        self.decided_ms = decided_ms
        self.occurred_ms = occurred_ms
        self.published_ms = published_ms
        self.event_id = event_id
        self.subjects = subjects
        self.candidates = candidates
        self.settles = settles


class _Head:
    """What the records of a batch begin with: as it is written, and what that says."""

    __slots__ = ("body", "decided_ms", "event_type", "partition", "publisher", "rules", "topic")

    def __init__(self, body: bytes, says: Mapping[str, Any]) -> None:
        self.body = body
        self.event_type: str = says["eventType"]
        self.publisher: str = says["publisher"]
        self.topic: str = says["topic"]
        self.partition: int = says["partition"]
        self.rules: int = says["rules"]
        self.decided_ms: int = says["decidedAt"]


class PartsReader:
    """Reads one decision record after the other."""

    def __init__(self) -> None:
        self._head: _Head | None = None
        self._known: dict[tuple[str, str, int], list[Part]] = {}

    def read(self, value: bytes) -> Parts:
        """Return what a record on ``decisions`` says.

        Raises:
            UnreadableDecision: it is not a decision record.

        """
        try:
            return self._read(value) if value.startswith(_FRAME) else _slowly(value)
        except Exception as error:  # noqa: BLE001  whatever fastavro makes of bytes that are none
            # Not its text, which may hold some of them.
            raise UnreadableDecision(
                f"expected a decision record ({type(error).__name__})"
            ) from None

    def _read(self, value: bytes) -> Parts:
        head = self._head
        if head is None or not value.startswith(head.body):  # as all records of one batch do
            head = self._head = _head_of(value)
        offset, at = _long(value, len(head.body))
        length, at = _long(value, at)
        event_id, at = value[at : at + length], at + length
        occurred_ms, at = _long(value, at)
        published_ms, at = _long(value, at)
        _, at = _long(value, at)  # received
        at += _DIGEST_BYTES
        if value[at] >= _LONGER:
            return _slowly(value)  # dozens of subjects
        number, at = value[at] >> 1, at + 1
        end = at + number * _DIGEST_BYTES
        subjects = tuple([value[n : n + _DIGEST_BYTES] for n in range(at, end, _DIGEST_BYTES)])
        at = end + (1 if number else 0)
        if value[at] >= _LONGER:
            return _slowly(value)  # dozens of candidates
        candidates, at = self._candidates(value, at, head.publisher, head.event_type)
        if value[at] != _NULL:
            return _slowly(value)
        if at + 1 != len(value):
            raise ValueError("expected nothing after a decision record")
        if length < 0 or not (0 <= occurred_ms < _LAST_MS and 0 <= head.decided_ms < _LAST_MS):
            raise ValueError("expected a length, and times before the year 10000")
        event_id.decode()
        return Parts(
            event_type=head.event_type,
            publisher=head.publisher,
            topic=head.topic,
            partition=head.partition,
            offset=offset,
            rules=head.rules,
            decided_ms=head.decided_ms,
            occurred_ms=occurred_ms,
            published_ms=published_ms,
            event_id=event_id,
            subjects=subjects,
            candidates=candidates,
            settles=None,
        )

    def _candidates(
        self, value: bytes, at: int, publisher: str, event_type: str
    ) -> tuple[tuple[tuple[Part, bytes], ...], int]:
        """Return the candidates, whose number stands at ``at``, and where they end."""
        number, at = value[at] >> 1, at + 1
        candidates = []
        for place in range(number):
            known = self._known.setdefault((publisher, event_type, place), [])
            part = _known_part(known, value, at) or _next_part(known, value, at)
            at += len(part.body)
            end = at + 1 + (value[at] >> 1)
            candidates.append((part, value[at + 1 : end]))  # of 0 or 32 bytes
            at = end
        return tuple(candidates), at + (1 if number else 0)  # the block of none that ends the array


def read_candidate(body: bytes) -> dict[str, Any]:
    """Return what a `Part`'s bytes say."""
    read: Any = fastavro.schemaless_reader(io.BytesIO(body), _CANDIDATE, None)
    decoded: dict[str, Any] = read
    return decoded


def _known_part(known: list[Part], value: bytes, at: int) -> Part | None:
    for part in known:
        if value.startswith(part.body, at):
            return part
    return None


def _next_part(known: list[Part], value: bytes, at: int) -> Part:
    buffer = io.BytesIO(value)
    buffer.seek(at)
    read: Any = fastavro.schemaless_reader(buffer, _CANDIDATE, None)
    part = Part(value[at : buffer.tell()], read)
    known.insert(0, part)
    del known[_KEPT_PARTS:]
    return part


def _head_of(value: bytes) -> _Head:
    buffer = io.BytesIO(value)
    buffer.seek(len(_FRAME))
    says: Any = fastavro.schemaless_reader(buffer, _HEAD, None)
    return _Head(value[: buffer.tell()], says)


def _long(value: bytes, at: int) -> tuple[int, int]:
    """Return the Avro long at a place, and where it ends."""
    byte, at = value[at], at + 1
    number, shift = byte & 0x7F, 7
    while byte >= _LONGER:
        byte, at = value[at], at + 1
        number |= (byte & 0x7F) << shift
        shift += 7
    return (number >> 1) ^ -(number & 1), at


def _slowly(value: bytes) -> Parts:
    """Read a record that settles, has many candidates, or is of a former schema."""
    record = read_decision(value)
    settles = record.get("settles")
    return Parts(
        event_type=record["eventType"],
        publisher=record["publisher"],
        topic=record["topic"],
        partition=record["partition"],
        offset=record["offset"],
        rules=record["rules"],
        decided_ms=to_us(record["decidedAt"]) // 1000,
        occurred_ms=to_us(record["occurredAt"]) // 1000,
        published_ms=to_us(record["publishedAt"]) // 1000,
        event_id=record["eventId"].encode(),
        subjects=tuple(record["subjects"]),
        candidates=tuple([(_written(one), bytes(one["sealed"])) for one in record["candidates"]]),
        settles=None if settles is None else settles["suspension"],
    )


def _written(candidate: dict[str, Any]) -> Part:
    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, _CANDIDATE, candidate)
    return Part(buffer.getvalue(), candidate)


def _plain(schema: Any) -> Any:
    """Return a schema without logical types, so that times are read as numbers."""
    if isinstance(schema, dict):
        return {name: _plain(part) for name, part in schema.items() if name != "logicalType"}
    return [_plain(part) for part in schema] if isinstance(schema, list) else schema


def _parts() -> tuple[Any, Any]:
    """Return the schema of what the records of a batch begin with, and of a candidate's part."""
    whole = _plain(json.loads(SCHEMA_TEXT))
    names = [part["name"] for part in whole["fields"]]
    at = names.index("candidates")
    candidate = whole["fields"][at]["type"]["items"]
    is_known = names[at - 7 :] == _READ_HERE and candidate["fields"][-1]["name"] == "sealed"
    if not is_known:
        raise AssertionError("the schema of decisions has changed: so must this reader")
    return (
        fastavro.parse_schema(whole | {"fields": whole["fields"][: at - 7]}),
        fastavro.parse_schema(candidate | {"fields": candidate["fields"][:-1]}),
    )


_READ_HERE: Final = [
    "offset", "eventId", "occurredAt", "publishedAt", "receivedAt", "digest", "subjects",
    "candidates", "settles",
]  # fmt: skip
"""The fields after those that a batch shares, which are read byte by byte."""
_FRAME: Final = frame(FINGERPRINT, b"")
_HEAD, _CANDIDATE = _parts()
_DIGEST_BYTES: Final = 32
_LAST_MS: Final = 253_402_300_800_000
"""The first millisecond of the year 10000, which no time of ours can name."""
_LONGER: Final = 0x80
"""A number of one byte is below it."""
_NULL: Final = 0
