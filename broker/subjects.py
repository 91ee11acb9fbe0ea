"""Whom an event is about, as the evidence may know it: blinded.

Each identifier of the subject becomes an HMAC under the audit key, so that an
auditor who holds an identifier can search, and nobody can read who was there.
"""

import hmac
from typing import ClassVar, Final

from schemas.catalogue import EventType
from schemas.errors import RejectedInput
from schemas.identifiers import canonical, check

LOCAL_KINDS: Final = frozenset({"la-child-id", "person-ref"})
"""Numbers that only their issuer gives: the publisher's name goes into the blinding."""


class InvalidSubject(RejectedInput):
    """The identifier that says whom the event is about is not one."""

    code: ClassVar[str] = "invalid-subject"


class Subjects:
    """Blinds identifiers under the audit key."""

    def __init__(self, audit_key: bytes) -> None:
        self._key = audit_key

    def of(
        self, publisher: str, event_type: EventType, data: bytes, *, offsets: list[int]
    ) -> tuple[bytes, ...]:
        """Return the blinded identifiers of an event's subject, the primary one first.

        Those of people in lists are not the subject's. A secondary one that does not
        validate is passed over; a flow that would disclose it tells so.

        Raises:
            InvalidSubject: the primary identifier does not validate.

        """
        blinded = []
        for field in event_type.subjects:
            kind = field.identifier
            if field.within is not None or kind is None:
                continue
            slot = event_type.scanner.slots[field.slot]
            start, end = offsets[field.slot], offsets[field.slot + 1]
            text = slot.text(data, start, end) if start < end else None
            if text is not None and check(kind, text) is None:
                blinded.append(self.blind(kind, text, publisher=publisher))
            elif field.subject == "primary":
                raise InvalidSubject(f"{field.path} is not a valid {kind}")
        return tuple(blinded)

    def blind(self, kind: str, text: str, *, publisher: str) -> bytes:
        """Return 32 bytes that stand for one identifier."""
        scope = publisher if kind in LOCAL_KINDS else ""
        message = f"{kind}\0{scope}\0{canonical(kind, text)}".encode()
        return hmac.digest(self._key, message, "sha256")
