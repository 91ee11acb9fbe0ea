"""Read what has happened: decision records in their order, and the events they were made on.

Reading alone, without a group: nothing is written, and no offsets move. In memory at any
time are a page of decision records, and one of events for each publisher's partition.
"""

import io
import json
from collections.abc import AsyncGenerator, Callable, Collection
from contextlib import aclosing
from typing import Any, Final, NamedTuple

import fastavro

from agreements.candidates import to_us
from agreements.gain_figures import Happened
from broker.periods import Period
from broker.recording import FINGERPRINT, SCHEMA_TEXT, read_decision, text
from broker.routing import DECISIONS
from connectors.streams import Record, Streams
from schemas.framing import frame

Told = Callable[[int, int], None]
"""Called with how many decision records have been looked at, and of how many."""

_TOLD_EVERY: Final = 250
_SKIPPED_AT_ONCE: Final = 1000
"""Events that are read past; over a wider gap it is quicker to begin anew."""
_LATE_MS: Final = 120_000
"""By how much a record's place in time may be before its decision: clocks differ."""
_KEPT_PARTS: Final = 32


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
        self._known: dict[tuple[str, str, int], list[tuple[bytes, Happened]]] = {}

    def read(self, value: bytes) -> Decided:
        """Return what a record on ``decisions`` says.

        Raises:
            ValueError: it is not a decision record.

        """
        if not value.startswith(_FRAME):
            return _slowly(value)
        buffer = io.BytesIO(value)
        buffer.seek(len(_FRAME))
        head: Any = fastavro.schemaless_reader(buffer, _HEAD, None)
        number: Any = fastavro.schemaless_reader(buffer, _LONG, None)
        candidates = []
        for place in range(number):
            candidates.append(self._candidate(buffer, value, head, place))
            sealed: Any = fastavro.schemaless_reader(buffer, _LONG, None)
            buffer.seek(sealed, io.SEEK_CUR)
        if number:
            buffer.seek(1, io.SEEK_CUR)  # the block of none that ends the array
        tail: Any = fastavro.schemaless_reader(buffer, _TAIL, None)
        return _decided(head, tuple(candidates), settles=tail.get("settles") is not None)

    def _candidate(
        self, buffer: io.BytesIO, value: bytes, head: dict[str, Any], place: int
    ) -> Happened:
        known = self._known.setdefault((head["publisher"], head["eventType"], place), [])
        start = buffer.tell()
        for part, happened in known:
            if value.startswith(part, start):
                buffer.seek(start + len(part))
                return happened
        read: Any = fastavro.schemaless_reader(buffer, _CANDIDATE, None)
        happened = _happened(read)
        known.insert(0, (value[start : buffer.tell()], happened))
        del known[_KEPT_PARTS:]
        return happened


async def decided(
    streams: Streams,
    period: Period,
    *,
    topics: Collection[str] | None = None,
    told: Told | None = None,
) -> AsyncGenerator[Decided]:
    """Yield the decision records of a period, one partition of ``decisions`` after another.

    With ``topics``, only those of events that lie there.
    """
    first_ms, end_ms = period.to_ms()
    needles = None if topics is None else [text(topic) for topic in topics]
    reader = DecisionReader()
    ends = await streams.end(DECISIONS)
    total, passed = sum(ends.values()), 0
    for partition, end in ends.items():
        async with aclosing(_read(streams, DECISIONS, partition, 0)) as records:
            async for record in records:
                if told is not None and not record.offset % _TOLD_EVERY:
                    told(passed + record.offset, total)
                value = record.value
                if value is None or record.timestamp_ms + _LATE_MS < first_ms:
                    continue
                if needles is not None and not any(needle in value for needle in needles):
                    continue
                found = reader.read(value)
                if first_ms <= found.decided_at_ms < end_ms and (
                    topics is None or found.topic in topics
                ):
                    yield found
        passed += end
    if told is not None:
        told(total, total)


class EventReader:
    """Finds sealed events by their place; asked in the order of a partition it reads on."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams
        self._reading: dict[tuple[str, int], _Reading] = {}

    async def at(self, topic: str, partition: int, offset: int) -> Record | None:
        """Return the record; None when the streams hold it no longer."""
        place = (topic, partition)
        reading = self._reading.get(place)
        if reading is None or not 0 <= offset - reading.offset <= _SKIPPED_AT_ONCE:
            if reading is not None:
                await reading.records.aclose()
            records = _read(self._streams, topic, partition, offset)
            reading = self._reading[place] = _Reading(records, offset)
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


def _parts() -> tuple[Any, Any, Any]:
    """Return the record's schema in three: before the candidates, one of them, and after."""
    whole = _plain(json.loads(SCHEMA_TEXT))
    names = [part["name"] for part in whole["fields"]]
    at = names.index("candidates")
    candidate = whole["fields"][at]["type"]["items"]
    if candidate["fields"][-1]["name"] != "sealed":
        raise AssertionError("a candidate's digest, which is never the same, ends it")
    return (
        fastavro.parse_schema(whole | {"fields": whole["fields"][:at]}),
        fastavro.parse_schema(candidate | {"fields": candidate["fields"][:-1]}),
        fastavro.parse_schema(whole | {"fields": whole["fields"][at + 1 :]}),
    )


_FRAME: Final = frame(FINGERPRINT, b"")
_LONG: Final = fastavro.parse_schema("long")
_HEAD, _CANDIDATE, _TAIL = _parts()
