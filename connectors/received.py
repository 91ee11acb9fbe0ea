"""What a subscriber hands on: a delivery that opened, or one that did not."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple


class Position(NamedTuple):
    """Where a delivery lies in its topic: the same however often it is read."""

    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Received:
    """The recipient's own view of an event, and under what it was shared.

    ``event_type`` is that of the publisher's event; ``record`` holds the items
    of the view only. ``occurred_at`` is aware, UTC. ``retracts_id`` names an
    earlier event that the publisher takes back. ``published_at`` is when the publisher
    signed it. ``delivery`` is the SHA-256, in
    hexadecimal, of the delivery as it was sealed: no two deliveries have the same,
    and it stands in the broker's decision record.
    """

    event_id: str
    event_type: str
    publisher: str
    agreement: str
    version: int
    flow: str
    purpose: str
    occurred_at: datetime
    published_at: datetime
    record: dict[str, Any]
    delivery: str
    position: Position
    correlation_id: str | None = None
    retracts_id: str | None = None


@dataclass(frozen=True, slots=True)
class Unopened:
    """A delivery that could not be read, whole, so that it can be tried again.

    ``code`` is that of the error; ``event_id`` is what the header says, if it
    says anything, and is not to be trusted.
    """

    position: Position
    code: str
    event_id: str | None
    headers: tuple[tuple[str, bytes], ...]
    sealed: bytes | None
