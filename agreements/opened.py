"""An event that the router has opened: verified, scanned, not yet decided on.

The engine asks an event for an item and never holds it as a dictionary: the
payload stays the publisher's Avro bytes, and ``offsets`` tells where each slot
of the schema begins in them (see `schemas.scanning`).
"""

from dataclasses import dataclass

from schemas.catalogue import EventType


# Not frozen: one is made for each event, and freezing costs more than the rest of its making.
@dataclass(slots=True, eq=False)
class OpenedEvent:
    """What a decision may ask of an event.

    ``data`` holds the Avro body, perhaps after a frame; ``offsets`` are the n + 1
    boundaries of its n slots in ``data``. Times are microseconds since the epoch,
    UTC. ``subjects`` are the blinded identifiers of the subject, the primary one first.
    """

    publisher: str
    type: EventType
    data: bytes
    offsets: list[int]
    occurred_at_us: int
    received_at_us: int
    subjects: tuple[bytes, ...] = ()
