"""Whom an event is about, as the evidence may know it: blinded.

Each identifier of the subject becomes an HMAC under the audit key, so that an
auditor who holds an identifier can search, and nobody can read who was there.
"""

from typing import ClassVar, Final

from broker.keyed_hash import KeyedHash
from schemas.catalogue import EventType
from schemas.errors import RejectedInput
from schemas.identifiers import RULES, Rule, canonical
from schemas.slots import Slot

LOCAL_KINDS: Final = frozenset({"la-child-id", "person-ref"})
"""Numbers that only their issuer gives: the publisher's name goes into the blinding."""


_ONE_BYTE: Final = 0x80
"""A text's length below it (Avro's: twice the bytes) is written in one byte."""


class InvalidSubject(RejectedInput):
    """The identifier that says whom the event is about is not one."""

    code: ClassVar[str] = "invalid-subject"


class _Place:
    """Where an event type has an identifier of its subject; ``at`` is where its text begins."""

    __slots__ = ("at", "blind", "first", "is_primary", "kind", "path", "rule", "slot")

    def __init__(
        self, slot: Slot, *, path: str, kind: str, is_primary: bool, blind: KeyedHash
    ) -> None:
        self.slot = slot
        self.first = slot.index
        self.at = 2 if slot.nullable else 1
        self.path = path
        self.kind = kind
        self.rule: Rule = RULES[kind]
        self.is_primary = is_primary
        self.blind = blind


class Subjects:
    """Blinds identifiers under the audit key."""

    def __init__(self, audit_key: bytes) -> None:
        self._key = audit_key
        # Bounded: by the catalogue, and by the publishers whose signature was verified.
        self._places: dict[tuple[str, bytes], tuple[_Place, ...]] = {}

    def of(
        self, publisher: str, event_type: EventType, data: bytes, *, offsets: list[int]
    ) -> tuple[bytes, ...]:
        """Return the blinded identifiers of an event's subject, the primary one first.

        Those of people in lists are not the subject's. A secondary one that does not
        validate is passed over; a flow that would disclose it tells so.

        Raises:
            InvalidSubject: the primary identifier does not validate.

        """
        places = self._places.get((publisher, event_type.fingerprint))
        if places is None:
            places = self._places_of(publisher, event_type)
            self._places[publisher, event_type.fingerprint] = places
        blinded = []
        # Hot path: nearly every event is about somebody who was not met before.
        for place in places:
            start, end = offsets[place.first], offsets[place.first + 1]
            at = place.at
            text: str | None
            if start + at < end and data[start + at - 1] < _ONE_BYTE:
                text = data[start + at : end].decode()
            else:  # not there, or longer than an identifier is
                text = place.slot.text(data, start, end)
            written = None if text is None else place.rule.valid(text)
            if written is not None:
                blinded.append(place.blind.of(written.encode()))
            elif place.is_primary:
                raise InvalidSubject(f"{place.path} is not a valid {place.kind}")
        return tuple(blinded)

    def blind(self, kind: str, text: str, *, publisher: str) -> bytes:
        """Return 32 bytes that stand for one identifier."""
        return self._blinding(kind, publisher).of(canonical(kind, text).encode())

    def _blinding(self, kind: str, publisher: str) -> KeyedHash:
        scope = publisher if kind in LOCAL_KINDS else ""
        return KeyedHash(self._key, prefix=f"{kind}\0{scope}\0".encode())

    def _places_of(self, publisher: str, event_type: EventType) -> tuple[_Place, ...]:
        return tuple(
            _Place(
                event_type.scanner.slots[field.slot],
                path=field.path,
                kind=field.identifier,
                is_primary=field.subject == "primary",
                blind=self._blinding(field.identifier, publisher),
            )
            for field in event_type.subjects
            if field.within is None and field.identifier is not None
        )
