"""Open an event: what a publisher sent becomes something that can be decided on, or is refused.

The first half of routing (`broker.routing` tells the whole way), in steps that each
take an event a little further. Somebody with one event calls `Opening.open`; the router
takes a few dozen through one step, then through the next: the same code and tables then
stay in the processor's caches, which halves the time (`docs/developing/speed.md`).
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import ClassVar, Final, NamedTuple

from agreements.deciding import Decision
from agreements.opened import OpenedEvent
from agreements.rules import Rules
from broker.keyring import Keyring
from broker.subjects import Subjects
from connectors.streams import Outgoing, Record
from connectors.streams.partitioning import key_hash
from schemas.catalogue import Catalogue, EventType
from schemas.control import BROKER
from schemas.envelopes import read_laid
from schemas.errors import RejectedInput
from schemas.events import Envelope, check_times, dataschema_of
from schemas.framing import unframe
from schemas.keys import VerifyingKey
from schemas.layouts import Laid, Layout
from schemas.sealing import BindingTemplate, Opener
from schemas.signing import Verified, Verifier

EVENTS: Final = "events."
RECORD_KEY_BYTES: Final = 16
"""Of an event: a keyed hash of its subject. Nothing longer or shorter is carried along."""

_LATEST_AHEAD_MS: Final = timedelta(hours=24) // timedelta(milliseconds=1)
_KEPT_BINDINGS: Final = 4096


class BadRecord(RejectedInput):
    """The record around the event has no value, no key of the agreed length or no possible time."""

    code: ClassVar[str] = "bad-record"


class Misplaced(RejectedInput):
    """The record does not lie in the partition that its key gives: somebody put it there."""

    code: ClassVar[str] = "misplaced"


class TooLarge(RejectedInput):
    """The event, or what would become of it, is too large to be handed on."""

    code: ClassVar[str] = "too-large"


class Disagrees(RejectedInput):
    """Headers, topic and payload do not tell the same."""

    code: ClassVar[str] = "headers-disagree"


class InHand:
    """An event on its way; each step fills in what the next needs.

    ``code`` says why it went no further, and is empty as long as it does.
    """

    __slots__ = (
        "code", "decisions", "envelope", "key", "laid", "offset", "opened", "outcomes", "outgoing",
        "partition", "plaintext", "record", "timestamp_ms", "told", "topic", "value", "verified",
    )  # fmt: skip

    record: Record
    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    laid: Laid
    code: str
    envelope: Envelope
    plaintext: bytes
    verified: Verified
    opened: OpenedEvent
    decisions: list[Decision]
    outgoing: list[Outgoing]
    told: list[bytes]
    outcomes: list[str]

    def __init__(self, record: Record, like: Layout | None = None) -> None:
        """Begin with a record; ``like`` may be the layout of the headers of the one before."""
        self.record = record
        # Taken apart once: to ask a named tuple for a field is the slowest way to it.
        (
            self.topic,
            self.partition,
            self.offset,
            self.timestamp_ms,
            self.key,
            self.value,
            headers,
        ) = record
        self.laid = Laid(headers, like)
        self.code = ""


class Accepted(NamedTuple):
    """An event that opened, verified, decoded and is about somebody."""

    envelope: Envelope
    verified: Verified
    opened: OpenedEvent


class Opening:
    """Opens the events of one topic at a time, with the keys that the rules name."""

    def __init__(self, keys: Keyring, catalogue: Catalogue, *, most_bytes: int) -> None:
        self._catalogue = catalogue
        self._most_bytes = most_bytes
        self._subjects = Subjects(keys.audit_keys[0])
        self._verifying: dict[str, Mapping[str, VerifyingKey]] = {}
        self._registries: dict[str, Mapping[int, bytes]] = {}
        self._verifier = Verifier(self._key_of)
        self._opener = Opener(keys.sealing, lambda kid: self._key_of(self._publisher, kid))
        self._bindings: dict[tuple[str, str, bytes], BindingTemplate] = {}
        self._publisher = ""
        self._at_us = 0
        self._partitions: int | None = None
        self.steps: Final = (self.read, self.unseal, self.verify, self.scan)
        """In their order; each raises what it does not take further."""

    def take(self, rules: Rules) -> None:
        """Go by these parties' keys from here on."""
        publishers = [party for party in rules.parties.values() if "publisher" in party.roles]
        self._registries = {party.id: party.registry() for party in publishers}
        self._verifying = {
            party.id: {key.kid: key for key in party.verifying_keys()} for party in publishers
        }

    def begin(self, topic: str, *, at_us: int, partitions: int | None) -> None:
        """Open events of this topic from here on, at this time.

        ``partitions`` is how many the topic has; None leaves out where records lie.
        """
        self._partitions = partitions
        self._publisher = topic.removeprefix(EVENTS)
        self._at_us = at_us

    def open(self, record: Record, *, at_us: int) -> Accepted:
        """Take one event through all steps, wherever it lies.

        Raises:
            RejectedInput: with the code that it goes to quarantine under.

        """
        self.begin(record.topic, at_us=at_us, partitions=None)
        event = InHand(record)
        for step in self.steps:
            step(event)
        return Accepted(event.envelope, event.verified, event.opened)

    def open_all(self, records: Sequence[Record], *, topic: str, at_us: int) -> list[InHand]:
        """Take events of one topic through all steps together, wherever they lie.

        Raises nothing for what is in them: ``code`` says why an event did not open.
        """
        self.begin(topic, at_us=at_us, partitions=None)
        events = left = [InHand(record) for record in records]
        for step in self.steps:
            left = taken(left, step)
        return events

    def read(self, event: InHand) -> None:
        """Check what can be seen from outside: the record, its size and its envelope."""
        value, key, timestamp_ms = event.value, event.key, event.timestamp_ms
        if value is None or key is None or len(key) != RECORD_KEY_BYTES:
            raise BadRecord(f"expected a sealed event under a key of {RECORD_KEY_BYTES} bytes")
        # INVARIANT: one event has one place. Its key is signed, and in the partition that
        # follows from it one router knows what was accepted; elsewhere a copy would be new.
        if self._partitions is not None and key_hash(key) % self._partitions != event.partition:
            raise Misplaced("expected a record in the partition that its key gives")
        # On Kafka a record's own time is the publisher's to write, and it goes into evidence.
        if not 0 <= timestamp_ms <= self._at_us // 1000 + _LATEST_AHEAD_MS:
            raise BadRecord("expected a record that was appended between 1970 and tomorrow")
        if len(value) > self._most_bytes:
            raise TooLarge("expected a sealed event below the streams' limit for a record")
        envelope = event.envelope = read_laid(event.laid)
        if envelope.publisher != self._publisher:
            raise Disagrees("expected events of the topic's own publisher")
        check_times(envelope, now=self._at_us)

    def unseal(self, event: InHand) -> None:
        """Open the seal: the binding of recipient, topic, id, type and schema holds."""
        envelope = event.envelope
        binding = self._binding(event.topic, envelope)
        event.plaintext = self._opener.open(event.value or b"", binding.aad(envelope.id))

    def verify(self, event: InHand) -> None:
        """Check the publisher's signature over the record: topic, key, headers and payload."""
        event.verified = self._verifier.verify(
            self._publisher,
            event.topic,
            key=event.key or b"",
            headers=event.laid,
            plaintext=event.plaintext,
        )

    def scan(self, event: InHand) -> None:
        """Check every byte of the payload, and find whom it is about."""
        envelope, payload = event.envelope, event.verified.payload
        event_type, start = self._event_type(envelope, payload)
        offsets = event_type.scanner.scan(payload, start)
        event.opened = OpenedEvent(
            self._publisher,
            event_type,
            payload,
            offsets,
            envelope.occurred_at_us,
            event.timestamp_ms * 1000,
            self._subjects.of(self._publisher, event_type, payload, offsets=offsets),
        )

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


def taken(events: list[InHand], step: Callable[[InHand], None]) -> list[InHand]:
    """Take events through a step; return those that it took further."""
    left = []
    for event in events:
        try:
            step(event)
        except Exception as error:  # noqa: BLE001  whatever a record triggers, the stream goes on
            # Not the error itself: it would keep every frame that it came through.
            event.code = code_of(error)
        else:
            left.append(event)
    return left


def code_of(error: Exception) -> str:
    """Return the code that an event goes to quarantine under."""
    return error.code if isinstance(error, RejectedInput) else f"unexpected-{type(error).__name__}"
