"""Route a batch: open, verify, decode, decide, minimise, seal, record.

Records and a snapshot of the rules in, outgoing records out; no I/O, no
``await``, and no clock but the time passed in. What fails is the sender's to
mend and goes to ``quarantine``, sealed, with a reason: the stream never stops.

What each event goes through, in this order:

1. its place, its size and its envelope;
2. opening: the binding of recipient, topic, id, type and schema holds;
3. the publisher's signature over key, headers and payload;
4. the writer's schema, and a scan that checks every byte of the payload;
5. the subject's identifiers;
6. a decision for every candidate: one flow to one recipient;
7. for each permit, a view, cut and sealed (what fails here is a refusal to that recipient
   alone); for each review, a copy for a person; for each hold, a copy that waits for the
   suspension to end (`settling`);
8. one decision record that tells all of it; if the event takes an earlier one back, a copy
   of it for whoever tells those who had that (`retracting`);
9. whether it has been accepted before: if so, nothing of all this goes out.

A few dozen events take each step together (`broker.opening` says why, and has the
first five); what becomes of one never depends on the others but for the last.
"""

import hmac
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar, Final, Self

from agreements.deciding import NO_CANDIDATE, Deny, Hold, Permit, Refusal, Review, decide
from agreements.rules import Rules
from broker.accepted import AcceptedIds, record_of, short_id
from broker.control import Snapshot
from broker.delivering import DELIVERIES, Deliveries
from broker.holding import Copies, pack, place_of
from broker.keyring import Keyring
from broker.opening import (
    EVENTS,
    RECORD_KEY_BYTES,
    Accepted,
    InHand,
    Opening,
    TooLarge,
    taken,
)
from broker.recording import (
    FIRST_DECISION,
    NO_CLAUSE,
    batch_part,
    candidates_part,
    event_part,
    refused,
    sender_part,
)
from broker.retraction import RetractionCopies
from connectors.streams import Batch, Outgoing, Record
from schemas.catalogue import Catalogue
from schemas.control import BROKER
from schemas.errors import RejectedInput
from schemas.events import Envelope
from schemas.sealing import Binding, Sealer

DECISIONS: Final = "decisions"
REVIEW: Final = "review"
QUARANTINE: Final = "quarantine"

ROOM_BYTES: Final = 64 * 1024
"""What an event must leave below the streams' limit for a record: a sealed copy is
larger than what it holds, and so may a view be whose transforms lengthen a value."""

_OUTCOMES: Final = {Deny: "deny", Review: "review", Hold: "hold"}

_TOGETHER: Final = 64
"""Events that are taken through one step before the next: what they hold, some 300 KB,
stays in a processor's cache as the code does."""


class Replayed(RejectedInput):
    """This publisher's event has been accepted before."""

    code: ClassVar[str] = "replayed"


@dataclass(slots=True)
class Routed:
    """What a batch became: what goes out, the short ids of what was accepted, and counts.

    ``tally`` has ``accepted``, ``permit``, ``deny:<reason>``, ``review:<reason>``,
    ``hold:<reason>`` (one for each candidate) and ``quarantine:<reason>``.
    """

    outgoing: list[Outgoing] = field(default_factory=list)
    accepted: list[bytes] = field(default_factory=list)
    tally: Counter[str] = field(default_factory=Counter)


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
        self._most_bytes = max_record_bytes - ROOM_BYTES
        self._most_outgoing_bytes = max_record_bytes - ROOM_BYTES // 2  # its headers need room
        self._quarantine_key = keys.derive("quarantine-key")
        self._opening = Opening(keys, catalogue, most_bytes=self._most_bytes)
        self._deliveries = Deliveries(keys)
        self._own = Sealer(keys.signing[0], BROKER, keys.sealing[0].public)
        self.copies = Copies(keys, self._own)
        self.retractions = RetractionCopies(keys, self._own)
        self._rules: Rules | None = None

    def route(
        self, batch: Batch, snapshot: Snapshot, *, at_ms: int, partitions: int | None
    ) -> Routed:
        """Route one partition's batch at ``at_ms`` (milliseconds since the epoch, UTC).

        ``partitions`` is how many the batch's topic has: a record that lies in another one
        than its key gives is refused. None is only for events that were accepted before,
        to see again what became of them: the topic may have more partitions by now.
        """
        self.take(snapshot.rules)
        self._opening.begin(batch.topic, at_us=at_ms * 1000, partitions=partitions)
        routed = Routed()
        context = Context.of(batch.topic, batch.partition, snapshot, at_ms=at_ms)
        for start in range(0, len(batch.records), _TOGETHER):
            self._route(batch.records[start : start + _TOGETHER], context, routed)
        routed.tally["accepted"] += len(routed.accepted)
        if routed.accepted:
            routed.outgoing.append(record_of(batch.topic, batch.partition, routed.accepted))
        return routed

    def take(self, rules: Rules) -> None:
        """Go by these rules and these parties' keys from here on."""
        if rules is not self._rules:
            self._rules = rules
            self._opening.take(rules)
            self._deliveries.take(rules)

    def open(self, record: Record, *, at_us: int) -> Accepted:
        """Open, verify, decode and check one event (steps 1 to 5).

        Raises:
            RejectedInput: with the code that it goes to quarantine under.

        """
        return self._opening.open(record, at_us=at_us)

    def _route(self, records: Sequence[Record], context: "Context", routed: Routed) -> None:
        """Take a few events through all steps, then in their order to where they go."""
        events: list[InHand] = []
        like = None
        for record in records:
            event = InHand(record, like)
            like = event.laid.layout
            events.append(event)
        left = events
        for step in (
            *self._opening.steps,
            partial(_decide, context=context),
            partial(self._deliver, context=context),
            partial(self._record, context=context),
        ):
            left = taken(left, step)
        tally = routed.tally
        for event in events:
            code = event.code
            if not code:
                short = short_id(event.opened.publisher, event.envelope.id.encode())
                if self.accepted.claim(short):
                    routed.outgoing += event.outgoing
                    retracts = event.envelope.retractsid
                    if retracts is not None:
                        decided, event_id = event.outgoing[-1], event.envelope.id
                        routed.outgoing.append(self.retractions.of(decided, event_id, retracts))
                    routed.accepted.append(short)
                    for outcome in event.outcomes:
                        tally[outcome] += 1
                    continue
                code = Replayed.code
            routed.outgoing.append(self.quarantine(event.record, code))
            tally[f"quarantine:{code}"] += 1

    def conclude(self, event: InHand, context: "Context", *, settles: bytes, nobody: bytes) -> None:
        """Make what goes out of decisions that settle a hold, and the record that says so.

        ``nobody`` is the clause to name where there is no candidate any more.
        """
        self._deliver(event, context=context, nobody=nobody)
        self._record(event, context=context, settles=settles)

    def _deliver(self, event: InHand, *, context: "Context", nobody: bytes = NO_CLAUSE) -> None:
        """Make deliveries, reviews and holds of the decisions, and what evidence tells of each."""
        event.outgoing, event.told, event.outcomes = [], [], []
        for decision in event.decisions:
            if isinstance(decision, Permit):
                try:
                    delivery, part = self._deliveries.deliver(event, decision)
                    self._check_size(delivery)
                except Exception as error:  # noqa: BLE001  as in `decide`: nothing is shared
                    # One recipient's bad key or large view costs the others nothing.
                    refusal = Deny(
                        decision.candidate, Refusal.DECIDING_FAILED, type(error).__name__
                    )
                    self._refuse(refusal, event, nobody)
                    continue
                event.outgoing.append(delivery)
                event.told.append(part)
                event.outcomes.append("permit")
                continue
            if not isinstance(decision, Deny):
                waiting = self._waiting(event, decision, at_us=context.at_us)
                self._check_size(waiting)
                event.outgoing.append(waiting)
            self._refuse(decision, event, nobody)
        if not event.decisions:
            self._refuse(NO_CANDIDATE, event, nobody)

    def _record(
        self, event: InHand, *, context: "Context", settles: bytes = FIRST_DECISION
    ) -> None:
        """Write the decision record."""
        envelope, verified, opened = event.envelope, event.verified, event.opened
        value = b"".join(
            (
                sender_part(envelope.type, opened.type.fingerprint, opened.publisher, verified.kid),
                context.batch_part,
                event_part(
                    event.offset,
                    envelope.id.encode(),
                    envelope.occurred_at_us // 1000,
                    envelope.time_us // 1000,
                    event.timestamp_ms,
                    verified.leaf,
                    opened.subjects,
                ),
                candidates_part(event.told, settles),
            )
        )
        decided = Outgoing(DECISIONS, event.key, value)
        self._check_size(decided)
        event.outgoing.append(decided)

    def _check_size(self, out: Outgoing) -> None:
        if out.value is not None and len(out.value) > self._most_outgoing_bytes:
            raise TooLarge("expected what goes out below the streams' limit for a record")

    def _refuse(self, decision: Deny | Review | Hold, event: InHand, nobody: bytes) -> None:
        candidate = decision.candidate
        clause = nobody if candidate is None else self._deliveries.clause(candidate)
        withheld = decision.withheld if isinstance(decision, Review) else ()
        outcome = _OUTCOMES[type(decision)]
        event.outcomes.append(f"{outcome}:{decision.reason}")
        event.told.append(refused(outcome, decision.reason, decision.detail, clause, withheld))

    def _waiting(self, event: InHand, decision: Review | Hold, *, at_us: int) -> Outgoing:
        if isinstance(decision, Hold):
            return self.copies.of(event.record, event.envelope, decision, at_us=at_us)
        return self._to_review(event.record, event.envelope, decision)

    def _to_review(self, record: Record, envelope: Envelope, decision: Review) -> Outgoing:
        """Put the event before a person, sealed to the broker, with what it waits for."""
        candidate = decision.candidate
        headers = [
            ("place", place_of(record).encode()),
            ("event", envelope.id.encode()),
            ("recipient", candidate.recipient.encode()),
            ("agreement", candidate.agreement_id.encode()),
            ("version", str(candidate.version).encode()),
            ("flow", candidate.flow.id.encode()),
            ("reason", decision.reason.encode()),
            ("detail", decision.detail.encode()),
        ]
        return Outgoing(REVIEW, record.key, self._seal_copy(REVIEW, record), headers)

    def quarantine(self, record: Record, code: str) -> Outgoing:
        """Keep what could not be accepted, whole and sealed; nothing of it is in clear.

        The headers of a hostile record may hold anything, so they are inside the seal.
        What is too large for a copy is kept by its place alone.
        """
        place = place_of(record)
        # Whatever stands in a key that is not of ours: a plain hash of it could be guessed.
        key = hmac.digest(self._quarantine_key, record.key or place.encode(), "sha256")
        key = key[:RECORD_KEY_BYTES]
        is_kept = _size(record) <= self._most_bytes
        sealed = self._seal_copy(QUARANTINE, record) if is_kept else None
        return Outgoing(
            QUARANTINE, key, sealed, [("reason", code.encode()), ("place", place.encode())]
        )

    def _seal_copy(self, topic: str, record: Record) -> bytes:
        binding = Binding(BROKER, topic, place_of(record), "", "")
        return self._own.seal(pack(record), binding.to_aad())


@dataclass(frozen=True, slots=True)
class Context:
    """What all records of a batch are routed under."""

    rules: Rules
    at_us: int
    batch_part: bytes

    @classmethod
    def of(cls, topic: str, partition: int, snapshot: Snapshot, *, at_ms: int) -> Self:
        """Return the context of events that lie there and are decided at this time."""
        part = batch_part(topic, partition, decided_at_ms=at_ms, rules=snapshot.position)
        return cls(snapshot.rules, at_ms * 1000, part)


def _decide(event: InHand, *, context: Context) -> None:
    """Decide for every candidate."""
    opened, at_us = event.opened, context.at_us
    event.decisions = [
        decide(opened, candidate, at=at_us)
        for candidate in context.rules.candidates(opened.publisher, opened.type.name, at=at_us)
    ]


def _size(record: Record) -> int:
    """Bytes of key, value and headers."""
    # Kafka lets a header have no value.
    headers: Sequence[tuple[str, bytes | None]] = record.headers
    in_headers = sum([len(name) + len(value or b"") for name, value in headers])
    return len(record.key or b"") + len(record.value or b"") + in_headers


__all__ = [
    "DECISIONS",
    "DELIVERIES",
    "EVENTS",
    "QUARANTINE",
    "REVIEW",
    "Accepted",
    "Routed",
    "Router",
]
