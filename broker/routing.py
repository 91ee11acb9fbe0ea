"""Route a batch: open, verify, decode, decide, minimise, seal, record.

Records and a snapshot of the rules in, outgoing records out; no I/O, no
``await``, and no clock but the time passed in. What fails is the sender's to
mend and goes to ``quarantine``, sealed, with a reason: the stream never stops.

What each event goes through, in this order:

1. its size and its envelope;
2. opening: the binding of recipient, topic, id, type and schema holds;
3. the publisher's signature over headers and payload;
4. the writer's schema, and a scan that checks every byte of the payload;
5. the subject's identifiers;
6. whether it has been accepted before;
7. a decision for every candidate: one flow to one recipient;
8. for each permit, a view, cut and sealed; for each review, a copy for a person;
9. one decision record that tells all of it.
"""

import hmac
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import ClassVar, Final, NamedTuple

import cbor2

from agreements.deciding import NO_CANDIDATE, Deny, Permit, Review, decide
from agreements.opened import OpenedEvent
from agreements.rules import Rules
from broker.accepted import AcceptedIds, record_of, short_id
from broker.control import Snapshot
from broker.delivering import DELIVERIES, Deliveries
from broker.keyring import Keyring
from broker.recording import (
    NO_CLAUSE,
    batch_part,
    candidates_part,
    event_part,
    refused,
    sender_part,
)
from broker.subjects import Subjects
from connectors.streams import Batch, Outgoing, Record
from schemas.catalogue import Catalogue, EventType
from schemas.control import BROKER
from schemas.errors import RejectedInput
from schemas.events import Envelope, check_times, dataschema_of, read_envelope
from schemas.framing import unframe
from schemas.keys import VerifyingKey
from schemas.sealing import Binding, BindingTemplate, Opener, Sealer
from schemas.signing import Verified, Verifier

EVENTS: Final = "events."
DECISIONS: Final = "decisions"
REVIEW: Final = "review"
QUARANTINE: Final = "quarantine"
TOPICS: Final = (DECISIONS, REVIEW, QUARANTINE)

RECORD_KEY_BYTES: Final = 16
"""Of an event: a keyed hash of its subject. Nothing longer or shorter is carried along."""

ROOM_BYTES: Final = 64 * 1024
"""What an event must leave below the streams' limit for a record: a sealed copy is
larger than what it holds, and so may a view be whose transforms lengthen a value."""
_LATEST_AHEAD_MS: Final = timedelta(hours=24) // timedelta(milliseconds=1)
_KEPT_BINDINGS: Final = 4096


class Replayed(RejectedInput):
    """This publisher's event has been accepted before."""

    code: ClassVar[str] = "replayed"


class BadRecord(RejectedInput):
    """The record around the event has no value, no key of the agreed length or no possible time."""

    code: ClassVar[str] = "bad-record"


class TooLarge(RejectedInput):
    """The event, or what would become of it, is too large to be handed on."""

    code: ClassVar[str] = "too-large"


class Disagrees(RejectedInput):
    """Headers, topic and payload do not tell the same."""

    code: ClassVar[str] = "headers-disagree"


@dataclass(slots=True)
class Routed:
    """What a batch became: what goes out, the short ids of what was accepted, and counts.

    ``tally`` has ``accepted``, ``permit``, ``deny:<reason>``, ``review:<reason>``
    (one for each candidate) and ``quarantine:<reason>``.
    """

    outgoing: list[Outgoing] = field(default_factory=list)
    accepted: list[bytes] = field(default_factory=list)
    tally: Counter[str] = field(default_factory=Counter)


class Accepted(NamedTuple):
    """An event that opened, verified, decoded and is about somebody."""

    envelope: Envelope
    verified: Verified
    opened: OpenedEvent


class Router:
    """Routes batches. Holds keys and caches, and what has been accepted; nothing else."""

    def __init__(
        self,
        keys: Keyring,
        catalogue: Catalogue,
        *,
        max_record_bytes: int,
        accepted: AcceptedIds | None = None,
    ) -> None:
        self.accepted = accepted if accepted is not None else AcceptedIds()
        self._catalogue = catalogue
        self._most_bytes = max_record_bytes - ROOM_BYTES
        self._most_outgoing_bytes = max_record_bytes - ROOM_BYTES // 2  # its headers need room
        self._quarantine_key = keys.derive("quarantine-key")
        self._subjects = Subjects(keys.derive("audit"))
        self._deliveries = Deliveries(keys)
        self._own = Sealer(keys.signing[0], BROKER, keys.sealing[0].public)
        self._rules: Rules | None = None
        self._verifying: dict[str, Mapping[str, VerifyingKey]] = {}
        self._registries: dict[str, Mapping[int, bytes]] = {}
        self._publisher = ""
        self._verifier = Verifier(self._key_of)
        self._opener = Opener(keys.sealing, lambda kid: self._key_of(self._publisher, kid))
        self._bindings: dict[tuple[str, str, bytes], BindingTemplate] = {}

    def route(self, batch: Batch, snapshot: Snapshot, *, at_ms: int) -> Routed:
        """Route one partition's batch at ``at_ms`` (milliseconds since the epoch, UTC)."""
        self.take(snapshot.rules)
        routed = Routed()
        context = _Context(
            snapshot.rules,
            at_ms * 1000,
            batch_part(batch.topic, batch.partition, decided_at_ms=at_ms, rules=snapshot.position),
            routed.tally,
        )
        for record in batch.records:
            short = b""
            try:
                accepted = self.open(record, at_us=context.at_us)
                short = self._claim(record, accepted)
                outgoing, outcomes = self._decide(record, accepted, context)
            except Exception as error:  # noqa: BLE001  whatever a record triggers, the stream goes on
                if short:
                    self.accepted.release([short])
                routed.outgoing.append(self._quarantine(record, _code_of(error), context))
            else:
                routed.outgoing += outgoing
                for outcome in outcomes:
                    routed.tally[outcome] += 1
                routed.accepted.append(short)
        routed.tally["accepted"] += len(routed.accepted)
        if routed.accepted:
            routed.outgoing.append(record_of(batch.topic, batch.partition, routed.accepted))
        return routed

    def take(self, rules: Rules) -> None:
        """Go by these rules and these parties' keys from here on."""
        if rules is self._rules:
            return
        self._rules = rules
        self._deliveries.take(rules)
        publishers = [party for party in rules.parties.values() if "publisher" in party.roles]
        self._registries = {party.id: party.registry() for party in publishers}
        self._verifying = {
            party.id: {key.kid: key for key in party.verifying_keys()} for party in publishers
        }

    def open(self, record: Record, *, at_us: int) -> Accepted:
        """Open, verify, decode and check one event (steps 1 to 5).

        Raises:
            RejectedInput: with the code that it goes to quarantine under.

        """
        value, key = record.value, record.key
        if value is None or key is None or len(key) != RECORD_KEY_BYTES:
            raise BadRecord(f"expected a sealed event under a key of {RECORD_KEY_BYTES} bytes")
        # On Kafka a record's own time is the publisher's to write, and it goes into evidence.
        if not 0 <= record.timestamp_ms <= at_us // 1000 + _LATEST_AHEAD_MS:
            raise BadRecord("expected a record that was appended between 1970 and tomorrow")
        if len(value) > self._most_bytes:
            raise TooLarge("expected a sealed event below the streams' limit for a record")
        publisher = self._publisher = record.topic.removeprefix(EVENTS)
        envelope = read_envelope(record.headers)
        if envelope.publisher != publisher:
            raise Disagrees("expected events of the topic's own publisher")
        check_times(envelope, now=at_us)
        plaintext = self._opener.open(value, self._binding(record.topic, envelope).aad(envelope.id))
        verified = self._verifier.verify(publisher, record.topic, record.headers, plaintext)
        payload = verified.payload
        event_type, start = self._event_type(envelope, payload)
        offsets = event_type.scanner.scan(payload, start)
        subjects = self._subjects.of(publisher, event_type, payload, offsets=offsets)
        opened = OpenedEvent(
            publisher,
            event_type,
            payload,
            offsets,
            envelope.occurred_at_us,
            record.timestamp_ms * 1000,
            subjects,
        )
        return Accepted(envelope, verified, opened)

    def _key_of(self, publisher: str, kid: str) -> VerifyingKey | None:
        keys = self._verifying.get(publisher)
        return None if keys is None else keys.get(kid)

    def _event_type(self, envelope: Envelope, payload: bytes) -> tuple[EventType, int]:
        fingerprint, start = unframe(payload, self._registries.get(envelope.publisher) or None)
        if fingerprint != envelope.fingerprint:
            raise Disagrees("expected the schema that the headers name")
        event_type = self._catalogue.by_fingerprint(fingerprint)
        if event_type.name != envelope.type:
            raise Disagrees("expected a schema of the event type that the headers name")
        return event_type, start

    def _binding(self, topic: str, envelope: Envelope) -> BindingTemplate:
        key = (topic, envelope.type, envelope.fingerprint)
        template = self._bindings.get(key)
        if template is None:
            if len(self._bindings) >= _KEPT_BINDINGS:
                self._bindings.clear()
            template = BindingTemplate(
                BROKER, topic, envelope.type, dataschema_of(envelope.fingerprint)
            )
            self._bindings[key] = template
        return template

    def _claim(self, record: Record, accepted: Accepted) -> bytes:
        short = short_id(accepted.opened.publisher, accepted.envelope.id.encode())
        if not self.accepted.claim(short):
            raise Replayed(f"{record.topic}/{record.partition}/{record.offset} was accepted before")
        return short

    def _decide(
        self, record: Record, accepted: Accepted, context: "_Context"
    ) -> tuple[list[Outgoing], list[str]]:
        """Decide for every candidate.

        Returns deliveries, reviews and the decision record, and what to count.
        """
        envelope, verified, opened = accepted
        candidates = context.rules.candidates(opened.publisher, opened.type.name)
        outgoing: list[Outgoing] = []
        told: list[bytes] = []
        outcomes: list[str] = []
        for candidate in candidates:
            decision = decide(opened, candidate, at=context.at_us)
            if isinstance(decision, Permit):
                delivery, part = self._deliveries.deliver(
                    record, envelope, decision, subject=opened.subjects[0]
                )
                outgoing.append(delivery)
                told.append(part)
                outcomes.append("permit")
                continue
            if isinstance(decision, Review):
                outgoing.append(self._to_review(record, envelope, decision))
            self._refuse(decision, told, outcomes)
        if not candidates:
            self._refuse(NO_CANDIDATE, told, outcomes)
        value = b"".join(
            (
                sender_part(envelope.type, opened.type.fingerprint, opened.publisher, verified.kid),
                context.batch_part,
                event_part(
                    record.offset,
                    envelope.id.encode(),
                    envelope.occurred_at_us // 1000,
                    envelope.time_us // 1000,
                    record.timestamp_ms,
                    verified.leaf,
                    opened.subjects,
                ),
                candidates_part(told),
            )
        )
        outgoing.append(Outgoing(DECISIONS, record.key, value))
        for out in outgoing:
            if out.value is not None and len(out.value) > self._most_outgoing_bytes:
                raise TooLarge("expected what goes out below the streams' limit for a record")
        return outgoing, outcomes

    def _refuse(self, decision: Deny | Review, told: list[bytes], outcomes: list[str]) -> None:
        candidate = decision.candidate
        clause = NO_CLAUSE if candidate is None else self._deliveries.clause(candidate)
        if isinstance(decision, Review):
            outcome, withheld = "review", decision.withheld
        else:
            outcome, withheld = "deny", ()
        outcomes.append(f"{outcome}:{decision.reason}")
        told.append(refused(outcome, decision.reason, decision.detail, clause, withheld))

    def _to_review(self, record: Record, envelope: Envelope, decision: Review) -> Outgoing:
        """Put the event before a person, sealed to the broker, with what it waits for."""
        candidate = decision.candidate
        headers = [
            ("place", _place(record).encode()),
            ("event", envelope.id.encode()),
            ("recipient", candidate.recipient.encode()),
            ("agreement", candidate.agreement_id.encode()),
            ("version", str(candidate.version).encode()),
            ("flow", candidate.flow.id.encode()),
            ("reason", decision.reason.encode()),
            ("detail", decision.detail.encode()),
        ]
        return Outgoing(REVIEW, record.key, self._seal_copy(REVIEW, record), headers)

    def _quarantine(self, record: Record, code: str, context: "_Context") -> Outgoing:
        """Keep what could not be accepted, whole and sealed; nothing of it is in clear.

        The headers of a hostile record may hold anything, so they are inside the seal.
        What is too large for a copy is kept by its place alone.
        """
        context.tally[f"quarantine:{code}"] += 1
        place = _place(record)
        # Whatever stands in a key that is not of ours: a plain hash of it could be guessed.
        key = hmac.digest(self._quarantine_key, record.key or place.encode(), "sha256")
        key = key[:RECORD_KEY_BYTES]
        is_kept = _size(record) <= self._most_bytes
        sealed = self._seal_copy(QUARANTINE, record) if is_kept else None
        return Outgoing(
            QUARANTINE, key, sealed, [("reason", code.encode()), ("place", place.encode())]
        )

    def _seal_copy(self, topic: str, record: Record) -> bytes:
        binding = Binding(BROKER, topic, _place(record), "", "")
        copy = cbor2.dumps(
            [record.timestamp_ms, record.key, record.value, [list(pair) for pair in record.headers]]
        )
        return self._own.seal(copy, binding.to_aad())


@dataclass(frozen=True, slots=True)
class _Context:
    """What all records of a batch are routed under."""

    rules: Rules
    at_us: int
    batch_part: bytes
    tally: Counter[str]


def _code_of(error: Exception) -> str:
    return error.code if isinstance(error, RejectedInput) else f"unexpected-{type(error).__name__}"


def _place(record: Record) -> str:
    return f"{record.topic}/{record.partition}/{record.offset}"


def _size(record: Record) -> int:
    """Bytes of key, value and headers."""
    # Kafka lets a header have no value.
    headers = sum(len(name) + len(value or b"") for name, value in record.headers)
    return len(record.key or b"") + len(record.value or b"") + headers


__all__ = ["DECISIONS", "DELIVERIES", "EVENTS", "QUARANTINE", "REVIEW", "Routed", "Router"]
