"""Read what has happened: decision records in their order, and the events they were made on.

Reading alone, without a group: nothing is written, and no offsets move. In memory at any
time are a page of decision records, and one of events for each publisher's partition.
"""

import io
import json
from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from contextlib import aclosing
from typing import Any, ClassVar, Final, NamedTuple

import fastavro

from agreements.candidates import to_us
from agreements.gain_figures import Happened
from broker.acts import is_act
from broker.periods import Period
from broker.recording import FINGERPRINT, SCHEMA_TEXT, read_decision, text
from broker.routing import DECISIONS
from connectors.streams import Record, Streams
from schemas.errors import EvidenceError
from schemas.framing import frame

Told = Callable[[int, int], None]
"""Called with how many decision records have been looked at, and of how many."""

_TOLD_EVERY: Final = 250
_SKIPPED_AT_ONCE: Final = 1000
"""Events that are read past; over a wider gap it is quicker to begin anew."""
_OPEN_AT_ONCE: Final = 32
"""Partitions that are being read: on Kafka each is a consumer with connections of its own."""
_LATE_MS: Final = 120_000
"""By how much a record's place in time may be before its decision: clocks differ."""
_KEPT_PARTS: Final = 32


class UnreadableDecision(EvidenceError):
    """What lies on ``decisions`` is not a decision record of ours."""

    code: ClassVar[str] = "unreadable-decision"


class Decided(NamedTuple):
    """A decision record, without what nobody asks of many: digests, keys and legal bases.

    ``settles`` tells that it is about what was held before: a later word on the same event.
    """

    topic: str
    partition: int
    offset: int
    event_id: str
    event_type: str
    publisher: str
    decided_at_ms: int
    rules: int
    candidates: tuple[Happened, ...]
    settles: bool


class DecisionReader:
    """Reads decision records several times as fast as fastavro alone.

    What one flow does for one recipient is, bar the digest of the seal, written in the
    same bytes again and again. An encoding says itself where it ends, so bytes that begin
    with one that was read before mean the same again.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, str, int], list[_Part]] = {}

    def read(self, value: bytes) -> Decided:
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

    def _read(self, value: bytes) -> Decided:
        buffer = io.BytesIO(value)
        buffer.seek(len(_FRAME))
        head: Any = fastavro.schemaless_reader(buffer, _HEAD, None)
        at = buffer.tell()
        if value[at] >= _LONGER:
            return _slowly(value)  # dozens of candidates
        number, at = value[at] >> 1, at + 1
        candidates = []
        for place in range(number):
            known = self._known.setdefault((head["publisher"], head["eventType"], place), [])
            part, happened = _known_part(known, value, at) or _next_part(known, value, at)
            candidates.append(happened)
            at += len(part)
            at += 1 + (value[at] >> 1)  # the digest of the seal, of 0 or 32 bytes
        at += 1 if number else 0  # the block of none that ends the array
        settles = value[at] != _NULL
        if not settles and at + 1 != len(value):
            raise ValueError("expected nothing after a decision record")
        return _decided(head, tuple(candidates), settles=settles)


_Part = tuple[bytes, Happened]


def _known_part(known: list[_Part], value: bytes, at: int) -> _Part | None:
    for pair in known:
        if value.startswith(pair[0], at):
            return pair
    return None


def _next_part(known: list[_Part], value: bytes, at: int) -> _Part:
    buffer = io.BytesIO(value)
    buffer.seek(at)
    read: Any = fastavro.schemaless_reader(buffer, _CANDIDATE, None)
    pair = (value[at : buffer.tell()], _happened(read))
    known.insert(0, pair)
    del known[_KEPT_PARTS:]
    return pair


async def decided(
    streams: Streams,
    period: Period,
    *,
    naming: Collection[str] | None = None,
    told: Told | None = None,
    on_unreadable: Callable[[], None] | None = None,
) -> AsyncGenerator[Decided]:
    """Yield the decision records of a period, one partition of ``decisions`` after another.

    With ``naming``, only those that have one of these texts in them: a topic, an agreement.
    What is no decision record is told to ``on_unreadable`` and passed over; without it,
    `UnreadableDecision` is raised.
    """
    first_ms, end_ms = period.to_ms()
    needles = None if naming is None else [text(one) for one in naming]
    reader = DecisionReader()
    ends = await streams.end(DECISIONS)
    total, passed = sum(ends.values()), 0
    for partition, end in ends.items():
        async with aclosing(_read(streams, DECISIONS, partition, 0)) as records:
            async for record in records:
                if told is not None and not record.offset % _TOLD_EVERY:
                    told(passed + record.offset, total)
                value = record.value
                if value is None or is_act(value) or record.timestamp_ms + _LATE_MS < first_ms:
                    continue
                if needles is not None and not any(needle in value for needle in needles):
                    continue
                try:
                    found = reader.read(value)
                except UnreadableDecision:
                    if on_unreadable is None:
                        raise
                    on_unreadable()
                    continue
                if first_ms <= found.decided_at_ms < end_ms:
                    yield found
        passed += end
    if told is not None:
        told(total, total)


class EventReader:
    """Finds sealed events by their place; asked in the order of a partition it reads on."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams
        self._partitions: Mapping[str, int] | None = None
        self._reading: dict[tuple[str, int], _Reading] = {}

    async def at(self, topic: str, partition: int, offset: int) -> Record | None:
        """Return the record; None when the streams hold it no longer."""
        if self._partitions is None:
            self._partitions = await self._streams.topics()
        if not 0 <= partition < self._partitions.get(topic, 0) or offset < 0:
            return None
        place = (topic, partition)
        reading = self._reading.get(place)
        if reading is None or not 0 <= offset - reading.offset <= _SKIPPED_AT_ONCE:
            if reading is not None:
                await reading.records.aclose()
            reading = _Reading(_read(self._streams, topic, partition, offset), offset)
        self._reading.pop(place, None)
        self._reading[place] = reading  # the latest last
        if len(self._reading) > _OPEN_AT_ONCE:
            oldest = next(iter(self._reading))
            await self._reading.pop(oldest).records.aclose()
        return await reading.to(offset)

    async def close(self) -> None:
        """Let go of what is open."""
        for reading in self._reading.values():
            await reading.records.aclose()
        self._reading.clear()


class _Reading:
    """One partition that is being read: ``offset`` is where the next record may lie."""

    def __init__(self, records: AsyncGenerator[Record], offset: int) -> None:
        self.records = records
        self.offset = offset
        self._ahead: Record | None = None

    async def to(self, offset: int) -> Record | None:
        """Read on to an offset that is not before the last."""
        record = self._ahead
        while record is None or record.offset < offset:
            record = await anext(self.records, None)
            if record is None:
                self.offset = offset
                return None
        self._ahead, self.offset = record, offset
        return record if record.offset == offset else None


async def _read(streams: Streams, topic: str, partition: int, start: int) -> AsyncGenerator[Record]:
    """Read as `Streams.read` does, in a form that can be closed."""
    async for record in streams.read(topic, partition=partition, start=start):
        yield record


def _slowly(value: bytes) -> Decided:
    """Read a record of a former schema."""
    record = read_decision(value)
    moment = record["decidedAt"]
    head = record | {"decidedAt": to_us(moment) // 1000}
    candidates = tuple(map(_happened, record["candidates"]))
    return _decided(head, candidates, settles=record.get("settles") is not None)


def _decided(head: dict[str, Any], candidates: tuple[Happened, ...], *, settles: bool) -> Decided:
    return Decided(
        head["topic"],
        head["partition"],
        head["offset"],
        head["eventId"],
        head["eventType"],
        head["publisher"],
        head["decidedAt"],
        head["rules"],
        candidates,
        settles,
    )


def _happened(read: dict[str, Any]) -> Happened:
    return Happened(
        agreement=read["agreement"],
        version=read["version"],
        flow=read["flow"],
        recipient=read["recipient"],
        outcome=read["outcome"],
        reason=read["reason"],
        detail=read["detail"],
        items=tuple(read["items"]),
        transforms=tuple(read["transforms"].items()),
        withheld=tuple(read["withheld"].items()),
    )


def _plain(schema: Any) -> Any:
    """Return a schema without logical types, so that times are read as numbers."""
    if isinstance(schema, dict):
        return {name: _plain(part) for name, part in schema.items() if name != "logicalType"}
    return [_plain(part) for part in schema] if isinstance(schema, list) else schema


def _parts() -> tuple[Any, Any]:
    """Return the schema of what stands before the candidates, and of a candidate's part."""
    whole = _plain(json.loads(SCHEMA_TEXT))
    names = [part["name"] for part in whole["fields"]]
    at = names.index("candidates")
    candidate = whole["fields"][at]["type"]["items"]
    if candidate["fields"][-1]["name"] != "sealed" or names[at + 1 :] != ["settles"]:
        raise AssertionError("the schema of decisions has changed: so must this reader")
    return (
        fastavro.parse_schema(whole | {"fields": whole["fields"][:at]}),
        fastavro.parse_schema(candidate | {"fields": candidate["fields"][:-1]}),
    )


_FRAME: Final = frame(FINGERPRINT, b"")
_HEAD, _CANDIDATE = _parts()
_LONGER: Final = 0x80
"""A number of one byte is below it."""
_NULL: Final = 0
