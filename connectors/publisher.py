"""Publish events: encode, name, sign, seal to the broker, append.

An event's id and record key are seen by whoever sees the topic, so both are
made with a secret of the publisher: nobody else can tell from them what the
event is about, and the publisher itself makes the same ones again. A source
may therefore be read again from the start: what it repeats has the id that it
had, and is decided once.

The private key and the record in clear never leave this side.
"""

import base64
import hashlib
import hmac
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple
from uuid import UUID, uuid5

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from connectors.counting import Ledger
from connectors.encoding import RecordEncoder
from connectors.prepared import PreparedEvent
from connectors.streams import Outgoing, Streams
from schemas.catalogue import Catalogue, EventType
from schemas.control import BROKER
from schemas.counting import Counted, Side, published_element
from schemas.errors import RejectedInput
from schemas.events import Event, Headers, dataschema_of, format_time
from schemas.framing import frame
from schemas.identifiers import canonical
from schemas.keys import SealingPublicKey, SigningKey
from schemas.sealing import BindingTemplate, Sealer
from schemas.signing import Entry, new_salt, sign_batch
from schemas.times import microseconds

DEFAULT_BATCH_EVENTS: Final = 500
"""Events under one signature and in one append: a verified root costs a tenth of them."""

BATCH_BYTES: Final = 2 * 1024 * 1024
"""Bytes of payload after which a batch is closed, so that memory stays bounded."""

_OVERHEAD_BYTES: Final = 16_384
"""More than headers, signature, path and wrapped key take on top of a payload."""

_RECORD_KEY_BYTES: Final = 16

OnRejected = Callable[[PreparedEvent, RejectedInput], None]
"""Called with an event that cannot be published, and why; the others go on."""


class EventTooLarge(RejectedInput):
    """An event's payload is larger than a record of the streams may be."""

    code = "event-too-large"


@dataclass(frozen=True, slots=True)
class Published:
    """How many events were appended, and their ids in the order of the events."""

    count: int
    ids: tuple[str, ...]


class _Encoded(NamedTuple):
    """An event with everything that does not depend on the batch it goes in."""

    event_id: str
    event_type: str
    record_key: bytes
    payload: bytes
    headers: Headers
    aad: bytes


class Publisher:
    """Publishes the events of one party to ``events.<party>``.

    ``broker_key`` is the broker's, from a party document that the scheme key
    signed (:func:`connectors.trust.read_broker`). ``identity_secret`` keeps ids
    the same over a change of the signing key; by default it follows from that key.
    What is signed is counted in ``ledger``, before it is appended.
    """

    def __init__(  # noqa: PLR0913  the parts that a publisher is made of, by name
        self,
        party: str,
        *,
        signing_key: SigningKey,
        broker_key: SealingPublicKey,
        catalogue: Catalogue,
        streams: Streams,
        identity_secret: bytes | None = None,
        ledger: Ledger | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        batch_events: int = DEFAULT_BATCH_EVENTS,
    ) -> None:
        if batch_events < 1:
            raise ValueError(f"expected at least one event in a batch, got {batch_events}")
        self.party = party
        self.topic = f"events.{party}"
        self._signing_key = signing_key
        self._catalogue = catalogue
        self._streams = streams
        self._clock = clock
        self._ledger = ledger
        self._batch_events = batch_events
        self._names = Names(identity_secret or identity_secret_of(signing_key))
        self._sealer = Sealer(signing_key, BROKER, broker_key)
        self._types: dict[str, tuple[EventType, RecordEncoder, BindingTemplate]] = {}

    async def publish(
        self, events: Iterable[PreparedEvent], *, on_rejected: OnRejected | None = None
    ) -> Published:
        """Append the events, in batches; each batch is appended whole or not at all.

        Raises:
            RejectedInput: an event does not fit its type, and there is no
                ``on_rejected``. The batches before its own have been appended.
            StreamsUnavailable: try again: what was appended has the same ids.
        """
        ids: list[str] = []
        async for batch in self.publish_batches(events, on_rejected=on_rejected):
            ids.extend(batch)
        return Published(len(ids), tuple(ids))

    async def publish_batches(
        self, events: Iterable[PreparedEvent], *, on_rejected: OnRejected | None = None
    ) -> AsyncIterator[tuple[str, ...]]:
        """As :meth:`publish`, giving the ids of each batch once it is appended.

        For sources without end: nothing of a batch is kept after it is given.
        """
        batch: list[_Encoded] = []
        size_bytes = 0
        for event in events:
            try:
                encoded = self._encode(event)
            except RejectedInput as problem:
                if on_rejected is None:
                    raise
                on_rejected(event, problem)
                continue
            batch.append(encoded)
            size_bytes += len(encoded.payload)
            if len(batch) >= self._batch_events or size_bytes >= BATCH_BYTES:
                yield await self._append(batch)
                batch, size_bytes = [], 0
        if batch:
            yield await self._append(batch)

    def event_id(self, event: PreparedEvent) -> str:
        """Return the id that the event has, published or not. Raises as :meth:`publish`."""
        return self._encode(event).event_id

    def seal(self, events: Iterable[PreparedEvent]) -> list[Outgoing]:
        """Return one batch as records to append, signed and sealed, without appending it."""
        return self._seal([self._encode(event) for event in events])

    async def _append(self, batch: list[_Encoded]) -> tuple[str, ...]:
        await self._streams.append(self._seal(batch))
        return tuple(encoded.event_id for encoded in batch)

    def _encode(self, event: PreparedEvent) -> _Encoded:
        event_type, encoder, binding = self._type(event.event_type)
        payload = frame(event_type.fingerprint, encoder.encode(event.record))
        if len(payload) > self._streams.max_record_bytes - _OVERHEAD_BYTES:
            raise EventTooLarge(
                f"a {event.event_type} has {len(payload)} bytes, more than a record may have"
            )
        retracts = event.retracts
        retracts_id = self.event_id(retracts) if isinstance(retracts, PreparedEvent) else retracts
        event_id = self._names.event_id(event.event_type, event.natural_key, payload, retracts_id)
        # The time of publishing is set when the batch is sealed: until then, that of the event.
        headers = Event.of(
            id=event_id,
            publisher=self.party,
            type=event.event_type,
            time=event.occurred_at,
            fingerprint=event_type.fingerprint,
            occurredat=event.occurred_at,
            sequence=event.sequence,
            correlationid=event.correlation_id,
            causationid=event.causation_id,
            retractsid=retracts_id,
            classification=event.classification,
        ).to_headers()
        key = self._names.record_key(event_type, event)
        aad = binding.aad(event_id)
        return _Encoded(event_id, event.event_type, key, payload, headers, aad)

    def _seal(self, batch: list[_Encoded]) -> list[Outgoing]:
        now = self._clock()
        told = ("ce_time", format_time(now))
        entries = [
            Entry(
                self.topic,
                encoded.record_key,
                [told if header[0] == "ce_time" else header for header in encoded.headers],
                encoded.payload,
                new_salt(),
            )
            for encoded in batch
        ]
        signed_at_ms = int(now.timestamp() * 1000)
        plaintexts = sign_batch(self._signing_key, self.party, entries, signed_at_ms=signed_at_ms)
        if self._ledger is not None:
            time_ms = microseconds(now) // 1000  # as it stands in ce_time
            self._ledger.add(
                Side.PUBLISHED,
                [
                    Counted(published_element(one.event_id), one.event_type, time_ms)
                    for one in batch
                ],
            )
        return [
            Outgoing(
                self.topic,
                entry.key,
                self._sealer.seal(plaintext, encoded.aad),
                entry.headers,
            )
            for encoded, entry, plaintext in zip(batch, entries, plaintexts, strict=True)
        ]

    def _type(self, name: str) -> tuple[EventType, RecordEncoder, BindingTemplate]:
        known = self._types.get(name)
        if known is None:
            event_type = self._catalogue.latest(name)
            dataschema = dataschema_of(event_type.fingerprint)
            binding = BindingTemplate(BROKER, self.topic, name, dataschema)
            known = (event_type, RecordEncoder(event_type.schema), binding)
            self._types[name] = known
        return known


def identity_secret_of(key: SigningKey) -> bytes:
    """Derive the secret behind ids and record keys from a signing key (HKDF, RFC 5869)."""
    private = key.to_private_jwk()["d"]
    raw = base64.urlsafe_b64decode(private + "=" * (-len(private) % 4))
    return _derive(raw, b"concordat-identity-v1")


class Names:
    """What a publisher calls events and subjects where others can see it."""

    def __init__(self, secret: bytes) -> None:
        self._namespace = UUID(bytes=_derive(secret, b"concordat-event-id-v1")[:16])
        self._record_keys = _derive(secret, b"concordat-record-key-v1")

    def event_id(
        self, event_type: str, natural_key: str, payload: bytes, retracts_id: str | None
    ) -> str:
        """Return the UUIDv5 of what makes the event this one, under the secret namespace.

        A correction has another payload and so another id; a retraction is never
        the event that it retracts.
        """
        digest = hashlib.sha256(payload).hexdigest()
        # The length keeps one text from running into the next.
        name = f"{event_type}|{len(natural_key)}|{natural_key}|{digest}|{retracts_id or ''}"
        return str(uuid5(self._namespace, name))

    def record_key(self, event_type: EventType, event: PreparedEvent) -> bytes:
        """Return the key that keeps one subject's events in order: 16 bytes of HMAC-SHA256.

        Of the identifier of whom the event is about, however it was written.
        """
        field = event_type.primary
        identifier = canonical(field.identifier or "", str(_at(event.record, field.path)))
        text = f"{field.identifier}|{identifier}"
        return hmac.digest(self._record_keys, text.encode(), "sha256")[:_RECORD_KEY_BYTES]


def _at(record: Mapping[str, Any], path: str) -> Any:
    """Return the value at a dotted path, None where there is none."""
    value: Any = record
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _derive(secret: bytes, info: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(secret)
