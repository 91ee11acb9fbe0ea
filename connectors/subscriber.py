"""Receive what others share with a party: consume, open, decode, hand on.

Deliveries come in a consumer group, and the group's place is kept only after
what was given has been taken. A sink that writes the same delivery once
(:mod:`connectors.folder`) therefore has everything once, over any crash. A
delivery that does not open is reported and passed by: the ones after it come.

The private key never leaves this side, and nobody else can open what is here.
"""

import hashlib
import io
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol

import fastavro

from connectors.counting import Ledger
from connectors.received import Position, Received, Unopened
from connectors.streams import DEFAULT_MAX_RECORDS, Batch, Group, NotCommitted, Record, Streams
from connectors.trust import ControlReader
from schemas import avro
from schemas.counting import Counted, Side, opened_element
from schemas.errors import RejectedInput
from schemas.events import Event, Routing, read_delivery
from schemas.framing import unframe
from schemas.keys import SealingKey, VerifyingKey
from schemas.sealing import Binding, Opener, bound_headers
from schemas.times import microseconds

OnUnopened = Callable[[Unopened], None]
"""Called with each delivery that did not open, before the group passes it."""

DEFAULT_SESSION_SECONDS: Final = 10.0

LOOK_SECONDS: Final = 5.0
"""How long a key that the broker has given up may still open what comes."""

_ID_HEADER: Final = "ce_id"
_ID_CHARACTERS: Final = 36


class MalformedView(RejectedInput):
    """A delivery opened, but is not a record of the schema that it names."""

    code = "malformed-view"


class Sink(Protocol):
    """Where deliveries go. What it took is on disk, or wherever it belongs, on return."""

    def write(self, deliveries: Iterable[Received]) -> int:
        """Take deliveries, passing over those it has; return how many were new."""
        ...

    def write_unopened(self, deliveries: Iterable[Unopened]) -> int:
        """Keep what did not open, to be tried again."""
        ...


class Deliveries(NamedTuple):
    """A batch of one partition, in order: what opened, and what did not."""

    received: tuple[Received, ...]
    unopened: tuple[Unopened, ...]


@dataclass(slots=True)
class Counts:
    """What a subscriber has passed so far."""

    received: int = 0
    unopened: int = 0


class Subscriber:
    """Receives the deliveries of one party from ``deliveries.<party>``.

    ``sealing_keys`` are all private keys that deliveries may be sealed to, old
    ones too. ``scheme_key`` is pinned: the broker's keys are taken from
    ``control`` only where it signed them. Subscribers of the same ``group``
    share the deliveries, each other group gets all of them; what one of them held
    goes to the others when it has not been heard of for ``session_seconds``. What opened
    and was taken is counted in ``ledger``.
    """

    def __init__(  # noqa: PLR0913  the parts that a subscriber is made of, by name
        self,
        party: str,
        *,
        sealing_keys: Iterable[SealingKey],
        scheme_key: VerifyingKey,
        streams: Streams,
        group: str = "sink",
        max_records: int = DEFAULT_MAX_RECORDS,
        session_seconds: float = DEFAULT_SESSION_SECONDS,
        on_unopened: OnUnopened | None = None,
        ledger: Ledger | None = None,
    ) -> None:
        self.party = party
        self.topic = f"deliveries.{party}"
        self.counts = Counts()
        self._streams = streams
        self._group = f"{party}.{group}"
        self._max_records = max_records
        self._session_seconds = session_seconds
        self._on_unopened = on_unopened
        self._ledger = ledger
        self._control = ControlReader(streams, scheme_key)
        self._opener = Opener(sealing_keys, self._control.sender)
        self._looked_at = float("-inf")

    async def __aiter__(self) -> AsyncIterator[Received]:
        """Yield deliveries for ever; one counts as taken when the batch after its own is asked for.

        A caller that stops early is given the whole of its last batch again.
        """
        async with aclosing(self.batches()) as batches:
            async for deliveries in batches:
                for received in deliveries.received:
                    yield received

    async def batches(self, *, idle_seconds: float | None = None) -> AsyncGenerator[Deliveries]:
        """Yield batches; asking for the next one commits the one before.

        Ends when nothing has come for ``idle_seconds``, if that is given, and nobody
        who may have crashed still holds a part of what is left.
        """
        async with self._streams.group(
            self._group,
            [self.topic],
            max_records=self._max_records,
            session_timeout=self._session_seconds,
        ) as group:
            while (batch := await self._next(group, idle_seconds)) is not None:
                deliveries = await self._open(batch)
                yield deliveries
                if self._ledger is not None and deliveries.received:
                    self._ledger.add(Side.OPENED, map(_counted, deliveries.received))
                try:
                    await group.commit(batch)
                except NotCommitted:
                    continue  # whoever has the partition now gives or takes these again
                self.counts.received += len(deliveries.received)
                self.counts.unopened += len(deliveries.unopened)

    async def _next(self, group: Group, idle_seconds: float | None) -> Batch | None:
        """Return the next batch, or None when nothing has come and nothing is to come.

        The partitions of a member that died are given to us only when its session
        ends: until then, what it left is worth waiting for.
        """
        batch = await group.next(idle_seconds)
        if batch is not None or idle_seconds is None:
            return batch
        patience = time.monotonic() + 2 * self._session_seconds
        while batch is None and time.monotonic() < patience and await self._others_hold(group):
            batch = await group.next(idle_seconds)
        return batch

    async def _others_hold(self, group: Group) -> bool:
        partitions = (await self._streams.topics())[self.topic]
        if len(group.assignment()) >= partitions:
            return False
        return await self._streams.lag(self._group, [self.topic]) > 0

    async def deliver_to(self, sink: Sink, *, idle_seconds: float | None = None) -> Counts:
        """Write everything that comes to a sink; return the counts when nothing has come for long.

        Raises:
            Exception: whatever the sink raises; the batch stays uncommitted and comes again.
        """
        async with aclosing(self.batches(idle_seconds=idle_seconds)) as batches:
            async for deliveries in batches:
                sink.write(deliveries.received)
                sink.write_unopened(deliveries.unopened)
        return self.counts

    async def _open(self, batch: Batch) -> Deliveries:
        """Open a batch. What does not open is tried again after a look at ``control``.

        The broker writes a view's schema and its own keys there before the first
        delivery that needs them, so they may be newer than what was read so far.
        """
        if time.monotonic() - self._looked_at >= LOOK_SECONDS:
            await self._look_at_control()
        found = [self._read(record) for record in batch.records]
        if any(isinstance(item, Unopened) for item in found):
            await self._look_at_control()
            found = [
                self._read(record) if isinstance(item, Unopened) else item
                for record, item in zip(batch.records, found, strict=True)
            ]
        unopened = tuple(item for item in found if isinstance(item, Unopened))
        if self._on_unopened is not None:
            for item in unopened:
                self._on_unopened(item)
        return Deliveries(tuple(item for item in found if isinstance(item, Received)), unopened)

    async def _look_at_control(self) -> None:
        self._looked_at = time.monotonic()
        await self._control.catch_up()

    def _read(self, record: Record) -> Received | Unopened:
        try:
            event, routing = read_delivery(record.headers)
            view = self._view(event, self._unseal(record, event, routing))
        except RejectedInput as problem:
            return _unopened(record, problem.code)
        return _received(record, event, routing, view)

    def _unseal(self, record: Record, event: Event, routing: Routing) -> bytes:
        binding = Binding(
            recipient=self.party,
            topic=self.topic,
            event_id=event.id,
            event_type=event.type,
            dataschema=event.dataschema,
            agreement=routing.agreement,
            version=routing.version,
            flow=routing.flow,
            headers=bound_headers(record.headers),
        )
        return self._opener.open(record.value or b"", binding.to_aad())

    def _view(self, event: Event, payload: bytes) -> dict[str, Any]:
        fingerprint, start = unframe(payload)
        if fingerprint != event.fingerprint:
            raise MalformedView("the view is framed with another schema than its header names")
        return decode_view(self._control.schema(fingerprint), payload[start:])


def decode_view(schema: avro.Schema, data: bytes) -> dict[str, Any]:
    """Decode one record; all of ``data`` must be its bytes.

    Raises:
        MalformedView: it is not a record of the schema, or something is left over.
    """
    source = io.BytesIO(data)
    try:
        record = fastavro.schemaless_reader(source, schema, None)
    except Exception:  # noqa: BLE001  fastavro raises many kinds, and quotes values in them
        raise MalformedView("the view does not decode under its schema") from None
    if source.read(1) or not isinstance(record, dict):
        raise MalformedView("the view is not exactly one record of its schema")
    return record


def _counted(received: Received) -> Counted:
    element = opened_element(received.event_id, bytes.fromhex(received.delivery))
    return Counted(element, received.event_type, microseconds(received.published_at) // 1000)


def _received(record: Record, event: Event, routing: Routing, view: dict[str, Any]) -> Received:
    return Received(
        event_id=event.id,
        event_type=event.type,
        publisher=event.publisher,
        agreement=routing.agreement,
        version=routing.version,
        flow=routing.flow,
        purpose=routing.purpose,
        occurred_at=event.occurredat or event.time,
        published_at=event.time,
        record=view,
        delivery=hashlib.sha256(record.value or b"").hexdigest(),
        position=Position(record.partition, record.offset),
        correlation_id=event.correlationid,
        retracts_id=event.retractsid,
    )


def _unopened(record: Record, code: str) -> Unopened:
    return Unopened(
        position=Position(record.partition, record.offset),
        code=code,
        event_id=_claimed_id(record.headers),
        headers=tuple(record.headers),
        sealed=record.value,
    )


def _claimed_id(headers: Sequence[tuple[str, bytes]]) -> str | None:
    """Return the event id that the headers claim, if it could be one."""
    for name, value in headers:
        if name == _ID_HEADER and len(value) == _ID_CHARACTERS and value.isascii():
            return value.decode("ascii")
    return None
