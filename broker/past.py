"""Read what has happened: decision records in their order, and the events they were made on.

Reading alone, without a group: nothing is written, and no offsets move. In memory at any
time are a page of decision records, and one of events for each publisher's partition.
"""

from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from contextlib import aclosing
from typing import Any, Final, NamedTuple

from agreements.gain_figures import Happened
from broker.acts import is_act
from broker.periods import Period
from broker.record_parts import NOTICES, Part, PartsReader, UnreadableDecision
from broker.recording import text
from broker.routing import DECISIONS
from connectors.streams import Record, Streams

Told = Callable[[int, int], None]
"""Called with how many decision records have been looked at, and of how many."""

_TOLD_EVERY: Final = 250
_SKIPPED_AT_ONCE: Final = 1000
"""Events that are read past; over a wider gap it is quicker to begin anew."""
_OPEN_AT_ONCE: Final = 32
"""Partitions that are being read: on Kafka each is a consumer with connections of its own."""
_LATE_MS: Final = 120_000
"""By how much a record's place in time may be before its decision: clocks differ."""
_KEPT: Final = 4096
"""Candidates as they are written, bar the digest of the seal."""


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
    """Reads decision records: what they say of each candidate is made once for many."""

    def __init__(self) -> None:
        self._reader = PartsReader()
        self._known: dict[bytes, Happened] = {}

    def read(self, value: bytes) -> Decided | None:
        """Return what a record on ``decisions`` says; None when it tells of notices.

        Those are due whatever an agreement says, and nothing is shared by them.

        Raises:
            UnreadableDecision: it is not a decision record.

        """
        parts = self._reader.read(value)
        if parts.settles == NOTICES:
            return None
        return Decided(
            parts.topic,
            parts.partition,
            parts.offset,
            parts.event_id.decode(),
            parts.event_type,
            parts.publisher,
            parts.decided_ms,
            parts.rules,
            tuple([self._happened(part) for part, _ in parts.candidates]),
            parts.settles is not None,
        )

    def _happened(self, part: Part) -> Happened:
        found = self._known.get(part.body)
        if found is None:
            if len(self._known) >= _KEPT:
                self._known.clear()
            found = self._known[part.body] = _happened(part.says)
        return found


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
    Records of notices are passed over. What is no decision record is told to
    ``on_unreadable`` and passed over; without it, `UnreadableDecision` is raised.
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
                if found is not None and first_ms <= found.decided_at_ms < end_ms:
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


def _happened(read: Mapping[str, Any]) -> Happened:
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
