"""A router in small: a scheme in which one flow permits, and records as publishers make them.

Nothing is stored: records are built in memory, sealed and signed as a publisher does
it, and routed in one call. A test says only what is different about its record; what
is changed before signing comes from a publisher with a true key, what is changed
after (``record._replace``) from somebody on the way.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from typing import Any
from uuid import UUID

import cbor2
from deciding_world import (
    A_PLACEMENT,
    COUNCIL,
    HEALTH,
    NOON,
    PLACEMENT,
    SCHOOL,
    an_agreement,
    encode,
    key_of,
)
from deciding_world import World as Documents

from agreements.candidates import to_us
from broker.control import Snapshot
from broker.keyring import Keyring
from broker.recording import read_decision
from broker.routing import DECISIONS, QUARANTINE, REVIEW, Routed, Router
from connectors.streams import DEFAULT_MAX_RECORD_BYTES, Batch, Outgoing, Record
from schemas.catalogue import Catalogue, shipped
from schemas.events import Event, read_envelope
from schemas.framing import frame
from schemas.keys import SealingKey, SigningKey, Suite
from schemas.sealing import Binding, Opener, Sealer, bound_headers
from schemas.signing import Entry, new_salt, sign_batch

NOON_MS = to_us(NOON) // 1000
TOPIC = f"events.{COUNCIL}"
SUBJECT_KEY = b"the same subject"
MARK = "ZZ-marked-ZZ"
"""A text that occurs in no name of ours: what is clear of it was not copied from a record."""


@cache
def broker_keys() -> Keyring:
    """Return the broker's keys: X25519, since its keys are not what is tested here."""
    return Keyring.generate(Suite.X25519)


@cache
def sealing_key(party: str) -> SealingKey:
    """Return the key that deliveries to a party are sealed to."""
    del party
    return SealingKey.generate(Suite.X25519)


def a_scheme_of(
    documents: Mapping[str, Any] | None = None,
    *,
    parties: Iterable[str] = (COUNCIL, HEALTH, SCHOOL),
) -> Documents:
    """Build the control documents of a scheme, its parties with sealing keys."""
    world = Documents()
    for party in parties:
        world.party(party, sealing_keys=[sealing_key(party).public.to_jwk()])
    world.agree(documents or an_agreement())
    return world


@dataclass
class RoutingWorld:
    """A router with rules, and what it takes to make records for it."""

    documents: Documents = field(default_factory=a_scheme_of)
    catalogue: Catalogue = field(default_factory=shipped)
    max_record_bytes: int = DEFAULT_MAX_RECORD_BYTES

    def __post_init__(self) -> None:
        self.keys = broker_keys()
        self.router = self.a_router()
        self.snapshot = Snapshot(self.documents.rules(), 7)
        self._numbers = count(1)
        self._sealers: dict[tuple[bytes, str], Sealer] = {}

    def a_router(self) -> Router:
        """Build a router that has accepted nothing yet."""
        return Router(self.keys, self.catalogue, max_record_bytes=self.max_record_bytes)

    # -- what publishers make ---------------------------------------------------------

    def record(self, **how: Any) -> Record:
        """Build one record, signed by itself."""
        return self.records([how])[0]

    def records(self, hows: Sequence[Mapping[str, Any]]) -> list[Record]:
        """Build the records of one signed batch; each from what is different about it."""
        return [
            self.seal(plaintext, entry.topic, entry.headers, key=entry.key, sealer=sealer)
            for plaintext, entry, sealer in self.signed(hows)
        ]

    def signed(self, hows: Sequence[Mapping[str, Any]]) -> list[tuple[bytes, Entry, SigningKey]]:
        """Sign a batch and seal nothing yet: plaintexts, what they are of, who is to seal them."""
        drafts = [self._draft(**how) for how in hows]
        entries = [draft.entry for draft in drafts]
        first = drafts[0]
        signed = sign_batch(first.signer, first.signed_as, entries, signed_at_ms=NOON_MS)
        return [
            (plaintext, draft.entry, draft.sealed_by)
            for plaintext, draft in zip(signed, drafts, strict=True)
        ]

    def seal(
        self,
        plaintext: bytes,
        topic: str,
        headers: Sequence[tuple[str, bytes]],
        *,
        key: bytes | None = None,
        sealer: SigningKey | None = None,
    ) -> Record:
        """Seal any plaintext to the broker, bound to what the headers say."""
        said = {name: value.decode(errors="replace") for name, value in headers}
        binding = Binding(
            "broker", topic, said.get("ce_id", ""), said.get("ce_type", ""),
            said.get("ce_dataschema", ""),
        )  # fmt: skip
        offset, key = next(self._numbers), SUBJECT_KEY if key is None else key
        value = self._sealer(sealer or key_of(COUNCIL)).seal(plaintext, binding.to_aad())
        return Record(topic, 0, offset, NOON_MS, key, value, headers)

    def _sealer(self, sender: SigningKey) -> Sealer:
        public = self.keys.sealing[0].public
        return self._sealers.setdefault(
            (sender.public.raw, public.kid), Sealer(sender, "broker", public)
        )

    def _draft(  # noqa: PLR0913  what may be different about a record, by name
        self,
        *,
        publisher: str = COUNCIL,
        topic: str | None = None,
        key: bytes | None = None,
        event_type: str = PLACEMENT,
        event_id: str | None = None,
        record: Mapping[str, Any] | None = None,
        body: bytes | None = None,
        payload: bytes | None = None,
        headers: Mapping[str, bytes | None] | None = None,
        signer: SigningKey | None = None,
        signed_as: str | None = None,
        sealed_by: SigningKey | None = None,
        **fields: Any,
    ) -> "_Draft":
        kind = self.catalogue.latest(event_type)
        if body is None:
            body = encode(kind.schema, dict(record or A_PLACEMENT) | fields)
        envelope = Event.of(
            id=event_id or str(UUID(int=next(self._numbers), version=4)),
            publisher=publisher,
            type=event_type,
            time=NOON,
            fingerprint=kind.fingerprint,
            occurredat=NOON,
        )
        said: dict[str, bytes | None] = dict(envelope.to_headers()) | dict(headers or {})
        entry = Entry(
            topic or f"events.{publisher}",
            SUBJECT_KEY if key is None else key,
            [(name, value) for name, value in said.items() if value is not None],
            frame(kind.fingerprint, body) if payload is None else payload,
            new_salt(),
        )
        key = signer or key_of(publisher)
        return _Draft(entry, key, signed_as or publisher, sealed_by or key)

    # -- what becomes of it -----------------------------------------------------------

    def route(self, *records: Record, at_ms: int = NOON_MS, partitions: int = 1) -> Routed:
        """Route records as one batch of a topic with so many partitions."""
        first = records[0]
        batch = Batch(first.topic, first.partition, records, records[-1].offset + 1, 1)
        return self.router.route(batch, self.snapshot, at_ms=at_ms, partitions=partitions)

    def quarantined(self, *records: Record) -> list[str]:
        """Route records and return the reasons of those that went to quarantine, in order."""
        return [reason_of(out) for out in on(QUARANTINE, self.route(*records))]

    def open_copy(self, copy: Outgoing) -> Record:
        """Open a copy in quarantine or review with the broker's key: the record as it came."""
        place = dict(copy.headers)["place"].decode()
        topic, partition, offset = place.rsplit("/", 2)
        sender = self.keys.signing[0].public
        opener = Opener(self.keys.sealing, {sender.kid: sender}.get)
        binding = Binding("broker", copy.topic, place, "", "")
        timestamp_ms, key, value, headers = cbor2.loads(
            opener.open(copy.value or b"", binding.to_aad())
        )
        pairs = [(name, text) for name, text in headers]
        return Record(topic, int(partition), int(offset), timestamp_ms, key, value, pairs)

    def open_delivery(self, delivery: Outgoing, party: str) -> bytes:
        """Open a delivery as its recipient does; returns the framed view."""
        said = {name: value.decode() for name, value in delivery.headers}
        event = read_envelope([pair for pair in delivery.headers if pair[0] not in _FLOW_HEADERS])
        binding = Binding(
            party, delivery.topic, event.id, event.type, said["ce_dataschema"],
            said["ce_agreementid"], int(said["ce_agreementversion"]), said["ce_flowid"],
            bound_headers(delivery.headers),
        )  # fmt: skip
        sender = self.keys.signing[0].public
        opener = Opener([sealing_key(party)], {sender.kid: sender}.get)
        return opener.open(delivery.value or b"", binding.to_aad())


_FLOW_HEADERS = frozenset({"ce_agreementid", "ce_agreementversion", "ce_flowid", "ce_purpose"})


@dataclass(frozen=True, slots=True)
class _Draft:
    entry: Entry
    signer: SigningKey
    signed_as: str
    sealed_by: SigningKey


def on(topic: str, routed: Routed) -> list[Outgoing]:
    """Return what goes out to one topic."""
    return [out for out in routed.outgoing if out.topic == topic]


def reason_of(copy: Outgoing) -> str:
    """Return why a record is in quarantine."""
    return dict(copy.headers)["reason"].decode()


def deliveries(routed: Routed) -> list[Outgoing]:
    """Return what goes out to recipients."""
    return [out for out in routed.outgoing if out.topic.startswith("deliveries.")]


def decisions(routed: Routed) -> list[dict[str, Any]]:
    """Return the decision records, decoded."""
    return [read_decision(out.value or b"") for out in on(DECISIONS, routed)]


def reviews(routed: Routed) -> list[Outgoing]:
    """Return what goes before a person."""
    return on(REVIEW, routed)


def in_clear(routed: Routed, *texts: str | bytes) -> list[str]:
    """Return where any of these texts can be read in what goes out."""
    needles = [text.encode() if isinstance(text, str) else text for text in texts]
    places: list[str] = []
    for out in routed.outgoing:
        parts: list[tuple[str, bytes]] = [("key", out.key or b""), ("value", out.value or b"")]
        parts += [(f"header {name!r}", name.encode() + b"=" + value) for name, value in out.headers]
        places += [f"{out.topic} {part}" for part, data in parts if any(n in data for n in needles)]
    return places


Change = Callable[[Record], Record]


def with_headers(**changes: bytes | None) -> Change:
    """Return a change of headers on the way: a new value, or None to leave one out."""
    named = {name.replace("__", "-"): value for name, value in changes.items()}

    def change(record: Record) -> Record:
        said: dict[str, bytes | None] = dict(record.headers) | named
        return record._replace(headers=[(n, v) for n, v in said.items() if v is not None])

    return change
